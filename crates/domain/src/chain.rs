//! The chain of an audit trail: what each row's hash is taken of.
//!
//! The first row of a run follows the acceptance of its command, each later one the row before it. What is told of a state
//! is a branch: the first attempt follows the row of that state, each later one the attempt before it. Postgres computes
//! the same in the statements that append (`holdfast_event_hash`); whoever verifies computes it here, from what is stored.

use crate::{ClientNo, CommandId, CommandNo};
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Postgres counts from 2000-01-01.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// SHA-256, of a row of a trail or of what a trail begins with.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A command as it was accepted. Its kind is the code of it, which a newer version may have added.
#[derive(Clone, Copy, Debug)]
pub struct Acceptance<'a> {
    pub no: CommandNo,
    pub id: CommandId,
    pub client: ClientNo,
    pub kind: i16,
    pub created_at: DateTime<Utc>,
    pub fingerprint: &'a [u8],
    pub key: &'a str,
    pub body: &'a str,
}

impl Acceptance<'_> {
    pub fn hash(&self) -> Hash {
        let mut hash = Sha256::new_with_prefix(b"holdfast acceptance 1");
        hash.update(self.no.0.to_be_bytes());
        hash.update(self.id.0.as_bytes());
        hash.update(self.client.0.to_be_bytes());
        hash.update(self.kind.to_be_bytes());
        hash.update(postgres_micros(self.created_at).to_be_bytes());
        hash.update(self.fingerprint);
        hash.update((self.key.len() as u32).to_be_bytes());
        hash.update(self.key);
        hash.update(self.body);
        Hash(hash.finalize().into())
    }
}

/// A row of a trail, as it is stored.
#[derive(Clone, Debug)]
pub struct Row {
    pub sequence: i32,
    pub attempt: i16,
    pub at: DateTime<Utc>,
    /// As Postgres writes it, to the letter.
    pub data: String,
    /// The hash of the row that it follows. A process of an earlier release has written neither this nor its own.
    pub previous: Option<Vec<u8>>,
    pub hash: Option<Vec<u8>>,
}

impl Row {
    /// What its hash must be, if it follows `previous`.
    pub fn hash_after(&self, no: CommandNo, previous: &[u8]) -> Hash {
        let mut hash = Sha256::new_with_prefix(b"holdfast event 1");
        hash.update(previous);
        hash.update(no.0.to_be_bytes());
        hash.update(self.sequence.to_be_bytes());
        hash.update(self.attempt.to_be_bytes());
        hash.update(postgres_micros(self.at).to_be_bytes());
        hash.update(&self.data);
        Hash(hash.finalize().into())
    }
}

const fn postgres_micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros() - POSTGRES_EPOCH_MICROS
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at() -> DateTime<Utc> {
        DateTime::from_timestamp_micros(1_795_000_000_123_456).expect("a time")
    }

    /// The same values through the functions of the schema: `select encode(holdfast_event_hash(…), 'hex')`.
    #[test]
    fn the_hashes_are_those_that_postgres_computes() {
        let row = Row {
            sequence: 3,
            attempt: 1,
            at: at(),
            data: r#"[{"text": "é", "type": "recorded"}]"#.to_owned(),
            previous: None,
            hash: None,
        };
        let hash = row.hash_after(CommandNo(7), &[9; 32]);
        assert_eq!(hash.to_string(), "b31c19910fc6ff3ec12cfd3e863d6be2e7c6a6fbe8eb68131a5d0f1d2730ec01");
        let acceptance = Acceptance {
            no: CommandNo(7),
            id: CommandId(Uuid::from_u128(1)),
            client: ClientNo(2),
            kind: 3,
            created_at: at(),
            fingerprint: &[4; 32],
            key: "k",
            body: "{}",
        };
        assert_eq!(acceptance.hash().to_string(), "c0d51f29e1269a774a04a7057dcc5b666f75c96b0e54de3433bd35d1c91c8274");
    }

    #[test]
    fn a_key_and_a_body_do_not_run_into_each_other() {
        let of = |key, body| {
            let (no, id, client) = (CommandNo(1), CommandId(Uuid::nil()), ClientNo(1));
            Acceptance { no, id, client, kind: 1, created_at: at(), fingerprint: &[0; 32], key, body }.hash()
        };
        assert_ne!(of("ab", "c"), of("a", "bc"));
    }
}
