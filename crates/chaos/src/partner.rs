//! Third parties at their worst. What each of them did is in its book, whatever it answered.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use fastrand::Rng;
use holdfast_app::pause;
use holdfast_devstack::webhooks::Webhooks;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Whoever is asked at the root.
const PROCESSOR: &str = "processor";

/// Longer than anybody waits for an answer.
const HANGS: Duration = Duration::from_secs(3);

/// What one partner knows of one command.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    /// Effects that stand: more than one is a double charge.
    pub(crate) effects: u32,
    pub(crate) requests: u32,
    /// Creations that arrived while the caller could not know what had become of the one before.
    pub(crate) while_unknown: u32,
    pub(crate) amount: Value,
    /// Final states, by the time from which on they are told.
    ends: Option<(Instant, &'static str)>,
    in_doubt: bool,
}

impl Entry {
    /// It stands here: created, and not failed.
    pub(crate) fn stands(&self) -> bool {
        self.effects > 0 && self.ends.is_none_or(|(_, end)| end == "completed")
    }
}

#[derive(Clone)]
pub(crate) struct Partners(Arc<Mutex<Book>>);

struct Book {
    /// By partner and command.
    entries: HashMap<(String, String), Entry>,
    /// Each creation that arrives is an effect of its own.
    strict: bool,
    nice: bool,
    takes: Duration,
    down: HashSet<String>,
    random: Rng,
    webhooks: Option<Webhooks>,
    /// Forged webhooks that were answered with 2xx.
    lies_taken: u64,
}

/// What becomes of one creation.
#[derive(Clone, Copy)]
enum Deed {
    Complete,
    /// Decided after a while; perhaps told by webhook too.
    Pend {
        after: Duration,
        end: &'static str,
        webhook: bool,
    },
    Reject,
    Unavailable,
    /// 504, created or not.
    Lose {
        created: bool,
    },
    /// No answer at all, created or not.
    Hang {
        created: bool,
    },
    /// 500, although created.
    Stumble,
}

impl Deed {
    fn draw(random: &mut Rng, nice: bool) -> Self {
        let after = Duration::from_millis(random.u64(0..1_500));
        match if nice { 0 } else { random.u32(0..100) } {
            0..66 => Self::Complete,
            66..74 => Self::Pend { after, end: "completed", webhook: false },
            74..81 => Self::Pend { after, end: "completed", webhook: true },
            81..83 => Self::Pend { after, end: "failed", webhook: true },
            83..86 => Self::Reject,
            86..89 => Self::Unavailable,
            89..93 => Self::Lose { created: false },
            93..96 => Self::Lose { created: true },
            96 => Self::Hang { created: false },
            97..99 => Self::Hang { created: true },
            _ => Self::Stumble,
        }
    }
}

impl Partners {
    pub(crate) fn new(seed: u64, strict: bool) -> Self {
        let (entries, down) = (HashMap::new(), HashSet::new());
        let random = Rng::with_seed(seed ^ 0x9a27);
        Self(Arc::new(Mutex::new(Book {
            entries,
            strict,
            nice: false,
            takes: Duration::ZERO,
            down,
            random,
            webhooks: None,
            lies_taken: 0,
        })))
    }

    pub(crate) fn send_webhooks(&self, webhooks: Webhooks) {
        self.book().webhooks = Some(webhooks);
    }

    pub(crate) fn be_nice(&self) {
        let mut book = self.book();
        book.nice = true;
        book.down.clear();
    }

    /// From now on every creation takes this long.
    pub(crate) fn be_slow(&self, takes: Duration) {
        self.book().takes = takes;
    }

    pub(crate) fn lies_taken(&self) -> u64 {
        self.book().lies_taken
    }

    /// Of all commands at all partners.
    pub(crate) fn most_effects(&self) -> u32 {
        self.book().entries.values().map(|entry| entry.effects).max().unwrap_or_default()
    }

    pub(crate) fn set_down(&self, partner: &str, down: bool) {
        match down {
            true => self.book().down.insert(partner.to_owned()),
            false => self.book().down.remove(partner),
        };
    }

    pub(crate) fn entry(&self, partner: &str, id: &str) -> Entry {
        self.book().entries.get(&(partner.to_owned(), id.to_owned())).cloned().unwrap_or_default()
    }

    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/{kind}", post(create_at_processor))
            .route("/{kind}/{id}", get(look_up_at_processor))
            .route("/at/{partner}/{kind}", post(create_at))
            .route("/at/{partner}/{kind}/{id}", get(look_up_at))
            .with_state(self.clone())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn create(&self, partner: &str, headers: &HeaderMap, body: Value) -> Response {
        let id = body["id"].as_str().unwrap_or_default().to_owned();
        if headers.get("idempotency-key").is_none_or(|key| key != id.as_str()) {
            return StatusCode::BAD_REQUEST.into_response();
        }
        let takes = self.book().takes;
        pause(takes).await;
        let (deed, known) = {
            let mut book = self.book();
            let deed = if book.down.contains(partner) {
                Deed::Unavailable
            } else {
                let nice = book.nice;
                Deed::draw(&mut book.random, nice)
            };
            let strict = book.strict;
            let entry = book.entries.entry((partner.to_owned(), id.clone())).or_default();
            entry.requests += 1;
            entry.while_unknown += u32::from(entry.in_doubt);
            (deed, !strict && entry.effects > 0)
        };
        // Who knows the key again answers with what stands.
        let deed = if known { Deed::Complete } else { deed };
        self.carry_out(partner, &id, deed, &body["amount"], known).await
    }

