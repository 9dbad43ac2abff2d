//! API keys: `hfk_<key id>_<secret and checksum>`. The secret is 32 random bytes; only a keyed hash is ever stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt::Write as _;

/// Recognisable in logs and by secret scanners.
const PREFIX: &str = "hfk_";
const KEY_ID_LEN: usize = 16;
const SECRET_LEN: usize = 32;

/// A well-formed API key as a client sent it: its checksum is right, whether anybody owns it is another question.
pub struct ApiKey<'a> {
    /// Names the key; not secret.
    pub key_id: &'a str,
    /// The whole key: what is hashed.
    pub text: &'a str,
}

impl<'a> ApiKey<'a> {
    /// Parses without touching the database, so that a typo costs nothing. `None` if it cannot be a key of ours.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (key_id, secret) = text.strip_prefix(PREFIX)?.split_at_checked(KEY_ID_LEN)?;
        let bytes = URL_SAFE_NO_PAD.decode(secret.strip_prefix('_')?).ok()?;
        let (secret, checksum) = bytes.split_at_checked(SECRET_LEN)?;
        let well_formed = key_id.bytes().all(|b| b.is_ascii_hexdigit()) && checksum == sum(key_id, secret);
        well_formed.then_some(Self { key_id, text })
    }

    /// Writes the key for its owner. Both arguments are random bytes.
    pub fn format(key_id: [u8; KEY_ID_LEN / 2], secret: [u8; SECRET_LEN]) -> String {
        let key_id = key_id.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
            hex
        });
        let mut bytes = secret.to_vec();
        bytes.extend(sum(&key_id, &secret));
        format!("{PREFIX}{key_id}_{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// CRC-32 over both parts: finds typing errors, proves nothing.
fn sum(key_id: &str, secret: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key_id.as_bytes());
    crc.update(secret);
    crc.finalize().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Characters, all of which say something.
    const LEN: usize = 69;

    proptest! {
        #[test]
        fn a_key_parses_back(key_id: [u8; 8], secret: [u8; 32]) {
            let text = ApiKey::format(key_id, secret);
            let key = ApiKey::parse(&text).expect("well formed");
            prop_assert_eq!(key.key_id, &text[4..20]);
        }

        #[test]
        fn any_changed_character_is_noticed(key_id: [u8; 8], secret: [u8; 32], at in 0..LEN, other in "[!-~]") {
            let mut text = ApiKey::format(key_id, secret);
            prop_assert_eq!(text.len(), LEN);
            prop_assume!(text[at..=at] != other);
            text.replace_range(at..=at, &other);
            prop_assert!(ApiKey::parse(&text).is_none());
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC*") {
            prop_assert!(ApiKey::parse(&text).is_none());
        }
    }
}
