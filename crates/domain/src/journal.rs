//! What is taken while Postgres is down: it rests on SQS alone, in the journal queue, until a worker writes it.

use crate::cloud_event::CloudEvent;
use crate::vouched::Mac;
use crate::{Command, CommandId, ServerKey, Status};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One thing that was answered for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "lowercase")]
pub enum Entry {
    /// A client has its 202.
    Command { command: Command },
    /// A partner has its 200.
    Update { update: Update },
}

/// An authentic webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    pub partner: String,
    pub event_id: String,
    pub command: CommandId,
    /// `pending`, `completed` or `failed`.
    pub status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// By the clock of who took it while Postgres could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<DateTime<Utc>>,
}

/// The data of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    #[serde(flatten)]
    pub entry: Entry,
    /// Of that entry. The release before wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
}

pub type Message = CloudEvent<Line>;

impl Entry {
    pub fn into_message(self, server_key: &ServerKey) -> Message {
        let (kind, id, mac) = match &self {
            Self::Command { command } => ("holdfast.journal.command", command.id, Mac::of_command(server_key, command)),
            Self::Update { update } => ("holdfast.journal.update", update.command, Mac::of_update(server_key, update)),
        };
        let line = Line { entry: self, mac: Some(mac) };
        CloudEvent::new(format!("{id}/journal"), kind.to_owned(), id.to_string(), line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn an_entry_reads_back() {
        let update = Update {
            partner: "p".to_owned(),
            event_id: "e".to_owned(),
            command: CommandId(Uuid::from_u128(7)),
            status: Status::Completed,
            reason: None,
            received_at: None,
        };
        let message = Entry::Update { update }.into_message(&ServerKey::parse(&"A".repeat(44)).expect("valid key"));
        let text = serde_json::to_string(&message).expect("serialises");
        assert_eq!(serde_json::from_str::<Message>(&text).expect("parses"), message);
    }
}
