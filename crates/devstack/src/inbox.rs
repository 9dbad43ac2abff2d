//! The callback inbox: a client's endpoint that keeps what it was told, and can be made to fail.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One delivery, accepted or not.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// What we answered.
    pub status: u16,
    pub headers: HashMap<String, String>,
    /// Byte for byte, as it was signed.
    pub body: String,
    /// The CloudEvents subject: the command's id.
    pub subject: String,
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: String,
}

/// What arrived. Clones share it.
#[derive(Clone, Default)]
pub struct Inbox(Arc<Mutex<Vec<Delivery>>>);

impl Inbox {
    /// Everything that arrived about this command, oldest first.
    pub fn about(&self, subject: &str) -> Vec<Delivery> {
        self.deliveries().iter().filter(|delivery| delivery.subject == subject).cloned().collect()
    }

    /// `POST /callbacks` accepts, `/flaky/{n}` fails the first n times for each `webhook-id`, `/stuck/{n}` too and then
    /// never answers, `/busy/{n}` answers 503 and asks for n seconds of rest, `/status/{code}` always answers that.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/callbacks", post(accept))
            .route("/flaky/{times}", post(flaky))
            .route("/stuck/{times}", post(stuck))
            .route("/busy/{seconds}", post(busy))
            .route("/status/{code}", post(answer))
            .route("/_received", get(received))
            .with_state(self.clone())
    }

    fn deliveries(&self) -> MutexGuard<'_, Vec<Delivery>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often this event came before.
    fn came(&self, headers: &HeaderMap) -> usize {
        let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        self.deliveries().iter().filter(|delivery| delivery.headers.get("webhook-id") == Some(&id)).count()
    }

    fn keep(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> StatusCode {
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let body = String::from_utf8_lossy(body).into_owned();
        let event: Value = serde_json::from_str(&body).unwrap_or_default();
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let (subject, kind) = (text("subject"), text("type"));
        self.deliveries().push(Delivery { status: status.as_u16(), headers, body, subject, kind });
        status
    }
}

async fn accept(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) -> StatusCode {
    inbox.keep(StatusCode::OK, &headers, &body)
}

async fn flaky(State(inbox): State<Inbox>, Path(times): Path<usize>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let status = if inbox.came(&headers) < times { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    inbox.keep(status, &headers, &body)
}

async fn stuck(State(inbox): State<Inbox>, Path(times): Path<usize>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if inbox.came(&headers) < times {
        return inbox.keep(StatusCode::INTERNAL_SERVER_ERROR, &headers, &body);
    }
    inbox.keep(StatusCode::REQUEST_TIMEOUT, &headers, &body);
    std::future::pending().await
}

async fn busy(
    State(inbox): State<Inbox>,
    Path(seconds): Path<u64>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(&'static str, String); 1]) {
    (inbox.keep(StatusCode::SERVICE_UNAVAILABLE, &headers, &body), [("retry-after", seconds.to_string())])
}

async fn answer(
    State(inbox): State<Inbox>,
    Path(code): Path<u16>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (inbox.keep(status, &headers, &body), format!("this is a {code}"))
}

#[derive(Deserialize)]
struct Filter {
    subject: Option<String>,
}

async fn received(State(inbox): State<Inbox>, Query(filter): Query<Filter>) -> Json<Vec<Delivery>> {
    let deliveries = inbox.deliveries();
    let wanted = |delivery: &&Delivery| filter.subject.as_ref().is_none_or(|subject| *subject == delivery.subject);
    Json(deliveries.iter().filter(wanted).cloned().collect())
}
