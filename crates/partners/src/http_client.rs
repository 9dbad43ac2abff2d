//! The one way to call somebody else over HTTP.

use crate::exchange::{self, Answer, NoAnswer};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::request::Builder;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tower::timeout::Timeout;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service};
use url::Url;

/// For a connection, with its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How often a connection is asked whether it still leads anywhere: over HTTP/2 many requests share one, and would all
/// fail until the system gives it up.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How long what was sent may go without an acknowledgement.
const SILENCE: Duration = Duration::from_secs(30);

/// How long a connection is kept that nobody uses.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

const AGENT: HeaderValue = HeaderValue::from_static(concat!("holdfast/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Follows no redirects (a moved endpoint must be configured, not followed with our credentials), heeds no proxy of the
/// environment, and connects in bounded time. The total deadline is set per request: each operation has its own. Goes
/// wherever it is sent, so that what clients name must not reach it: see [`crate::egress`].
#[derive(Clone, Debug)]
pub struct HttpClient(Client<Connector, Full<Bytes>>);

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;
pub(crate) type Connector = BoxCloneSyncService<Uri, Stream, BoxError>;

/// Finds the addresses of a name.
pub(crate) trait Resolve:
    Service<Name, Response: Iterator<Item = SocketAddr>, Error: Into<BoxError>, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<R> Resolve for R
where
    R: Service<Name, Response: Iterator<Item = SocketAddr>, Error: Into<BoxError>, Future: Send>,
    R: Clone + Send + Sync + 'static,
{
}

/// The system's certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("http client cannot be built")]
pub struct Unbuilt(#[source] BoxError);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(String);

impl HttpClient {
    pub fn build() -> Result<Self, Unbuilt> {
        Ok(Self::with(connector(GaiResolver::new())?))
    }

    pub(crate) fn with(connector: Connector) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .timer(TokioTimer::new())
            // Bodies are short: to copy one costs less than to write from two places.
            .http1_writev(false)
            .http2_keep_alive_interval(Some(KEEPALIVE))
            .http2_keep_alive_timeout(KEEPALIVE)
            .build(connector);
        Self(client)
    }

    /// Whether a GET succeeds in time, or is turned away for want of room: who says so lives.
    pub async fn is_answered(&self, url: &Url, patience: Duration) -> bool {
        let Ok(request) = request(Method::GET, url).body(Full::default()) else { return false };
        let answer = tokio::time::timeout(patience, self.send(request)).await;
        let lives = |status: StatusCode| status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE;
        answer.is_ok_and(|answer| answer.is_ok_and(|answer| lives(answer.status())))
    }

    /// One request under a total deadline, and its answer, of which no more than a start is read. For services of our own,
    /// which do not speak the contract of partners.
    pub async fn exchange(&self, request: Request<Bytes>, patience: Duration) -> Result<Response<Bytes>, Unanswered> {
        match exchange::send(self, Ok(request.map(Full::new)), patience).await.outcome {
            Ok(Answer { status, body }) => {
                let mut response = Response::new(body.into());
                *response.status_mut() = status;
                Ok(response)
            }
            Err(NoAnswer::NotSent(cause) | NoAnswer::Lost(cause)) => Err(Unanswered(cause)),
        }
    }

    /// The same, for an answer whose status says everything, whether its body arrives or not.
    pub async fn status(&self, request: Request<Bytes>, patience: Duration) -> Result<StatusCode, Unanswered> {
        match exchange::send_for_status(self, Ok(request.map(Full::new)), patience).await.outcome {
            Ok(head) => Ok(head.status),
            Err(NoAnswer::NotSent(cause) | NoAnswer::Lost(cause)) => Err(Unanswered(cause)),
        }
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        self.0.request(request).await
    }
}

/// Connects to what this resolver finds, or to an address that stands in the URI itself: that is never resolved.
pub(crate) fn connector(resolver: impl Resolve) -> Result<Connector, Unbuilt> {
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    // Divided among the addresses of a name: the first may be dead.
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE));
    tcp.set_keepalive_retries(Some(3));
    tcp.set_tcp_user_timeout(Some(SILENCE));
    let tls = HttpsConnectorBuilder::new().try_with_platform_verifier().map_err(|error| Unbuilt(error.into()))?;
    let connector = tls.https_or_http().enable_all_versions().wrap_connector(tcp);
    Ok(BoxCloneSyncService::new(Timeout::new(connector, CONNECT_TIMEOUT)))
}

/// A request on its way to be sent. What is wrong with it shows when it is.
pub(crate) fn request(method: Method, url: &Url) -> Builder {
    Request::builder().method(method).uri(url.as_str()).header(USER_AGENT, AGENT)
}

/// With a body of JSON.
pub(crate) fn json(request: Builder, body: Vec<u8>) -> http::Result<Request<Full<Bytes>>> {
    request.header(CONTENT_TYPE, JSON).body(Full::new(body.into()))
}

pub(crate) fn traced(request: Builder, traceparent: Option<&str>) -> Builder {
    match traceparent {
        Some(traceparent) => request.header(HeaderName::from_static("traceparent"), traceparent),
        None => request,
    }
}
