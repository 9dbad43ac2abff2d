//! AWS Lambda's Runtime API, as a function meets it: it asks for the next invocation, and posts what came of it.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use holdfast_devstack::server;
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a function may take to start, and to answer.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct RuntimeApi {
    address: SocketAddr,
    invocations: mpsc::UnboundedSender<Invocation>,
    _server: DropGuard,
}

#[derive(Debug)]
struct Invocation {
    event: Value,
    time: Duration,
    answer: oneshot::Sender<Answered>,
}

#[derive(Debug)]
struct Answered {
    result: Result<Value, Value>,
    in_time: bool,
}

/// An invocation under way, and until when it may be.
type UnderWay = (Duration, oneshot::Sender<Answered>);

#[derive(Clone)]
struct Desk {
    waiting: Arc<Mutex<mpsc::UnboundedReceiver<Invocation>>>,
    under_way: Arc<StdMutex<HashMap<String, UnderWay>>>,
}

impl RuntimeApi {
    pub async fn start() -> Self {
        let (invocations, waiting) = mpsc::unbounded_channel();
        let desk = Desk { waiting: Arc::new(Mutex::new(waiting)), under_way: Arc::default() };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(desk);
        let stop = CancellationToken::new();
        let listener = server::bind(0).await.expect("bind a free port");
        let address = server::serve(listener, router, stop.clone()).expect("serve");
        Self { address, invocations, _server: stop.drop_guard() }
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Invokes the function, which has so much time once it has asked for work. An error is what it posted as one.
    pub async fn invoke(&self, event: Value, time: Duration) -> Result<Value, Value> {
        let (answer, answered) = oneshot::channel();
        self.invocations.send(Invocation { event, time, answer }).expect("it is served");
        let answered = tokio::time::timeout(PATIENCE, answered).await.expect("it answers").expect("it is served");
        // AWS would have killed it.
        assert!(answered.in_time, "its answer came too late");
        answered.result
    }
}

async fn next(State(desk): State<Desk>) -> (HeaderMap, Json<Value>) {
    let invocation = desk.waiting.lock().await.recv().await.expect("the test goes on");
    let id = uuid::Uuid::new_v4().to_string();
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: &str| headers.insert(name, value.parse().expect("a header"));
    set("lambda-runtime-aws-request-id", &id);
    let deadline = now() + invocation.time;
    set("lambda-runtime-deadline-ms", &deadline.as_millis().to_string());
    set("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:000000000000:function:holdfast");
    desk.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(id, (deadline, invocation.answer));
    (headers, Json(invocation.event))
}

async fn response(State(desk): State<Desk>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    desk.answer(&id, Ok(read(&body)))
}

async fn error(State(desk): State<Desk>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    desk.answer(&id, Err(read(&body)))
}

/// Whatever it calls it.
fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("a function answers JSON")
}

impl Desk {
    fn answer(&self, id: &str, result: Result<Value, Value>) -> StatusCode {
        let waiting = self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        let Some((deadline, answer)) = waiting else { return StatusCode::BAD_REQUEST };
        drop(answer.send(Answered { result, in_time: now() <= deadline }));
        StatusCode::ACCEPTED
    }
}

#[expect(clippy::disallowed_methods, reason = "a function compares its deadline with this machine's clock")]
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}
