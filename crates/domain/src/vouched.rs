//! Why what a message says is believed where no row says it: a MAC that nobody can compute who has not the server key. Who
//! may send to a queue, and no more, can submit nothing in a client's name and put no word into a partner's mouth.

use crate::journal::Update;
use crate::{Command, CommandId, ServerKey, content, json};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

/// HMAC-SHA256 over everything that is written down from a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mac(#[serde(with = "crate::command::base64_bytes")] [u8; 32]);

impl Mac {
    /// Over the fields, not over their JSON: nothing is serialised twice, and no reader has to find the same text again.
    pub fn of_command(server_key: &ServerKey, command: &Command) -> Self {
        let Command { id, client, kind, key, header_key, fingerprint, body, traceparent, accepted_at } = command;
        let accepted_at = accepted_at.map(time);
        let [header_key, traceparent] =
            [header_key, traceparent].map(|text| optional(text.as_deref().map(str::as_bytes)));
        let accepted_at = optional(accepted_at.as_ref().map(|time| &time[..]));
        Self(server_key.message_mac(&[
            b"command",
            id.0.as_bytes(),
            &client.0.to_be_bytes(),
            kind.name().as_bytes(),
            key.as_bytes(),
            header_key.0,
            header_key.1,
            fingerprint,
            body.as_bytes(),
            traceparent.0,
            traceparent.1,
            accepted_at.0,
            accepted_at.1,
        ]))
    }

    pub fn of_update(server_key: &ServerKey, update: &Update) -> Self {
        let Update { partner, event_id, command, status, reason, received_at } = update;
        let received_at = received_at.map(time);
        let reason = optional(reason.as_deref().map(str::as_bytes));
        let received_at = optional(received_at.as_ref().map(|time| &time[..]));
        Self(server_key.message_mac(&[
            b"update",
            partner.as_bytes(),
            event_id.as_bytes(),
            command.0.as_bytes(),
            status.name().as_bytes(),
            reason.0,
            reason.1,
            received_at.0,
            received_at.1,
        ]))
    }

    fn is(self, computed: Self) -> bool {
        self.0.ct_eq(&computed.0).into()
    }
}

/// What is absent is not what is empty.
fn optional(value: Option<&[u8]>) -> (&'static [u8], &[u8]) {
    value.map_or((b"-", b""), |value| (b"+", value))
}

/// To the nanosecond, as JSON has it.
fn time(at: chrono::DateTime<chrono::Utc>) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&at.timestamp().to_be_bytes());
    bytes[8..].copy_from_slice(&at.timestamp_subsec_nanos().to_be_bytes());
    bytes
}

/// Why a message is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    #[error("it has no MAC")]
    NoMac,
    #[error("its MAC is not that of what it says")]
    WrongMac,
    #[error("its id is not that of its client, kind and key")]
    OtherId,
    #[error("its fingerprint is not that of its body")]
    OtherContent,
}

impl Doubt {
    /// For metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoMac => "no_mac",
            Self::WrongMac => "wrong_mac",
            Self::OtherId => "other_id",
            Self::OtherContent => "other_content",
        }
    }
}

/// What becomes of a command without a MAC: the release before wrote none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// Believed if it agrees with itself: nobody without the server key can compute an id, though whoever has read one can
    /// repeat it with another body.
    Examined,
    Refused,
}

/// What may be written down. There is no way to one but through the checks below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched<T>(T);

impl<T> Vouched<T> {
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> AsRef<T> for Vouched<T> {
    fn as_ref(&self) -> &T {
        &self.0
    }
}

impl Vouched<Command> {
    pub const fn id(&self) -> CommandId {
        self.0.id
    }

    pub fn shared(self) -> Vouched<Arc<Command>> {
        Vouched(Arc::new(self.0))
    }

