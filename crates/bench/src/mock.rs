//! A third party and a callback sink that cost next to nothing, in a process of their own.

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::HashSet;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

/// How it behaves.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Manners {
    pub(crate) create_ms: u64,
    pub(crate) sink_ms: u64,
    /// Of the commands, how many get a 504 to their first creation, which is not carried out.
    pub(crate) lost_percent: u64,
}

/// What it has seen since it was told its manners.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) creations: u64,
    pub(crate) lookups: u64,
    /// Callbacks about a completed command.
    pub(crate) completed: u64,
    /// From the time in the client's id to the callback, in µs.
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
    /// When the last of them came, in µs since the epoch.
    pub(crate) last_us: u64,
}

struct State {
    manners: Manners,
    seen: Seen,
    latencies: Histogram<u64>,
    lost: HashSet<Vec<u8>>,
}

type Shared = Rc<RefCell<State>>;

/// Serves until the process is ended.
pub(crate) async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    let state =
        State { manners: Manners::default(), seen: Seen::default(), latencies: histogram(), lost: HashSet::new() };
    let state: Shared = Rc::new(RefCell::new(state));
    let local = LocalSet::new();
    local
        .run_until(async move {
            loop {
                let (stream, _peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let state = Rc::clone(&state);
                tokio::task::spawn_local(async move {
                    let service = service_fn(move |request| answer(Rc::clone(&state), request));
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
                });
            }
        })
        .await
}

async fn answer(state: Shared, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let (method, path) = (parts.method, parts.uri.path());
    let response = match (&method, path) {
        (&Method::POST, "/sink") => sink(&state, &body).await,
        (&Method::PUT, "/manners") => {
            let mut state = state.borrow_mut();
            state.manners = serde_json::from_slice(&body).unwrap_or_default();
            state.seen = Seen::default();
            state.latencies = histogram();
            state.lost.clear();
            plain(StatusCode::NO_CONTENT, "")
        }
        (&Method::GET, "/seen") => {
            let state = state.borrow();
            let seen = Seen {
                p50_us: state.latencies.value_at_quantile(0.5),
                p99_us: state.latencies.value_at_quantile(0.99),
                max_us: state.latencies.max(),
                ..state.seen.clone()
            };
            plain(StatusCode::OK, serde_json::to_vec(&seen).unwrap_or_default())
        }
        // In place of the API, to see what a request costs by itself.
        (&Method::POST, "/api/v1/transactions") => plain(StatusCode::ACCEPTED, ""),
        (&Method::POST, _) => create(&state, &body).await,
        _ => look_up(&state),
    };
    Ok(response)
}

async fn sink(state: &Shared, body: &[u8]) -> Response<Full<Bytes>> {
    let wait = state.borrow().manners.sink_ms;
    if wait > 0 {
        holdfast_app::pause(Duration::from_millis(wait)).await;
    }
    let now = now_us();
    let started = text(body, b"\"transactionId\":\"b").and_then(|id| {
        let digits = id.split(|byte| *byte == b'-').next()?;
        std::str::from_utf8(digits).ok()?.parse::<u64>().ok()
    });
    if let (Some(started), Some(b"transaction.completed")) = (started, text(body, b"\"type\":\"")) {
        let mut state = state.borrow_mut();
        state.seen.completed += 1;
        state.seen.last_us = now;
        state.latencies.saturating_record(now.saturating_sub(started));
    }
    plain(StatusCode::OK, "")
}

async fn create(state: &Shared, body: &[u8]) -> Response<Full<Bytes>> {
    let Manners { create_ms, lost_percent, .. } = state.borrow().manners;
    if create_ms > 0 {
        holdfast_app::pause(Duration::from_millis(create_ms)).await;
    }
    let mut state = state.borrow_mut();
    state.seen.creations += 1;
    if lost_percent > 0
        && let Some(id) = text(body, b"\"id\":\"")
        && id.iter().map(|byte| u64::from(*byte)).sum::<u64>() * 7 % 100 < lost_percent
        && state.lost.insert(id.to_vec())
    {
        return plain(StatusCode::GATEWAY_TIMEOUT, "");
    }
    plain(StatusCode::CREATED, r#"{"id":"m","status":"completed"}"#)
}

/// Nothing of what was lost is there, and nothing else is asked about.
fn look_up(state: &Shared) -> Response<Full<Bytes>> {
    state.borrow_mut().seen.lookups += 1;
    plain(StatusCode::NOT_FOUND, "")
}

fn plain(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}

/// What stands between `before` and the next quotation mark.
fn text<'a>(body: &'a [u8], before: &[u8]) -> Option<&'a [u8]> {
    let at = body.windows(before.len()).position(|window| window == before)? + before.len();
    body[at..].split(|byte| *byte == b'"').next()
}

pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(600_000_000, 3).expect("the bounds are sound")
}

/// Microseconds since the epoch: processes of one machine compare it.
#[expect(clippy::disallowed_methods, reason = "latencies are measured across processes")]
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
