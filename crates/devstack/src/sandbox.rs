//! The sandbox third party: speaks the generic partner contract over real HTTP, and keeps book of what was asked of it.
//!
//! The amount's last two digits pick its behaviour, as test cards do elsewhere (README, "Sandbox"). It counts every
//! creation *request*, and each that came while the outcome of an earlier one was unknown to the caller: a partner that
//! dedupes would hide those.

mod behaviour;

use crate::webhooks::Webhooks;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use behaviour::Behaviour;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a slow answer takes.
const SLOW: Duration = Duration::from_secs(3);

/// How long `….02` stays pending.
const SHORTLY: Duration = Duration::from_secs(1);

/// How long after the creation `….07` sends its webhook.
const WEBHOOK_AFTER: Duration = Duration::from_secs(2);

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
    /// The webhook has been sent.
    #[serde(skip)]
    notified: bool,
}

#[derive(Default)]
struct Book {
    /// By command id; at a partner of a name of its own, by `name/id`.
    entries: HashMap<String, Entry>,
    no_dedupe: bool,
    /// Partners that answer 503 to everything.
    down: HashSet<String>,
    /// Partners that reject every creation.
    rejecting: HashSet<String>,
    /// Partners that never say how anything ended.
    undecided: HashSet<String>,
    webhooks: Option<Webhooks>,
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

    /// From now on webhooks go to `{url}/{partner}`, signed with this secret.
    pub fn send_webhooks(&self, url: &str, secret: &[u8]) {
        self.book().webhooks = Some(Webhooks::new(url, secret));
    }

    pub fn entry(&self, id: &str) -> Option<Entry> {
        self.book().entries.get(id).cloned()
    }

    /// Everything, by command id.
    pub fn entries(&self) -> HashMap<String, Entry> {
        self.book().entries.clone()
    }

    /// What a partner of this name knows of a command. The processor has no name.
    pub fn entry_at(&self, partner: &str, id: &str) -> Option<Entry> {
        self.entry(&format!("{partner}/{id}"))
    }

    /// From now on this partner answers 503 to everything, or no longer.
    pub fn set_down(&self, partner: &str, down: bool) {
        let mut book = self.book();
        match down {
            true => book.down.insert(partner.to_owned()),
            false => book.down.remove(partner),
        };
    }

    /// From now on this partner rejects every creation, or no longer.
    pub fn set_rejecting(&self, partner: &str, rejecting: bool) {
        let mut book = self.book();
        match rejecting {
            true => book.rejecting.insert(partner.to_owned()),
            false => book.rejecting.remove(partner),
        };
    }

    /// From now on this partner answers `pending` to everything.
    pub fn set_undecided(&self, partner: &str) {
        self.book().undecided.insert(partner.to_owned());
    }

    /// `/{kind}` is the processor, `/at/{partner}/{kind}` a partner of that name with a book of its own.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/{kind}", post(create_at_processor))
            .route("/{kind}/{id}", get(look_up_at_processor))
            .route("/at/{partner}/{kind}", post(create_at))
            .route("/at/{partner}/{kind}/{id}", get(look_up_at))
            .route("/_book", get(book))
            .route("/_book/{id}", get(book_entry))
            .route("/_book/{partner}/{id}", get(book_entry_at))
            .route("/_dedupe", put(dedupe))
            .route("/_down/{partner}", put(down))
            .with_state(self.clone())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn create_at_processor(State(sandbox): State<Sandbox>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    create(&sandbox, "", &headers, body).await
}

async fn create_at(
    State(sandbox): State<Sandbox>,
    Path((partner, _kind)): Path<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    create(&sandbox, &partner, &headers, body).await
}

async fn create(sandbox: &Sandbox, partner: &str, headers: &HeaderMap, body: Value) -> Response {
    let id = body["id"].as_str().unwrap_or_default().to_owned();
    if id.is_empty() || headers.get("idempotency-key").is_none_or(|key| key != id.as_str()) {
        return refuse(StatusCode::BAD_REQUEST, "Idempotency-Key and id must be the same");
    }
    let id = key(partner, &id);
    if sandbox.book().is_down(partner) {
        sandbox.book().request(&id);
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "down");
    }
    if sandbox.book().rejecting.contains(partner) {
        sandbox.book().request(&id);
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "this partner rejects everything");
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
        Behaviour::CompleteByWebhook => {
            let command = body["id"].as_str().unwrap_or_default().to_owned();
            sandbox.book().take_effect(&id, body);
            tokio::spawn(notify(sandbox.clone(), partner.to_owned(), command));
            sandbox.book().answer(&id, StatusCode::CREATED)
        }
        _ => {
            sandbox.book().take_effect(&id, body);
            sandbox.book().answer(&id, StatusCode::CREATED)
        }
    }
}

