//! An in-process SQS emulator, spoken to over the real wire protocol.
//!
//! [`serve`] puts the `rustack` SQS provider behind a plain HTTP/1.1 listener. It speaks the
//! AWS JSON 1.0 protocol that `aws-sdk-sqs` 1.x uses, accepts any credentials, and keeps
//! everything in memory: queues live exactly as long as the call.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use rustack_sqs_core::{config::SqsConfig, handler::RustackSqsHandler, provider::RustackSqs};
use rustack_sqs_http::service::{SqsHttpConfig, SqsHttpService};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// The region in queue ARNs. Requests signed for another region are accepted all the same.
pub const REGION: &str = "us-east-1";

/// The account in queue URLs and ARNs.
pub const ACCOUNT_ID: &str = "000000000000";

/// How long requests under way at the stop may take before their connections are dropped.
/// A long poll may have far more left to wait, and nothing is lost by cutting it short.
const DRAIN: Duration = Duration::from_millis(500);

/// How long to hold off after a failed `accept`, which is usually a shortage of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Requests by operation, such as `SendMessageBatch`.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<BTreeMap<String, u64>>>);

impl Calls {
    pub fn get(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count<B>(&self, request: &Request<B>) {
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match calls.get_mut(operation) {
            Some(count) => *count += 1,
            None => drop(calls.insert(operation.to_owned(), 1)),
        }
    }
}

/// How far away it is: each answer takes longer by this. May change at any time, for all that have a clone.
#[derive(Clone, Debug, Default)]
pub struct Distance(Arc<AtomicU64>);

impl Distance {
    pub fn set_ms(&self, ms: u64) {
        self.0.store(ms, Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Serves SQS on `listener` until `stop` is cancelled, then drops all queues and connections.
///
/// Queue URLs carry the listener's own address, so clients need `endpoint_url` and no more.
///
pub async fn serve(listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
    serve_measured(listener, (Calls::default(), Distance::default()), stop).await
}

/// The same, and counts what is asked of it, and is as far away as it is said to be.
pub async fn serve_measured(
    listener: TcpListener,
    (calls, distance): (Calls, Distance),
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("cannot read the SQS listener's address")?;
    let provider = Arc::new(RustackSqs::new(provider_config(address)));
    let service = SqsHttpService::new(
        Arc::new(RustackSqsHandler::new(Arc::clone(&provider))),
        SqsHttpConfig { skip_signature_validation: true, region: REGION.to_owned(), credential_provider: None },
    );
    let service = Measured { service, calls, distance };

    // Dropping the set aborts its connections, also when this future itself is dropped.
    let mut connections = JoinSet::new();
    let graceful = GracefulShutdown::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // Reap what has finished, so that the set does not grow with every connection.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let connection = graceful.watch(connect(stream, service.clone()));
                    connections.spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%peer, %error, "SQS connection ended early");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an SQS connection");
                    holdfast_queue::backoff::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }

    drop(listener);
    // Idle connections close at once; only requests under way make this wait.
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::debug!("dropping SQS requests still under way");
    }
    connections.shutdown().await;
    provider.shutdown_all().await;
    Ok(())
}

/// An HTTP/1.1 connection over `stream`: keep-alive, and no idle timeout (no timer is set).
fn connect(stream: TcpStream, service: Measured) -> http1::Connection<TokioIo<TcpStream>, Measured> {
    // Neither tokio nor hyper turns Nagle's algorithm off.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY on an SQS connection");
    }
    http1::Builder::new().serve_connection(TokioIo::new(stream), service)
}

/// The provider's settings. `host` and `port` serve only to build queue URLs.
fn provider_config(address: SocketAddr) -> SqsConfig {
    SqsConfig {
        skip_signature_validation: true,
        default_region: REGION.to_owned(),
        account_id: ACCOUNT_ID.to_owned(),
        host: address.ip().to_string(),
        port: address.port(),
    }
}

type Emulator = SqsHttpService<RustackSqsHandler>;

#[derive(Clone)]
struct Measured {
    service: Emulator,
    calls: Calls,
    distance: Distance,
}

impl Service<Request<Incoming>> for Measured {
    type Response = <Emulator as Service<Request<Incoming>>>::Response;
    type Error = <Emulator as Service<Request<Incoming>>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.calls.count(&request);
        let (answer, distance) = (self.service.call(request), self.distance.get());
        Box::pin(async move {
            let answer = answer.await;
            if !distance.is_zero() {
                holdfast_queue::backoff::sleep(distance).await;
            }
            answer
        })
    }
}
