//! The audit trail of a command: what happened, when, in whose hands.

use crate::status::Reason;
use crate::{CommandId, Status, WorkerId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One thing that happened. A row of `events` holds those since the write before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Postgres' time at the claim plus what the worker's monotonic clock measured since.
    pub at: DateTime<Utc>,
    /// What the command is after the write that ends with this, where nothing else in it says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<Status>,
    #[serde(flatten)]
    pub what: Happening,
}

impl Entry {
    pub const fn new(at: DateTime<Utc>, what: Happening) -> Self {
        Self { at, state: None, what }
    }

    /// What the command is after it. `None`: this entry does not say.
    fn status_after(&self) -> Option<Status> {
        self.state.or(match &self.what {
            Happening::Finished { status, .. } | Happening::Resolved { status, .. } => Some(*status),
            Happening::Rejected { .. } => Some(Status::Failed),
            Happening::Cancelled => Some(Status::Cancelled),
            Happening::Retried { .. } => Some(Status::Processing),
            Happening::Claimed { .. }
            | Happening::Recorded
            | Happening::Created { .. }
            | Happening::LookedUp { .. }
            | Happening::Polled { .. }
            | Happening::Notified { .. }
            | Happening::Waiting { .. }
            | Happening::CallbackAttempted { .. }
            | Happening::CallbackGivenUp { .. } => None,
        })
    }
}

/// What a command is after the write that appended these. One of an earlier release may not say whether its partner had
/// begun: it was in somebody's hands, and no more is known.
pub fn status_after(entries: &[Entry]) -> Status {
    entries.iter().rev().find_map(Entry::status_after).unwrap_or(Status::Processing)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Happening {
    Claimed {
        worker: WorkerId,
        /// The claim before this one was not released: whatever it was doing may have happened.
        taken_over: bool,
    },
    Recorded,
    Created {
        partner: String,
        attempt: u16,
        #[serde(flatten)]
        answer: Answer,
    },
    LookedUp {
        partner: String,
        #[serde(flatten)]
        answer: Answer,
    },
    Polled {
        partner: String,
        #[serde(flatten)]
        answer: Answer,
    },
    /// A webhook of the partner's said how it ended.
    Notified {
        partner: String,
        event_id: String,
        outcome: Status,
        received_at: DateTime<Utc>,
    },
    Waiting {
        for_ms: u64,
        why: String,
    },
    Finished {
        status: Status,
        /// Why, unless it is completed. Rows of an earlier release do not say.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<Reason>,
    },
    /// Its key stood for other content when it was written down.
    Rejected {
        conflicts_with: CommandId,
    },
    /// By its client, before anything was sent.
    Cancelled,
    /// By an operator, or because this partner has said how it ended: what was parked is carried on.
    Retried {
        by: String,
        why: String,
    },
    /// By an operator, who has found out how it ended.
    Resolved {
        status: Status,
        by: String,
        why: String,
    },
    CallbackAttempted {
        callback_id: String,
        attempt: u16,
        status: Status,
        #[serde(flatten)]
        answer: Answer,
        /// How the client's own endpoint began its answer.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        excerpt: Option<String>,
    },
    /// The last callback attempt the schedule allows has failed, or the endpoint said that it is gone.
    CallbackGivenUp {
        callback_id: String,
        why: String,
    },
}

/// What came back from somebody else's system. Never a body: only what an auditor needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub outcome: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub http_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    pub took_ms: u64,
}
