//! What others are told: every state change of a command as a CloudEvent, for sinks that the operator has configured.
//!
//! An event is made of what never changes, the command as it was accepted and the rows of its trail, so that it is the same
//! whenever it is made: at first, after a crash, in a replay a year later. `docs/events.md` is for those who read them.

use crate::cloud_event::CloudEvent;
use crate::content::Content;
use crate::money::Money;
use crate::resource::{milliseconds, optional_milliseconds};
use crate::status::Reason;
use crate::trail::{Entry, Happening, status_after};
use crate::{CommandId, Kind, Status};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::fmt;

/// Of what `data` looks like. A field that is added leaves it as it is; one that goes or changes its meaning makes a new one.
pub const VERSION: u32 = 1;

pub type Event = CloudEvent<Data>;

/// A command as it was accepted.
#[derive(Clone)]
pub struct Subject {
    pub id: CommandId,
    pub client: String,
    pub kind: Kind,
    pub key: String,
    /// `None`: this version cannot read it.
    pub content: Option<Content>,
    pub traceparent: Option<String>,
    pub accepted_at: DateTime<Utc>,
}

/// One write to its trail.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    pub sequence: i32,
    pub at: DateTime<Utc>,
    pub entries: &'a [Entry],
    /// Those of the write before, unless that was its acceptance.
    pub before: Option<&'a [Entry]>,
    /// What the step `record` has found out, where the client left the amount open.
    pub amount: Option<Money>,
}

/// Nothing secret, and not where the client is told.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Data {
    /// The name of the client.
    pub client: String,
    pub kind: Kind,
    pub status: Status,
    /// What identifies the command among those of its client and kind.
    pub key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Of a request that was rejected late: the command that stands under its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflicts_with: Option<CommandId>,
    #[serde(flatten)]
    pub content: Option<Content>,
    #[serde(serialize_with = "milliseconds")]
    pub created_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_milliseconds")]
    pub finished_at: Option<DateTime<Utc>>,
    /// Since the event before.
    pub happened: Vec<Happened>,
}

/// Without what is in it.
impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, status, .. } = self;
        f.debug_struct("Data").field("kind", kind).field("status", status).finish_non_exhaustive()
    }
}

/// What somebody outside can make something of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Happened {
    pub at: DateTime<Utc>,
    #[serde(rename = "type")]
    pub what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// The same however often it is sent.
pub fn id(command: CommandId, sequence: i32) -> String {
    format!("{command}/{sequence}")
}

/// The path of the schema of `data`.
pub fn schema(kind: Kind) -> String {
    format!("/schemas/events/{VERSION}/{kind}.json")
}

/// Its first event.
pub fn accepted(subject: Subject) -> Event {
    let at = subject.accepted_at;
    let kind = format!("{}.{}", subject.kind, Status::Accepted);
    event(subject, 0, at, kind, |data| data)
}

/// A later one.
pub fn changed(mut subject: Subject, write: Write<'_>) -> Event {
    let Write { sequence, at, entries, before, amount } = write;
    let status = status_after(entries);
    let conflicts_with = entries.iter().find_map(|entry| match entry.what {
        Happening::Rejected { conflicts_with } => Some(conflicts_with),
        _ => None,
    });
    let kind = match conflicts_with {
        Some(_) => "request.rejected".to_owned(),
        None if status == before.map_or(Status::Accepted, status_after) => format!("{}.progressed", subject.kind),
        None => format!("{}.{status}", subject.kind),
    };
    // What the step has written stands only where it has surely been done.
    if let (Status::Pending | Status::Completed, Some(amount), Some(content)) = (status, amount, &mut subject.content) {
        content.decide_amount(amount);
    }
    event(subject, sequence, at, kind, |data| Data {
        status,
        reason: reason(entries),
        conflicts_with,
        finished_at: status.is_settled().then_some(at),
        happened: entries.iter().filter_map(happened).collect(),
        ..data
    })
}

fn event(subject: Subject, sequence: i32, at: DateTime<Utc>, kind: String, tell: impl FnOnce(Data) -> Data) -> Event {
    let name = subject.id.to_string();
    let data = Data {
        client: subject.client,
        kind: subject.kind,
        status: Status::Accepted,
        key: subject.key,
        reason: None,
        conflicts_with: None,
        content: subject.content.map(Content::for_others),
        created_at: subject.accepted_at,
        finished_at: None,
        happened: Vec::new(),
    };
    let mut event = CloudEvent::new(id(subject.id, sequence), kind, name.clone(), tell(data));
    event.time = Some(at);
    event.sequence = Some(sequence.to_string());
    event.dataschema = Some(schema(subject.kind));
    event.traceparent = subject.traceparent;
    event.partitionkey = Some(name);
    event
}

/// Why it ended so. What an operator has written down is not for others.
fn reason(entries: &[Entry]) -> Option<Reason> {
    entries.iter().rev().find_map(|entry| match &entry.what {
        Happening::Finished { reason, .. } => reason.clone(),
        Happening::Rejected { conflicts_with } => {
            let detail = format!("{conflicts_with} stands under this key, with other content");
            Some(Reason::new("idempotency_key_reused", detail))
        }
        Happening::Resolved { status: Status::Failed, .. } => {
            Some(Reason::new("resolved_by_operator", "an operator has found out that it failed"))
        }
        _ => None,
    })
}

/// `None`: it is nobody else's business, or the type of the event says it.
fn happened(entry: &Entry) -> Option<Happened> {
    let (what, partner, outcome) = match &entry.what {
        Happening::Recorded => ("recorded", None, None),
        Happening::Created { partner, answer, .. } => ("created", Some(partner), Some(answer.outcome.clone())),
        Happening::LookedUp { partner, answer } => ("looked_up", Some(partner), Some(answer.outcome.clone())),
        Happening::Polled { partner, answer } => ("polled", Some(partner), Some(answer.outcome.clone())),
        Happening::Notified { partner, outcome, .. } => ("notified", Some(partner), Some(outcome.to_string())),
        Happening::Waiting { .. } => ("waiting", None, None),
        Happening::Retried { .. } => ("retried", None, None),
        Happening::Resolved { .. } => ("resolved", None, None),
        Happening::Claimed { .. }
        | Happening::Finished { .. }
        | Happening::Rejected { .. }
        | Happening::Cancelled
        | Happening::CallbackAttempted { .. }
        | Happening::CallbackGivenUp { .. } => return None,
    };
    Some(Happened { at: entry.at, what, partner: partner.cloned(), outcome })
}

#[cfg(test)]
mod tests;
