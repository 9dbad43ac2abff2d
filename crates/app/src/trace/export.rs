//! Where spans go: to a collector, as OTLP over HTTP. What is exported waits in a bounded queue, from which a thread of its own
//! sends batches; when the collector is slow or gone, spans are dropped.

use super::{Exporting, Tracer};
use crate::config;
use anyhow::Context as _;
use async_trait::async_trait;
use holdfast_partners::http_client::HttpClient;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// For one request to the collector.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// The scope of all our spans.
const SCOPE: &str = "holdfast";

/// As the standard variables say; `service` is our name if they give none. Must be called within the runtime. Where no
/// collector is named, nothing is started.
pub fn start(service: &'static str) -> anyhow::Result<Tracer> {
    let Some(traces) = config::traces() else { return Ok(Tracer::default()) };
    let client = HttpClient::build().context("build the client for traces")?;
    let transport = Transport { client, runtime: Handle::current() };
    // Endpoint and headers it reads from the environment, as the provider does sampler and limits.
    let exporter = SpanExporter::builder().with_http().with_http_client(transport).build();
    let exporter = exporter.context("build the exporter of traces")?;
    let resource = resource(service, traces.service_name);
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let tracer = provider.tracer(SCOPE);
    Ok(Tracer(Some(Arc::new(Exporting { provider, tracer, parent_based: traces.parent_based }))))
}

/// Who we are: what the environment says goes before what we say, and the name that it has a variable for before all.
fn resource(service: &'static str, named: Option<String>) -> Resource {
    let ours = [("service.name", service), ("service.version", env!("CARGO_PKG_VERSION"))];
    let detectors: [Box<dyn ResourceDetector>; 2] =
        [Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())];
    Resource::builder_empty()
        .with_attributes(ours.map(|(name, value)| KeyValue::new(name, value)))
        .with_detectors(&detectors)
        .with_attributes(named.map(|name| KeyValue::new("service.name", name)))
        .build()
}

/// The client that partners are called with. It needs our runtime, and the exporter runs in a thread outside of it.
#[derive(Debug)]
struct Transport {
    client: HttpClient,
    runtime: Handle,
}

#[async_trait]
impl opentelemetry_http::HttpClient for Transport {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move { client.exchange(request, SEND_TIMEOUT).await });
        Ok(sending.await??)
    }
}
