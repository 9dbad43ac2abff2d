//! What a client was told of one command, attempt by attempt, and telling it once more.

use crate::query::{self, Found, Lookup, View};
use crate::{App, endpoint};
use chrono::{DateTime, Utc};
use holdfast_domain::cloud_event::callback_id;
use holdfast_domain::resource::{milliseconds, optional_milliseconds};
use holdfast_domain::trail::{Answer, Happening};
use holdfast_domain::{ClientNo, CommandId, Kind, Status, Tombstone};
use holdfast_store::operator::Operator;
use holdfast_store::wakeups::{self, Owed};
use holdfast_store::{Error, callback_resends, events};
use serde::Serialize;

/// Who has not heard of it after this many attempts will not by one more.
const MOST_ATTEMPTS: usize = 1_000;

/// One state that the client was told of, or is owed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Callback {
    /// The event's id, the same on every attempt.
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub sequence: i32,
    pub state: State,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_milliseconds")]
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub attempts: Vec<Attempt>,
    #[serde(skip)]
    status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// An attempt will follow, or is under way.
    Owed,
    Delivered,
    /// The endpoint answered 410, or the schedule has ended.
    GivenUp,
    /// A later state is told in its place.
    Superseded,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    pub attempt: u16,
    #[serde(serialize_with = "milliseconds")]
    pub at: DateTime<Utc>,
    #[serde(flatten)]
    pub answer: Answer,
    /// How the answer's body began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
}

pub enum Resent {
    Owed(Box<Callback>),
    /// Why not, as a sentence.
    Refused(String),
    /// What it would say is no longer kept.
    Archived(Tombstone),
    /// No such command, or no such callback of it.
    Nothing,
}

/// Everything that this client was told about its command, oldest first.
pub async fn list(app: &App, client: ClientNo, kind: Kind, id: CommandId) -> Result<Lookup<Vec<Callback>>, Error> {
    match query::find(app, client, kind, id).await? {
        Found::Command(view) => Ok(Lookup::Found(of(app, &view).await?)),
        Found::Archived(tombstone) => Ok(Lookup::Archived(tombstone)),
        Found::IssuedOnly | Found::Nothing => Ok(Lookup::Nothing),
    }
}

/// Owes the client this callback once more, at once and on a schedule that begins anew. Only the present state can be
/// told: a receiver must never be led backwards.
pub async fn resend(app: &App, client: ClientNo, kind: Kind, id: CommandId, callback: &str) -> Result<Resent, Error> {
    resend_by(app, (client, kind, id), callback, None).await
}

/// The same by an operator, whichever client's command it is. Written down before it is done: what is done was written.
pub async fn resend_for(app: &App, whose: Whose, callback: &str, operator: Operator<'_>) -> Result<Resent, Error> {
    resend_by(app, whose, callback, Some(operator)).await
}

/// A command, as it is found.
pub type Whose = (ClientNo, Kind, CommandId);

async fn resend_by(
    app: &App,
    (client, kind, id): Whose,
    callback: &str,
    operator: Option<Operator<'_>>,
) -> Result<Resent, Error> {
    let view = match query::find(app, client, kind, id).await? {
        Found::Command(view) => view,
        Found::Archived(tombstone) => return Ok(Resent::Archived(tombstone)),
        Found::IssuedOnly | Found::Nothing => return Ok(Resent::Nothing),
    };
    let find = |known: Vec<Callback>| known.into_iter().find(|known| known.id == callback);
    let Some(known) = find(of(app, &view).await?) else { return Ok(Resent::Nothing) };
    if known.status != view.version.status || known.state == State::Superseded {
        return Ok(Resent::Refused(format!("A later state has taken its place: it is {}", view.version.status)));
    }
    if known.attempts.len() >= MOST_ATTEMPTS {
        return Ok(Resent::Refused("It was sent too often".to_owned()));
    }
    if !endpoint::is_told(app, client, &view.resource.content).await? {
        return Ok(Resent::Refused("There is no endpoint to send it to".to_owned()));
    }
    if let Some(operator) = operator {
        callback_resends::record(&app.pool, view.no, callback, operator).await?;
    }
    if !wakeups::owe_again(&app.pool, view.no, known.sequence).await? {
        return gone_meanwhile(app, (client, kind, id)).await;
    }
    Ok(find(of(app, &view).await?).map_or(Resent::Nothing, |known| Resent::Owed(Box::new(known))))
}

/// Its end is no longer what it was when it was looked at.
async fn gone_meanwhile(app: &App, (client, kind, id): Whose) -> Result<Resent, Error> {
    match query::find(app, client, kind, id).await? {
        Found::Archived(tombstone) => Ok(Resent::Archived(tombstone)),
        Found::Command(_) => Ok(Resent::Refused("It is being taken up again".to_owned())),
        Found::IssuedOnly | Found::Nothing => Ok(Resent::Nothing),
    }
}

async fn of(app: &App, view: &View) -> Result<Vec<Callback>, Error> {
    let mut callbacks: Vec<Callback> = Vec::new();
    for appended in events::of(&app.pool, view.no).await? {
        for entry in appended.entries {
            match entry.what {
                Happening::CallbackAttempted { callback_id, attempt, status, answer, excerpt } => {
                    let known = callbacks.iter().position(|known| known.id == callback_id);
                    let at = known.unwrap_or_else(|| {
                        callbacks.push(Callback::new(view, callback_id, status, appended.sequence));
                        callbacks.len() - 1
                    });
                    let callback = &mut callbacks[at];
                    callback.state = if answer.outcome == "delivered" { State::Delivered } else { State::Superseded };
                    callback.attempts.push(Attempt { attempt, at: entry.at, answer, excerpt });
                }
                Happening::CallbackGivenUp { callback_id, .. } => {
                    let given_up = callbacks.iter_mut().filter(|known| known.id == callback_id);
                    given_up.for_each(|callback| callback.state = State::GivenUp);
                }
                _ => {}
            }
        }
    }
    if let Some(owed) = wakeups::owed(&app.pool, view.no).await? {
        owe(&mut callbacks, view, owed);
    }
    Ok(callbacks)
}

/// What is owed is the state of now, if it is one that clients are told of.
fn owe(callbacks: &mut Vec<Callback>, view: &View, owed: Owed) {
    let status = view.version.status;
    if !(status.is_settled() || status == Status::Pending) {
        return;
    }
    let sequence = if status.is_settled() { view.version.sequence } else { owed.sequence };
    let id = callback_id(view.resource.id, status, sequence);
    let at = callbacks.iter().position(|known| known.id == id).unwrap_or_else(|| {
        callbacks.push(Callback::new(view, id, status, sequence));
        callbacks.len() - 1
    });
    callbacks[at].state = State::Owed;
    callbacks[at].next_attempt_at = Some(owed.run_at);
}

impl Callback {
    fn new(view: &View, id: String, status: Status, sequence: i32) -> Self {
        let kind = match view.resource.conflicts_with {
            Some(_) => view.resource.event_type(),
            None => format!("{}.{status}", view.resource.kind),
        };
        Self { id, kind, sequence, state: State::Owed, next_attempt_at: None, attempts: Vec::new(), status }
    }
}
