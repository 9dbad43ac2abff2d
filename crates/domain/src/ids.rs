//! Identifiers. A command's public id is computed from what identifies it, never drawn.

use crate::{Kind, ServerKey};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// Number of bytes at the front of a command id that carry its identity; the rest is a MAC over them.
const HEAD: usize = 10;

/// The number of a client, as Postgres gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientNo(pub i32);

/// The internal key of a command. A sequence number: after a failover that lost commits it may name another command,
/// so it never leaves the system and is checked against the [`CommandId`] where it came in with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandNo(pub i64);

impl fmt::Display for CommandNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One life of one worker process. A worker that was declared dead goes on under a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(pub i64);

/// The fence: unique per claim, compared for equality only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub i64);

/// The public id of a command: a UUIDv8 (RFC 9562) computed from client, kind and idempotency key.
///
/// The same key gives the same id on every path and every retry, without asking Postgres. The last six bytes are a MAC
/// over client, kind and the other ten, so that an id that was issued to a client can be told from one that never was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub Uuid);

impl CommandId {
    pub fn compute(server_key: &ServerKey, client: ClientNo, kind: Kind, idempotency_key: &str) -> Self {
        let identity =
            server_key.id_mac(&[b"head", &client.0.to_be_bytes(), kind.name().as_bytes(), idempotency_key.as_bytes()]);
        Self::with_identity(server_key, client, kind, &identity)
    }

    /// Of a request whose key stood for other content already when it was written down: not the id that its key stands for.
    pub fn of_rejected(
        server_key: &ServerKey,
        client: ClientNo,
        kind: Kind,
        idempotency_key: &str,
        fingerprint: &[u8; 32],
    ) -> Self {
        let (client_no, key) = (client.0.to_be_bytes(), idempotency_key.as_bytes());
        let identity = server_key.id_mac(&[b"rejected", &client_no, kind.name().as_bytes(), key, fingerprint]);
        Self::with_identity(server_key, client, kind, &identity)
    }

    fn with_identity(server_key: &ServerKey, client: ClientNo, kind: Kind, identity: &[u8]) -> Self {
        let mut bytes = [0; 16];
        bytes[..HEAD].copy_from_slice(&identity[..HEAD]);
        bytes[6] = bytes[6] & 0x0f | 0x80; // version 8
        bytes[8] = bytes[8] & 0x3f | 0x80; // RFC 9562 variant
        let tail = tail(server_key, client, kind, &bytes[..HEAD]);
        bytes[HEAD..].copy_from_slice(&tail);
        Self(Uuid::from_bytes(bytes))
    }

    /// Whether this id was computed here for this client and kind. Says nothing about whether the command was accepted.
    pub fn was_issued_to(self, server_key: &ServerKey, client: ClientNo, kind: Kind) -> bool {
        let bytes = self.0.as_bytes();
        tail(server_key, client, kind, &bytes[..HEAD]).ct_eq(&bytes[HEAD..]).into()
    }
}

fn tail(server_key: &ServerKey, client: ClientNo, kind: Kind, head: &[u8]) -> [u8; 16 - HEAD] {
    let mac = server_key.id_mac(&[b"tail", &client.0.to_be_bytes(), kind.name().as_bytes(), head]);
    let mut tail = [0; 16 - HEAD];
    tail.copy_from_slice(&mac[..16 - HEAD]);
    tail
}

impl FromStr for CommandId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn server_key() -> ServerKey {
        ServerKey::parse("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").expect("valid key")
    }

    /// Every text of up to three of these, in which a key could be taken for part of something else.
    fn ambiguous() -> Vec<String> {
        let letters = ["a", "1", "/", ":", "\0", "transaction"];
        let longer = |shorter: &[String]| -> Vec<String> {
            shorter.iter().flat_map(|text| letters.map(|letter| format!("{text}{letter}"))).collect()
        };
        let one = longer(&[String::new()]);
        let two = longer(&one);
        [one.clone(), two.clone(), longer(&two)].concat()
    }

    #[test]
    fn no_two_identities_have_one_id() {
        let mut ids = HashSet::new();
        let keys: HashSet<String> = ambiguous().into_iter().collect();
        let clients = [0, 1, 11, 256, 0x0100_0000, i32::MAX];
        for (client, kind) in clients.into_iter().flat_map(|client| Kind::ALL.map(|kind| (ClientNo(client), kind))) {
            for key in &keys {
                ids.insert(CommandId::compute(&server_key(), client, kind, key));
                ids.insert(CommandId::of_rejected(&server_key(), client, kind, key, &[0; 32]));
                ids.insert(CommandId::of_rejected(&server_key(), client, kind, key, &[1; 32]));
            }
        }
        assert_eq!(ids.len(), clients.len() * Kind::ALL.len() * keys.len() * 3);
    }

    #[test]
    fn the_id_never_changes() {
        let id = CommandId::compute(&server_key(), ClientNo(1), Kind::Transaction, "order-1");
        assert_eq!(id.to_string(), "9a6d12b7-6deb-8b42-8b75-d76a4b1e8cf1");
    }

    proptest! {
        #[test]
        fn an_issued_id_is_known_to_its_client_only(key in "[!-~]{1,255}", client in 1..i32::MAX) {
            let id = CommandId::compute(&server_key(), ClientNo(client), Kind::Transaction, &key);
            prop_assert_eq!(id.0.get_version_num(), 8);
            prop_assert!(id.was_issued_to(&server_key(), ClientNo(client), Kind::Transaction));
            prop_assert!(!id.was_issued_to(&server_key(), ClientNo(client - 1), Kind::Transaction));
            prop_assert!(!id.was_issued_to(&server_key(), ClientNo(client), Kind::Refund));
            prop_assert_eq!(id.to_string().parse::<CommandId>(), Ok(id));
        }

        #[test]
        fn an_id_with_another_bit_was_never_issued(key in "[!-~]{1,255}", bit in 0..128_u32) {
            let id = CommandId::compute(&server_key(), ClientNo(1), Kind::Order, &key);
            let other = CommandId(Uuid::from_u128(id.0.as_u128() ^ (1 << bit)));
            prop_assert!(!other.was_issued_to(&server_key(), ClientNo(1), Kind::Order));
        }

        #[test]
        fn a_drawn_uuid_was_never_issued(bytes: [u8; 16]) {
            let id = CommandId(Uuid::from_bytes(bytes));
            prop_assert!(!id.was_issued_to(&server_key(), ClientNo(1), Kind::Transaction));
        }
    }
}
