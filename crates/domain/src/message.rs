//! What travels through SQS: "look at this command". A message has no power of its own; what the first one carries beside
//! that is believed with a MAC alone (`vouched`).

use crate::cloud_event::CloudEvent;
use crate::vouched::Mac;
use crate::{Command, CommandId, CommandNo, Kind, Lane, ServerKey};
use serde::{Deserialize, Serialize};

/// The data of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wakeup {
    pub no: CommandNo,
    pub lane: Lane,
    /// Only in the first message of a command: stands in for a row that is not there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub command: Option<Command>,
    /// Of that command.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mac: Option<Mac>,
}

pub type Message = CloudEvent<Wakeup>;

/// The message that goes out right after acceptance, with the whole command.
pub fn first(server_key: &ServerKey, no: CommandNo, command: Command) -> Message {
    let (id, kind, mac) = (command.id, command.kind, Mac::of_command(server_key, &command));
    message(id, kind, Wakeup { no, lane: Lane::Run, command: Some(command), mac: Some(mac) })
}

/// A bare nudge.
pub fn nudge(no: CommandNo, id: CommandId, kind: Kind, lane: Lane) -> Message {
    message(id, kind, Wakeup { no, lane, command: None, mac: None })
}

fn message(id: CommandId, kind: Kind, wakeup: Wakeup) -> Message {
    let lane = match wakeup.lane {
        Lane::Run => "run",
        Lane::Tell => "tell",
    };
    CloudEvent::new(format!("{id}/{lane}"), format!("holdfast.{kind}.{lane}"), id.to_string(), wakeup)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientNo;
    use uuid::Uuid;

    #[test]
    fn a_message_reads_back() {
        let command = Command {
            id: CommandId(Uuid::from_u128(7)),
            client: ClientNo(1),
            kind: Kind::Transaction,
            key: "a".to_owned(),
            header_key: None,
            fingerprint: [3; 32],
            body: r#"{"amount": 1.0, "currency": "EUR"}"#.to_owned(),
            traceparent: None,
            accepted_at: None,
        };
        let key = ServerKey::parse(&"A".repeat(44)).expect("valid key");
        let message = first(&key, CommandNo(5), command);
        let text = serde_json::to_string(&message).expect("serialises");
        assert_eq!(serde_json::from_str::<Message>(&text).expect("parses"), message);
    }
}