    pub fn command(
        server_key: &ServerKey,
        command: Command,
        mac: Option<Mac>,
        unsigned: Unsigned,
    ) -> Result<Self, Doubt> {
        match mac {
            Some(mac) if mac.is(Mac::of_command(server_key, &command)) => {}
            Some(_) => return Err(Doubt::WrongMac),
            None if unsigned == Unsigned::Refused => return Err(Doubt::NoMac),
            None if !is_fingerprint(&command) => return Err(Doubt::OtherContent),
            None => {}
        }
        let Command { id, client, kind, ref key, .. } = command;
        if CommandId::compute(server_key, client, kind, key) != id {
            return Err(Doubt::OtherId);
        }
        Ok(Self(command))
    }
}

impl Vouched<Update> {
    /// Without a MAC nothing speaks for it: what a partner says cannot be computed.
    pub fn update(server_key: &ServerKey, update: Update, mac: Option<Mac>) -> Result<Self, Doubt> {
        match mac {
            Some(mac) if mac.is(Mac::of_update(server_key, &update)) => Ok(Self(update)),
            Some(_) => Err(Doubt::WrongMac),
            None => Err(Doubt::NoMac),
        }
    }
}

fn is_fingerprint(command: &Command) -> bool {
    let Command { kind, body, fingerprint, .. } = command;
    json::parse(body.as_bytes()).is_ok_and(|document| content::is_fingerprint(*kind, document.root, fingerprint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClientNo, Kind, Status};

    fn key(letter: &str) -> ServerKey {
        ServerKey::parse(&letter.repeat(44)).expect("valid key")
    }

    fn command() -> Command {
        let body = r#"{"orderId": "o-1"}"#.to_owned();
        Command {
            id: CommandId::compute(&key("A"), ClientNo(1), Kind::Order, "o-1"),
            client: ClientNo(1),
            kind: Kind::Order,
            key: "o-1".to_owned(),
            header_key: None,
            fingerprint: json::parse(body.as_bytes()).expect("JSON").root.fingerprint(),
            body,
            traceparent: None,
            accepted_at: Some("2026-03-01T12:00:00.123456789Z".parse().expect("a time")),
        }
    }

    fn update() -> Update {
        Update {
            partner: "processor".to_owned(),
            event_id: "e-1".to_owned(),
            command: command().id,
            status: Status::Completed,
            reason: None,
            received_at: Some("2026-03-01T12:00:00Z".parse().expect("a time")),
        }
    }

    #[test]
    fn a_command_is_believed_as_it_was_signed_and_not_otherwise() {
        let mac = Some(Mac::of_command(&key("A"), &command()));
        let check = |command| Vouched::command(&key("A"), command, mac, Unsigned::Refused).map(Vouched::into_inner);
        assert_eq!(check(command()), Ok(command()));
        let base = command();
        let altered = [
            Command { id: CommandId::compute(&key("A"), ClientNo(1), Kind::Order, "o-2"), ..base.clone() },
            Command { client: ClientNo(2), ..base.clone() },
            Command { kind: Kind::Refund, ..base.clone() },
            Command { key: "o-2".to_owned(), ..base.clone() },
            Command { header_key: Some(String::new()), ..base.clone() },
            Command { fingerprint: [0; 32], ..base.clone() },
            Command { body: "{}".to_owned(), ..base.clone() },
            Command { traceparent: Some("t".to_owned()), ..base.clone() },
            Command { accepted_at: None, ..base.clone() },
            Command { accepted_at: Some("2026-03-01T12:00:00.123456788Z".parse().expect("a time")), ..base },
        ];
        for altered in altered {
            assert_eq!(check(altered.clone()), Err(Doubt::WrongMac), "{altered:?}");
        }
    }

    #[test]
    fn a_partners_word_is_believed_as_it_was_signed_and_not_otherwise() {
        let mac = Mac::of_update(&key("A"), &update());
        let check = |update| Vouched::update(&key("A"), update, Some(mac)).map(Vouched::into_inner);
        assert_eq!(check(update()), Ok(update()));
        let altered = [
            Update { partner: "other".to_owned(), ..update() },
            Update { event_id: "e-2".to_owned(), ..update() },
            Update { command: CommandId(uuid::Uuid::nil()), ..update() },
            Update { status: Status::Failed, ..update() },
            Update { reason: Some(String::new()), ..update() },
            Update { received_at: None, ..update() },
        ];
        for altered in altered {
            assert_eq!(check(altered.clone()), Err(Doubt::WrongMac), "{altered:?}");
        }
        assert_eq!(Vouched::update(&key("A"), update(), None), Err(Doubt::NoMac));
        assert_eq!(Vouched::update(&key("B"), update(), Some(mac)), Err(Doubt::WrongMac));
    }

    #[test]
    fn what_the_release_before_wrote_must_agree_with_itself() {
        let check = |command, unsigned| Vouched::command(&key("A"), command, None, unsigned).map(drop);
        assert_eq!(check(command(), Unsigned::Examined), Ok(()));
        assert_eq!(check(command(), Unsigned::Refused), Err(Doubt::NoMac));
        assert_eq!(check(Command { client: ClientNo(2), ..command() }, Unsigned::Examined), Err(Doubt::OtherId));
        assert_eq!(check(Command { body: "{}".to_owned(), ..command() }, Unsigned::Examined), Err(Doubt::OtherContent));
        let filled_in = Command { body: r#"{"orderId":"o-1","currency":"EUR"}"#.to_owned(), ..command() };
        assert_eq!(check(filled_in, Unsigned::Examined), Ok(()), "a currency that was not sent is in no fingerprint");
    }

    #[test]
    fn a_signed_command_must_have_the_id_of_its_key() {
        let forged = Command { id: CommandId(uuid::Uuid::nil()), ..command() };
        let mac = Some(Mac::of_command(&key("A"), &forged));
        assert_eq!(Vouched::command(&key("A"), forged, mac, Unsigned::Refused), Err(Doubt::OtherId));
    }
}
