//! The clients' endpoint at its worst. What it has answered with 2xx, its client knows.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use fastrand::Rng;
use holdfast_app::pause;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longer than a callback waits.
const HANGS: Duration = Duration::from_secs(2);

/// What a client knows of one command: the highest sequence that it was told, and the type of that event.
pub(crate) type Told = HashMap<String, (i64, String)>;

#[derive(Clone)]
pub(crate) struct Inbox(Arc<Mutex<Known>>);

struct Known {
    told: Told,
    deliveries: u64,
    nice: bool,
    down: bool,
    random: Rng,
}

impl Inbox {
    pub(crate) fn new(seed: u64) -> Self {
        let random = Rng::with_seed(seed ^ 0x1b0c);
        Self(Arc::new(Mutex::new(Known { told: Told::new(), deliveries: 0, nice: false, down: false, random })))
    }

    pub(crate) fn be_nice(&self) {
        let mut known = self.known();
        known.nice = true;
        known.down = false;
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.known().down = down;
    }

    pub(crate) fn told(&self) -> Told {
        self.known().told.clone()
    }

    pub(crate) fn deliveries(&self) -> u64 {
        self.known().deliveries
    }

    pub(crate) fn router(&self) -> Router {
        Router::new().route("/callbacks", post(receive)).with_state(self.clone())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client reads it, whatever it answers then; only what it answered for counts here.
    fn hear(&self, body: &[u8]) {
        let event: Value = serde_json::from_slice(body).unwrap_or_default();
        let sequence = event["sequence"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let mut known = self.known();
        known.deliveries += 1;
        let last = known.told.entry(text("subject")).or_insert((0, String::new()));
        if sequence >= last.0 {
            *last = (sequence, text("type"));
        }
    }
}

async fn receive(State(inbox): State<Inbox>, body: Bytes) -> StatusCode {
    let fate = {
        let mut known = inbox.known();
        match (known.down, known.nice) {
            (true, _) => 0,
            (false, true) => 100,
            (false, false) => known.random.u32(0..100),
        }
    };
    match fate {
        0..12 => StatusCode::INTERNAL_SERVER_ERROR,
        12..14 => {
            pause(HANGS).await;
            StatusCode::OK
        }
        _ => {
            inbox.hear(&body);
            StatusCode::NO_CONTENT
        }
    }
}