/// Says by webhook, a while later, what no lookup has said before.
async fn notify(sandbox: Sandbox, partner: String, command: String) {
    holdfast_queue::backoff::sleep(WEBHOOK_AFTER).await;
    let Some(webhooks) = sandbox.book().webhooks.clone() else { return };
    webhooks.completed(if partner.is_empty() { "processor" } else { &partner }, &command).await;
    if let Some(entry) = sandbox.book().entries.get_mut(&key(&partner, &command)) {
        entry.notified = true;
    }
}

async fn look_up_at_processor(State(sandbox): State<Sandbox>, Path((_kind, id)): Path<(String, String)>) -> Response {
    look_up(&sandbox, "", &id)
}

async fn look_up_at(
    State(sandbox): State<Sandbox>,
    Path((partner, _kind, id)): Path<(String, String, String)>,
) -> Response {
    look_up(&sandbox, &partner, &id)
}

fn look_up(sandbox: &Sandbox, partner: &str, id: &str) -> Response {
    let id = key(partner, id);
    let mut book = sandbox.book();
    if book.is_down(partner) {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "down");
    }
    if let Some(entry) = book.entries.get_mut(&id) {
        entry.lookups += 1;
        entry.in_doubt = false;
    }
    book.answer(&id, StatusCode::OK)
}

/// Where the book keeps a command of this partner.
fn key(partner: &str, id: &str) -> String {
    match partner {
        "" => id.to_owned(),
        partner => format!("{partner}/{id}"),
    }
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

async fn book_entry_at(State(sandbox): State<Sandbox>, Path((partner, id)): Path<(String, String)>) -> Response {
    book_entry(State(sandbox), Path(key(&partner, &id))).await
}

async fn down(State(sandbox): State<Sandbox>, Path(partner): Path<String>, Json(down): Json<bool>) -> StatusCode {
    // The one at `/` has no name in its paths.
    sandbox.set_down(if partner == "processor" { "" } else { &partner }, down);
    StatusCode::NO_CONTENT
}

async fn dedupe(State(sandbox): State<Sandbox>, Json(dedupe): Json<bool>) -> StatusCode {
    sandbox.set_dedupe(dedupe);
    StatusCode::NO_CONTENT
}

impl Book {
    fn is_down(&self, partner: &str) -> bool {
        self.down.contains(partner)
    }

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
        let partner = id.split_once('/').map_or("", |(partner, _)| partner);
        let state = if self.undecided.contains(partner) { "pending" } else { state(entry, created) };
        let reason = (state == "failed").then_some("the sandbox fails amounts that end in .09");
        let body = serde_json::json!({
            "id": format!("sandbox-{}", id.split('-').next().unwrap_or_default()),
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
        Behaviour::CompleteByWebhook if !entry.notified => "pending",
        Behaviour::CompleteShortly | Behaviour::FailShortly if created.elapsed() < SHORTLY => "pending",
        Behaviour::FailShortly => "failed",
        _ => "completed",
    }
}

fn refuse(status: StatusCode, reason: &str) -> Response {
    (status, Json(serde_json::json!({ "reason": reason }))).into_response()
}
