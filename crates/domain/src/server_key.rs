//! The one secret that ids and API key hashes are computed with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Keys derived from the server key, one per purpose, so that a value made for one can never pass for another.
///
/// The server key is never rotated: the id of a command is computed with it, and a replay years later must give the
/// same id.
#[derive(Clone)]
pub struct ServerKey {
    ids: [u8; 32],
    api_keys: [u8; 32],
    encryption: [u8; 32],
    messages: [u8; 32],
}

#[derive(Debug, thiserror::Error)]
#[error("server key must be 32 bytes or more in standard base64")]
pub struct InvalidServerKey;

impl ServerKey {
    /// Reads the key from its configured form: standard base64 of at least 32 bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidServerKey> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| InvalidServerKey)?;
        if bytes.len() < 32 {
            return Err(InvalidServerKey);
        }
        let derived = |purpose: &[u8]| mac(&bytes, &[purpose]);
        Ok(Self {
            ids: derived(b"holdfast ids v1"),
            api_keys: derived(b"holdfast api keys v1"),
            encryption: derived(b"holdfast encryption v1"),
            messages: derived(b"holdfast messages v1"),
        })
    }

    /// MAC for computed command ids.
    pub(crate) fn id_mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        mac(&self.ids, parts)
    }

    /// MAC for what messages carry.
    pub(crate) fn message_mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        mac(&self.messages, parts)
    }

    /// The keyed hash under which an API key is stored.
    pub fn api_key_hash(&self, api_key: &str) -> [u8; 32] {
        mac(&self.api_keys, &[api_key.as_bytes()])
    }

    /// Seals secrets at rest where no key is configured for that.
    pub const fn encryption_key(&self) -> [u8; 32] {
        self.encryption
    }

    /// Whether this is the key that was stored, in a time that does not depend on where they differ.
    pub fn is_api_key(&self, api_key: &str, hash: &[u8]) -> bool {
        self.api_key_hash(api_key).ct_eq(hash).into()
    }
}

/// HMAC-SHA256 over length-prefixed parts: without the prefix, ("ab", "c") and ("a", "bc") would be the same input.
fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("hmac takes keys of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_key_is_refused() {
        assert!(ServerKey::parse(&STANDARD.encode([7; 31])).is_err());
        assert!(ServerKey::parse("not base64!").is_err());
    }

    #[test]
    fn parts_are_length_prefixed() {
        assert_ne!(mac(b"k", &[b"ab", b"c"]), mac(b"k", &[b"a", b"bc"]));
    }
}
