//! What we stand on: Postgres and SQS.

use super::Millis;
use crate::track::Track;
use holdfast_domain::Kind;
use holdfast_store::pool::Limits;
use serde::Deserialize;
use std::num::NonZeroU32;

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// Connections per process.
    pub connections: u32,
    /// How long a request waits for a connection before Postgres counts as down.
    pub acquire_timeout_ms: Millis,
    /// Postgres itself ends a statement that takes longer.
    pub statement_timeout_ms: Millis,
    /// How long a statement waits for a row that somebody else has locked.
    pub lock_timeout_ms: Millis,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            connections: 10,
            acquire_timeout_ms: Millis(2_000),
            statement_timeout_ms: Millis(5_000),
            lock_timeout_ms: Millis(500),
        }
    }
}

impl Database {
    pub const fn limits(&self) -> Limits {
        Limits {
            connections: self.connections,
            acquire_timeout: self.acquire_timeout_ms.get(),
            statement_timeout: self.statement_timeout_ms.get(),
            lock_timeout: self.lock_timeout_ms.get(),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sqs {
    /// Also `AWS_REGION`.
    pub region: Option<String>,
    /// Another address than AWS's own. Also `AWS_ENDPOINT_URL_SQS`.
    pub endpoint_url: Option<String>,
}

/// Names of the queues; `terraform/queues.json` describes them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueNames {
    pub transactions: String,
    pub refunds: String,
    pub orders: String,
    /// Takes what is accepted while Postgres is down.
    pub journal: String,
    /// What follows the name of a queue in that of its dead-letter queue.
    pub dead_letter_suffix: String,
    /// What follows the name of a queue in that of its overflow queue.
    pub overflow_suffix: String,
    /// A client's share: as many of its messages a second go by the queues of their kinds, per process. What is beyond goes
    /// by their overflow queues, where it holds up nobody else.
    pub share_per_s: NonZeroU32,
    /// Whether messages name their client as their group, for SQS's fair queues. Not every emulator takes it.
    pub fair: bool,
    /// Whether whole commands in messages without a MAC are believed if they agree with themselves, as the release before
    /// wrote them.
    pub accept_without_mac: bool,
}

impl Default for QueueNames {
    fn default() -> Self {
        let name = |kind: Kind| format!("holdfast-{}", kind.plural());
        Self {
            transactions: name(Kind::Transaction),
            refunds: name(Kind::Refund),
            orders: name(Kind::Order),
            journal: "holdfast-journal".to_owned(),
            dead_letter_suffix: "-dlq".to_owned(),
            overflow_suffix: "-overflow".to_owned(),
            share_per_s: NonZeroU32::new(100).expect("not zero"),
            fair: false,
            accept_without_mac: true,
        }
    }
}

impl QueueNames {
    pub fn of(&self, kind: Kind) -> &str {
        match kind {
            Kind::Transaction => &self.transactions,
            Kind::Refund => &self.refunds,
            Kind::Order => &self.orders,
        }
    }

    pub fn on(&self, kind: Kind, track: Track) -> String {
        match track {
            Track::Share => self.of(kind).to_owned(),
            Track::Overflow => format!("{}{}", self.of(kind), self.overflow_suffix),
        }
    }

    /// Of both its queues.
    pub fn dead_letters_of(&self, kind: Kind) -> String {
        format!("{}{}", self.of(kind), self.dead_letter_suffix)
    }
}
