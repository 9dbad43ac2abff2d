//! A collector of traces: takes OTLP over HTTP, and keeps every span.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use holdfast_devstack::server;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message as _;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What came, in the order of its arrival.
type Spans = Arc<Mutex<Vec<Span>>>;

pub struct Collector {
    address: SocketAddr,
    spans: Spans,
    _server: DropGuard,
}

/// Ids are in hexadecimal, as in a `traceparent`.
#[derive(Clone, Debug)]
pub struct Span {
    /// Of the process that it comes from.
    pub service: String,
    pub name: String,
    /// `Server`, `Client`, …
    pub kind: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub attributes: BTreeMap<String, String>,
}

impl Collector {
    pub async fn start() -> Self {
        let spans = Spans::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&spans));
        let stop = CancellationToken::new();
        let listener = server::bind(0).await.expect("bind a free port");
        let address = server::serve(listener, router, stop.clone()).expect("serve");
        Self { address, spans, _server: stop.drop_guard() }
    }

    /// What has the binaries of a stack send their spans here, soon after they ended.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let endpoint = format!("http://{}", self.address);
        vec![("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned())]
    }

    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The only span of this name.
    pub fn span(&self, name: &str) -> Span {
        let mut named = self.spans();
        named.retain(|span| span.name == name);
        assert_eq!(named.len(), 1, "{name}: {:#?}", self.spans());
        named.remove(0)
    }
}

async fn take(State(spans): State<Spans>, headers: HeaderMap, body: Bytes) {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
    spans.lock().unwrap_or_else(PoisonError::into_inner).extend(request.resource_spans.into_iter().flat_map(read));
}

fn read(resource: ResourceSpans) -> impl Iterator<Item = Span> {
    let mut about = resource.resource.map(|resource| texts(resource.attributes)).unwrap_or_default();
    let service = about.remove("service.name").unwrap_or_default();
    let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
    spans.map(move |span| Span {
        service: service.clone(),
        kind: format!("{:?}", span.kind()),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        attributes: texts(span.attributes),
        name: span.name,
    })
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("neither a text nor a number: {other:?}"),
    };
    attributes.into_iter().map(|attribute| (attribute.key, text(attribute.value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
