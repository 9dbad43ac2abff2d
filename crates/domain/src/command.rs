//! What a client asked for, as it was accepted.

use crate::{ClientNo, CommandId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The kinds of command. Every `match` on it is exhaustive: a new kind that somebody forgot is a compile error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Transaction,
    Refund,
    Order,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Transaction, Self::Refund, Self::Order];

    /// Singular, as in event types and log fields.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::Refund => "refund",
            Self::Order => "order",
        }
    }

    /// Plural, as in routes, queues and partner paths.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Transaction => "transactions",
            Self::Refund => "refunds",
            Self::Order => "orders",
        }
    }

    /// As stored in `commands.kind`. Never reused.
    pub const fn code(self) -> i16 {
        match self {
            Self::Transaction => 1,
            Self::Refund => 2,
            Self::Order => 3,
        }
    }

    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who is owed: the command its own run, or the client what must still be told. Each has its own slots and schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    Run,
    Tell,
}

impl Lane {
    /// As stored in `wakeups.lane`. `Run` sorts first: who needs both rows locks them in this order.
    pub const fn code(self) -> i16 {
        match self {
            Self::Run => 0,
            Self::Tell => 1,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Tell => "tell",
        }
    }

    pub fn from_code(code: i16) -> Option<Self> {
        [Self::Run, Self::Tell].into_iter().find(|lane| lane.code() == code)
    }
}

/// A whole command: enough to stand in for a row that is not there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    pub id: CommandId,
    pub client: ClientNo,
    pub kind: Kind,
    /// What identifies the command: the body's own id, else the `Idempotency-Key` header.
    pub key: String,
    /// The header, where the body's id identifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_key: Option<String>,
    /// SHA-256 of the canonical form of what the client sent.
    #[serde(with = "base64_bytes")]
    pub fingerprint: [u8; 32],
    /// The body, byte for byte.
    pub body: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// When it was accepted, where that was not in Postgres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<DateTime<Utc>>,
}

/// Nothing that is the client's own.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, client, kind, .. } = self;
        let mut shown = f.debug_struct("Command");
        shown.field("id", id).field("client", client).field("kind", kind).finish_non_exhaustive()
    }
}

/// Longest idempotency key, from header or body.
pub const MAX_KEY_LEN: usize = 255;

/// Idempotency keys and clients' own ids: 1 to 255 visible ASCII characters, so that they survive headers and logs.
pub fn is_key(text: &str) -> bool {
    (1..=MAX_KEY_LEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

pub(crate) mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        bytes.try_into().map_err(|_| D::Error::custom("must have 32 bytes"))
    }
}
