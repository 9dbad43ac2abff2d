//! The sandbox third party: speaks the generic partner contract over real HTTP, and keeps book of what was asked of it.
//!
//! The amount's last two digits pick its behaviour, as test cards do elsewhere (README, "Sandbox"). It counts every
//! creation *request*, and each that came while the outcome of an earlier one was unknown to the caller: a partner that
//! dedupes would hide those.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a slow answer takes.
const SLOW: Duration = Duration::from_secs(3);

/// How long `….02` stays pending.
const SHORTLY: Duration = Duration::from_secs(1);

/// What an amount asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    /// 201, completed.
    Complete,
    /// 201, pending, completed after a second.
    CompleteShortly,
    /// 503 once, then 201.
    UnavailableOnce,
    /// 504, but created.
    LostAnswer,
    /// 504 once and not created, then 201.
    LostRequestOnce,
    /// 422.
    Reject,
    /// 201 after three seconds.
    Slow,
    /// 201, pending; then failed.
    FailShortly,
    /// 503 always.
    Unavailable,
}

impl Behaviour {
    fn of(amount: &str) -> Self {
        match amount.rsplit('.').next() {
            Some("02") => Self::CompleteShortly,
            Some("03") => Self::UnavailableOnce,
            Some("04") => Self::LostAnswer,
            Some("05") => Self::LostRequestOnce,
            Some("06") => Self::Reject,
            Some("08") => Self::Slow,
            Some("09") => Self::FailShortly,
            Some("13") => Self::Unavailable,
            _ => Self::Complete,
        }
    }
}

/// What the sandbox knows of one command.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Creation requests that arrived.
    pub requests: u32,
    /// Effects that stand: more than one is a double charge.
    pub effects: u32,
    /// Creation requests that came while an earlier one's outcome was unknown to the caller.
    pub while_unknown: u32,
    /// Lookups that arrived.
    pub lookups: u32,
    pub body: Value,
    /// We answered so that the caller cannot know whether we have created.
    #[serde(skip)]
    in_doubt: bool,
    #[serde(skip)]
    created: Option<Instant>,
}

#[derive(Default)]
struct Book {
    entries: HashMap<String, Entry>,
    no_dedupe: bool,
    /// Every effect, one line each, so that a restart does not forget what stands.
    journal: Option<File>,
}

/// The partner's own state. Clones share it.
#[derive(Clone, Default)]
pub struct Sandbox(Arc<Mutex<Book>>);

impl Sandbox {
    /// Remembers effects in a file, if one is given.
    pub fn open(journal: Option<PathBuf>) -> std::io::Result<Self> {
        let mut book = Book::default();
        if let Some(path) = journal {
            let file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
            for line in BufReader::new(&file).lines() {
                // A line that was cut off by a crash was never answered for.
                if let Ok((id, body)) = serde_json::from_str::<(String, Value)>(&line?) {
                    let created = Some(Instant::now());
                    book.entries.insert(id, Entry { requests: 1, effects: 1, body, created, ..Entry::default() });
                }
            }
            book.journal = Some(file);
        }
        Ok(Self(Arc::new(Mutex::new(book))))
    }

    /// Without it every creation request is an effect of its own, as at a partner that ignores keys.
    pub fn set_dedupe(&self, dedupe: bool) {
        self.book().no_dedupe = !dedupe;
    }

    /// Whether a status request would be answered with a final state.
    pub fn has_decided(&self, id: &str) -> bool {
        let decided = |entry: Entry| Some(state(&entry, entry.created?) != "pending");
        self.entry(id).and_then(decided).unwrap_or(false)
    }

    pub fn entry(&self, id: &str) -> Option<Entry> {
        self.book().entries.get(id).cloned()
    }

    /// Everything, by command id.
    pub fn entries(&self) -> HashMap<String, Entry> {
        self.book().entries.clone()
    }

