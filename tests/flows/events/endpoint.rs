//! A sink of the test's own: an HTTP endpoint that keeps what it has confirmed, and fails as it is told.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use holdfast_devstack::server;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The attributes of an event that travel as headers in binary mode.
const ATTRIBUTES: [&str; 10] =
    ["specversion", "id", "source", "type", "subject", "time", "sequence", "dataschema", "traceparent", "partitionkey"];

/// What a slow one needs for an event.
const LONG: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Kept {
    taken: Vec<Value>,
    turned_away: usize,
    authorization: Option<String>,
    content_type: String,
    answer: Option<StatusCode>,
    refuses: Option<String>,
    /// Requests under way, and how many there may be.
    busy: usize,
    most: Option<usize>,
}

pub(super) struct Endpoint {
    kept: Arc<Mutex<Kept>>,
    port: u16,
    _stop: Option<DropGuard>,
}

impl Endpoint {
    pub(super) async fn start() -> Self {
        let port = holdfast_testkit::free_port().await;
        let mut endpoint = Self::closed(port);
        endpoint.open().await;
        endpoint
    }

    /// Nobody listens there.
    pub(super) fn closed(port: u16) -> Self {
        Self { kept: Arc::default(), port, _stop: None }
    }

    pub(super) async fn open(&mut self) {
        let listener = server::bind(self.port).await.expect("bind");
        let stop = CancellationToken::new();
        let router = Router::new().route("/in", post(keep)).with_state(Arc::clone(&self.kept));
        let address = server::serve(listener, router, stop.clone()).expect("serve");
        assert_eq!(address.port(), self.port, "nobody else has taken it");
        self._stop = Some(stop.drop_guard());
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/in", self.port)
    }

    /// Everything that was confirmed, in its order.
    pub(super) fn taken(&self) -> Vec<Value> {
        self.kept().taken.clone()
    }

    pub(super) fn turned_away(&self) -> usize {
        self.kept().turned_away
    }

    pub(super) fn content_type(&self) -> String {
        self.kept().content_type.clone()
    }

    pub(super) fn authorization(&self) -> Option<String> {
        self.kept().authorization.clone()
    }

    /// Answers this to everything, or takes everything again.
    pub(super) fn answer(&self, status: Option<u16>) {
        self.kept().answer = status.map(|status| StatusCode::from_u16(status).expect("a status"));
    }

    /// Answers 422 to the event with this id.
    pub(super) fn refuse(&self, id: &str) {
        self.kept().refuses = Some(id.to_owned());
    }

    /// Needs a while for each, and answers 503 while it has so many.
    pub(super) fn take_at_once(&self, most: usize) {
        self.kept().most = Some(most);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn keep(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().expect("text").to_owned());
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let event = match header("ce-id") {
        None => body,
        Some(_) => {
            let mut event = json!({ "data": body, "datacontenttype": header("content-type") });
            for name in ATTRIBUTES {
                if let Some(value) = header(&format!("ce-{name}")) {
                    event[name] = value.into();
                }
            }
            event
        }
    };
    let most = lock(&kept).most;
    if let Some(most) = most {
        if lock(&kept).busy >= most {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        lock(&kept).busy += 1;
        holdfast_queue::backoff::sleep(LONG).await;
        lock(&kept).busy -= 1;
    }
    let mut kept = lock(&kept);
    kept.authorization = header("authorization");
    kept.content_type = header("content-type").expect("a content type");
    let refused = kept.refuses.as_deref().is_some_and(|id| event["id"] == id);
    let answer = if refused { Some(StatusCode::UNPROCESSABLE_ENTITY) } else { kept.answer };
    match answer {
        Some(status) => {
            kept.turned_away += 1;
            status
        }
        None => {
            kept.taken.push(event);
            StatusCode::NO_CONTENT
        }
    }
}
