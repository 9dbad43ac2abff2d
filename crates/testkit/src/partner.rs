//! Partners of a test's own: one that follows a script, and faults around the sandbox.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// What a script's line answers.
#[derive(Clone, Debug)]
pub enum Line {
    Create(u16, &'static str),
    LookUp(u16, &'static str),
    /// The request is taken and never answered.
    CreateHangs,
}

/// A partner that expects these requests in this order, and keeps what it was asked.
#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<Played>>);

#[derive(Default)]
struct Played {
    lines: VecDeque<Line>,
    asked: Vec<&'static str>,
}

impl Script {
    pub fn new(lines: impl IntoIterator<Item = Line>) -> Self {
        let lines = lines.into_iter().collect();
        Self(Arc::new(Mutex::new(Played { lines, asked: Vec::new() })))
    }

    pub fn router(&self) -> Router {
        Router::new().fallback(play).with_state(self.clone())
    }

    /// `create` and `look up`, in the order of arrival; anything that the script did not expect is `unexpected …`.
    pub fn asked(&self) -> Vec<&'static str> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }

    fn next(&self, create: bool) -> Option<Line> {
        let mut played = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = match played.lines.front() {
            Some(Line::Create(..) | Line::CreateHangs) => create,
            Some(Line::LookUp(..)) => !create,
            None => false,
        };
        played.asked.push(match (expected, create) {
            (true, true) => "create",
            (true, false) => "look up",
            (false, true) => "unexpected create",
            (false, false) => "unexpected look up",
        });
        if expected { played.lines.pop_front() } else { None }
    }
}

async fn play(State(script): State<Script>, request: Request) -> Response {
    match script.next(request.method() == "POST") {
        Some(Line::Create(status, body) | Line::LookUp(status, body)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, body).into_response()
        }
        Some(Line::CreateHangs) => std::future::pending().await,
        None => StatusCode::IM_A_TEAPOT.into_response(),
    }
}

/// Where an answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The request never arrives.
    OnTheWayIn,
    /// The partner has done it, the answer never arrives.
    OnTheWayOut,
}

/// Answers 504 to the `nth` request (from 1), and passes all others on.
pub fn losing(partner: Router, nth: usize, loss: Loss) -> Router {
    let count = Arc::new(AtomicUsize::new(0));
    partner.layer(middleware::from_fn(move |request: Request<Body>, next: Next| {
        let lost = count.fetch_add(1, Ordering::Relaxed) + 1 == nth;
        async move {
            match (lost, loss) {
                (false, _) => next.run(request).await,
                (true, Loss::OnTheWayIn) => StatusCode::GATEWAY_TIMEOUT.into_response(),
                (true, Loss::OnTheWayOut) => {
                    next.run(request).await;
                    StatusCode::GATEWAY_TIMEOUT.into_response()
                }
            }
        }
    }))
}

/// Takes each creation and answers it when it is let through.
pub fn held_back(partner: Router, gate: Arc<Semaphore>) -> Router {
    partner.layer(middleware::from_fn(move |request: Request<Body>, next: Next| {
        let gate = Arc::clone(&gate);
        async move {
            if request.method() == "POST" {
                gate.acquire().await.expect("it is never closed").forget();
            }
            next.run(request).await
        }
    }))
}

/// Takes this long to answer requests of one method: `GET` looks up, `POST` creates.
pub fn slow_to(partner: Router, method: &'static str, by: Duration) -> Router {
    partner.layer(middleware::from_fn(move |request: Request<Body>, next: Next| async move {
        if request.method() == method {
            holdfast_app::pause(by).await;
        }
        next.run(request).await
    }))
}