    pub fn router(&self) -> Router {
        Router::new()
            .route("/{kind}", post(create))
            .route("/{kind}/{id}", get(look_up))
            .route("/_book", get(book))
            .route("/_book/{id}", get(book_entry))
            .route("/_dedupe", put(dedupe))
            .with_state(self.clone())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn create(State(sandbox): State<Sandbox>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let id = body["id"].as_str().unwrap_or_default().to_owned();
    if id.is_empty() || headers.get("idempotency-key").is_none_or(|key| key != id.as_str()) {
        return refuse(StatusCode::BAD_REQUEST, "Idempotency-Key and id must be the same");
    }
    let behaviour = Behaviour::of(body["amount"].as_str().unwrap_or_default());
    let first = sandbox.book().request(&id);
    match behaviour {
        Behaviour::Reject => refuse(StatusCode::UNPROCESSABLE_ENTITY, "the sandbox rejects amounts that end in .06"),
        Behaviour::UnavailableOnce if first => refuse(StatusCode::SERVICE_UNAVAILABLE, "busy"),
        Behaviour::Unavailable => refuse(StatusCode::SERVICE_UNAVAILABLE, "busy"),
        Behaviour::LostRequestOnce if first => {
            sandbox.book().doubt(&id);
            refuse(StatusCode::GATEWAY_TIMEOUT, "lost on the way in")
        }
        Behaviour::LostAnswer if first => {
            sandbox.book().take_effect(&id, body);
            sandbox.book().doubt(&id);
            refuse(StatusCode::GATEWAY_TIMEOUT, "lost on the way out")
        }
        Behaviour::Slow => {
            sandbox.book().take_effect(&id, body);
            holdfast_queue::backoff::sleep(SLOW).await;
            sandbox.book().answer(&id, StatusCode::CREATED)
        }
        _ => {
            sandbox.book().take_effect(&id, body);
            sandbox.book().answer(&id, StatusCode::CREATED)
        }
    }
}

async fn look_up(State(sandbox): State<Sandbox>, Path((_kind, id)): Path<(String, String)>) -> Response {
    let mut book = sandbox.book();
    if let Some(entry) = book.entries.get_mut(&id) {
        entry.lookups += 1;
        entry.in_doubt = false;
    }
    book.answer(&id, StatusCode::OK)
}

async fn book(State(sandbox): State<Sandbox>) -> Json<HashMap<String, Entry>> {
    Json(sandbox.entries())
}

async fn book_entry(State(sandbox): State<Sandbox>, Path(id): Path<String>) -> Response {
    match sandbox.entry(&id) {
        Some(entry) => Json(entry).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn dedupe(State(sandbox): State<Sandbox>, Json(dedupe): Json<bool>) -> StatusCode {
    sandbox.set_dedupe(dedupe);
    StatusCode::NO_CONTENT
}

impl Book {
    /// Counts a creation request. Returns whether it is the first.
    fn request(&mut self, id: &str) -> bool {
        let entry = self.entries.entry(id.to_owned()).or_default();
        entry.requests += 1;
        entry.while_unknown += u32::from(entry.in_doubt);
        entry.requests == 1
    }

    fn doubt(&mut self, id: &str) {
        self.entries.entry(id.to_owned()).or_default().in_doubt = true;
    }

    fn take_effect(&mut self, id: &str, body: Value) {
        let no_dedupe = self.no_dedupe;
        let entry = self.entries.entry(id.to_owned()).or_default();
        if entry.effects > 0 && !no_dedupe {
            return;
        }
        entry.effects += 1;
        entry.created = Some(Instant::now());
        entry.body = body;
        if let (Some(journal), Ok(mut line)) = (&mut self.journal, serde_json::to_vec(&(id, &entry.body))) {
            line.push(b'\n');
            if let Err(error) = journal.write_all(&line) {
                tracing::error!(%error, "sandbox could not write its journal");
            }
        }
    }

    /// What stands under this id, in the contract's words.
    fn answer(&self, id: &str, status: StatusCode) -> Response {
        let Some((entry, created)) = self.entries.get(id).and_then(|entry| Some((entry, entry.created?))) else {
            return refuse(StatusCode::NOT_FOUND, "there is nothing under this id");
        };
        let state = state(entry, created);
        let reason = (state == "failed").then_some("the sandbox fails amounts that end in .09");
        let body = serde_json::json!({
            "id": format!("sandbox-{}", &id[..8.min(id.len())]),
            "status": state,
            "reason": reason,
            "amount": entry.body["amount"],
            "currency": entry.body["currency"],
            "reference": entry.body["reference"],
        });
        (status, Json(body)).into_response()
    }
}

/// Where what was created at that time stands now.
fn state(entry: &Entry, created: Instant) -> &'static str {
    match Behaviour::of(entry.body["amount"].as_str().unwrap_or_default()) {
        Behaviour::CompleteShortly | Behaviour::FailShortly if created.elapsed() < SHORTLY => "pending",
        Behaviour::FailShortly => "failed",
        _ => "completed",
    }
}

fn refuse(status: StatusCode, reason: &str) -> Response {
    (status, Json(serde_json::json!({ "reason": reason }))).into_response()
}