    async fn carry_out(&self, partner: &str, id: &str, deed: Deed, amount: &Value, known: bool) -> Response {
        let now = Instant::now();
        match deed {
            Deed::Complete if known => self.answer(partner, id),
            Deed::Complete => {
                self.take_effect(partner, id, amount, (now, "completed"));
                self.answer(partner, id)
            }
            Deed::Pend { after, end, webhook } => {
                self.take_effect(partner, id, amount, (now + after, end));
                if webhook {
                    self.notify(partner, id, after, end);
                }
                self.answer(partner, id)
            }
            Deed::Reject => (StatusCode::UNPROCESSABLE_ENTITY, "no").into_response(),
            Deed::Unavailable => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Deed::Lose { created } => {
                self.leave_in_doubt(partner, id, created.then_some(amount));
                StatusCode::GATEWAY_TIMEOUT.into_response()
            }
            Deed::Hang { created } => {
                self.leave_in_doubt(partner, id, created.then_some(amount));
                pause(HANGS).await;
                StatusCode::OK.into_response()
            }
            Deed::Stumble => {
                self.leave_in_doubt(partner, id, Some(amount));
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    fn take_effect(&self, partner: &str, id: &str, amount: &Value, ends: (Instant, &'static str)) {
        let mut book = self.book();
        let entry = book.entries.entry((partner.to_owned(), id.to_owned())).or_default();
        entry.effects += 1;
        entry.amount = amount.clone();
        entry.ends = Some(ends);
    }

    fn leave_in_doubt(&self, partner: &str, id: &str, created: Option<&Value>) {
        if let Some(amount) = created {
            self.take_effect(partner, id, amount, (Instant::now(), "completed"));
        }
        let mut book = self.book();
        book.entries.entry((partner.to_owned(), id.to_owned())).or_default().in_doubt = true;
    }

    /// Tells how it ended, early or late, twice now and then, and sometimes forged by somebody before.
    fn notify(&self, partner: &str, id: &str, after: Duration, end: &'static str) {
        let (webhooks, early, twice, forged) = {
            let mut book = self.book();
            let random = &mut book.random;
            let drawn = (random.u32(0..4) == 0, random.u32(0..4) == 0, random.u32(0..4) == 0);
            let Some(webhooks) = book.webhooks.clone() else { return };
            (webhooks, drawn.0, drawn.1, drawn.2)
        };
        let (partner, id) = (partner.to_owned(), id.to_owned());
        let book = self.clone();
        tokio::spawn(async move {
            if forged {
                let lie = json!({ "id": id, "status": if end == "completed" { "failed" } else { "completed" } });
                let taken = webhooks.forged().send(&partner, &format!("lie-{id}"), &lie.to_string()).await;
                book.book().lies_taken += u64::from(taken);
            }
            pause(if early { Duration::ZERO } else { after }).await;
            let body = json!({ "id": id, "status": end }).to_string();
            for _ in 0..if twice { 2 } else { 1 } {
                let event = format!("{partner}-{id}");
                for _ in 0..100 {
                    if webhooks.send(&partner, &event, &body).await {
                        break;
                    }
                    pause(Duration::from_millis(300)).await;
                }
            }
        });
    }

    fn look_up(&self, partner: &str, id: &str) -> Response {
        {
            let mut book = self.book();
            let nice = book.nice;
            if book.down.contains(partner) || (!nice && book.random.u32(0..20) == 0) {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            if let Some(entry) = book.entries.get_mut(&(partner.to_owned(), id.to_owned())) {
                entry.in_doubt = false;
            }
        }
        self.answer(partner, id)
    }

    fn answer(&self, partner: &str, id: &str) -> Response {
        let entry = self.entry(partner, id);
        let Some((from, end)) = entry.ends else { return StatusCode::NOT_FOUND.into_response() };
        let status = if Instant::now() < from { "pending" } else { end };
        let record = json!({ "id": format!("{partner}-{id}"), "status": status, "amount": entry.amount });
        Json(record).into_response()
    }
}

async fn create_at_processor(State(book): State<Partners>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    book.create(PROCESSOR, &headers, body).await
}

async fn create_at(
    State(book): State<Partners>,
    Path((partner, _kind)): Path<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    book.create(&partner, &headers, body).await
}

async fn look_up_at_processor(State(book): State<Partners>, Path((_kind, id)): Path<(String, String)>) -> Response {
    book.look_up(PROCESSOR, &id)
}

async fn look_up_at(
    State(book): State<Partners>,
    Path((partner, _kind, id)): Path<(String, String, String)>,
) -> Response {
    book.look_up(&partner, &id)
}
