//! Connections: taking them, serving them, ending them. Each has its limits, and so has their number.
//!
//! `axum::serve` would do the same without any limit. The bytes of a request are counted by hyper, its time by the
//! watchdog, and what it asks for by everybody further in.

mod activity;
mod answer;
mod inside;
mod requests;
mod stream;
mod watchdog;

use crate::config;
use crate::metrics::{Metrics, one};
use activity::Activity;
use axum::BoxError;
use axum::body::{Bytes, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use holdfast_queue::Backoff;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
pub use inside::serve_inside;
use requests::Requests;
use std::convert::Infallible;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;
use stream::Stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use tower::Service;
use watchdog::{Patience, Verdict, Watchdog};

/// Line and headers of a request, and whatever else of a connection is held at once. Beyond it, or beyond the hundred
/// headers that hyper has room for on its stack, hyper answers 431.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// What a client may send of one request with HTTP/2 before we have taken it: a whole body.
const WINDOW_BYTES: u32 = 64 * 1024;

/// As much of an answer is handed over before the client has made room for it.
const SEND_BYTES: usize = 64 * 1024;

/// Requests at once on one connection with HTTP/2.
const MAX_STREAMS: u32 = 128;

/// Streams that a client has reset before they were looked at, and that we have reset for its errors, before it is hung up on.
const MAX_RESETS: usize = 32;

/// How often a client that speaks HTTP/2 is asked whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(10);

/// Said to whom there is no connection for, without looking at what is asked.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    connection: close\r\n\
    retry-after: 1\r\n\
    cache-control: no-store\r\n\
    content-length: 0\r\n\r\n";

/// What all connections have in common.
struct Shared {
    builder: Builder<TokioExecutor>,
    patience: Patience,
    closing: Closing,
    /// Of clients alone: how operators' browsers behave is no sign of anything.
    metrics: Option<Arc<Metrics>>,
}

/// How many connections a listener takes, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    max: usize,
    patience: Patience,
}

impl Limits {
    pub const fn of(config: &config::Api) -> Self {
        Self { max: config.max_connections, patience: Patience::of(config) }
    }
}

/// Takes connections until `until`, then ends each after the requests that it has in hand. Returns when all have ended.
/// `service` makes what answers on the connection of a peer.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: impl Fn(SocketAddr) -> S,
    limits: Limits,
    metrics: Option<Arc<Metrics>>,
    until: impl Future<Output = ()>,
) where
    S: Service<Request, Response = Response<B>, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (open, Limits { max, patience }) = (TaskTracker::new(), limits);
    let counted = open.clone();
    if let Some(metrics) = &metrics {
        metrics.sample(move || vec![one("holdfast_connections", "Connections of clients", counted.len() as f64)]);
    }
    let shared = Arc::new(Shared { builder: builder(), patience, closing: Closing::default(), metrics });
    let mut until = pin!(until);
    loop {
        let (socket, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = &mut until => break,
        };
        if open.len() < max {
            open.spawn(connection(socket, service(peer), Arc::clone(&shared)));
        } else {
            if let Some(metrics) = &shared.metrics {
                metrics.refusing.connection();
            }
            refuse(socket);
        }
    }
    drop(listener);
    shared.closing.begin();
    open.close();
    open.wait().await;
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // `max_headers` is left alone: any other number has them allocated for each request.
    builder.http1().header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(4 * WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS);
    builder
}

/// The next connection, however long that takes. Where there are no file descriptors left it takes until somebody leaves.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%error, "could not set TCP_NODELAY");
                }
                return (socket, peer);
            }
            Err(error) if is_the_clients(error.kind()) => {}
            Err(error) => {
                tracing::error!(%error, "could not take a connection");
                backoff.wait().await;
            }
        }
    }
}

/// It was gone before it was taken.
const fn is_the_clients(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

/// Says so, and hangs up. Left in the system's own queue it would wait without knowing for what, and so would those behind
/// it, the probes of load balancers among them. Waits for nothing, and whether anything is heard is all the same to us.
fn refuse(socket: TcpStream) {
    let Ok(mut socket) = socket.into_std() else { return };
    // What is unread when a socket is closed takes the answer with it.
    let mut request = [0; 4 * 1024];
    drop(socket.read(&mut request));
    drop(socket.write(TOO_MANY));
    drop(socket.shutdown(Shutdown::Write));
}

/// Until the client, hyper or the watchdog ends it.
async fn connection<S, B>(socket: TcpStream, service: S, shared: Arc<Shared>)
where
    S: Service<Request, Response = Response<B>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let activity = Arc::new(Activity::new());
    let stream = TokioIo::new(Stream::new(socket, Arc::clone(&activity)));
    let requests = Requests { service, activity: Arc::clone(&activity) };
    let mut connection = pin!(shared.builder.serve_connection(stream, requests));
    let mut watchdog = Watchdog::new(activity, shared.patience);
    let mut closing = pin!(shared.closing.notify.notified());
    let (mut registered, mut ending) = (false, false);
    let ended = std::future::poll_fn(|context| {
        if !registered {
            // Once is enough: to ask each time would take the lock that all connections share.
            registered = true;
            let _pending = closing.as_mut().poll(context);
        }
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                return Poll::Ready(ended);
            }
            let verdict = match watchdog.poll_look(context) {
                Poll::Ready(verdict) => verdict,
                Poll::Pending if ending || !shared.closing.has_begun() => return Poll::Pending,
                Poll::Pending => Verdict::Unused,
            };
            match verdict {
                Verdict::Fine => {}
                // It was asked to end the last time: its client does not go along.
                Verdict::Unused if ending => return Poll::Ready(Ok(())),
                Verdict::Unused => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                Verdict::CutOff(slow) => {
                    if let Some(metrics) = &shared.metrics {
                        metrics.refusing.slow(slow);
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection has broken");
    }
}

/// That all are to end. Looked at whenever anything happens on a connection.
#[derive(Default)]
struct Closing {
    begun: AtomicBool,
    notify: Notify,
}

impl Closing {
    fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }
}
