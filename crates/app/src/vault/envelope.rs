//! How a sealed secret looks: a mark, the version, the name of its key, a nonce, and what AES-256-GCM makes of it.
//!
//! ```text
//! hf-sealed: ‖ 1 ‖ length of the name ‖ name ‖ nonce (12) ‖ ciphertext ‖ tag (16)
//! ```
//!
//! All before the nonce, and the binding, is authenticated with it. The nonce is random: a key is good for four thousand
//! million secrets.

use super::key::{Key, is_name};
use super::{Binding, Error, LONGEST_PLAIN};
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce};
use secrecy::SecretSlice;
use secrecy::zeroize::Zeroizing;

/// With all that follows it makes the shortest sealed secret, of 24 bytes and a name of one letter, longer than the longest
/// plain one. `store/src/secrets.rs` and the checks of the table know it too.
const MARK: &[u8] = b"hf-sealed:";
const VERSION: u8 = 1;
const NONCE_LEN: usize = 12;

/// One that was stored. Says nothing about whether it opens.
pub(super) struct Envelope<'a> {
    /// The name of its key.
    pub(super) key: &'a str,
    head: &'a [u8],
    nonce: [u8; NONCE_LEN],
    sealed: &'a [u8],
}

impl<'a> Envelope<'a> {
    pub(super) fn parse(stored: &'a [u8]) -> Option<Self> {
        let (&[version, length], rest) = stored.strip_prefix(MARK)?.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(usize::from(length))?;
        let (nonce, sealed) = rest.split_first_chunk()?;
        let key = std::str::from_utf8(key).ok().filter(|key| is_name(key))?;
        let head = &stored[..MARK.len() + 2 + key.len()];
        (version == VERSION).then_some(Self { key, head, nonce: *nonce, sealed })
    }

    pub(super) fn open(&self, key: &Key, binding: Binding<'_>) -> Result<SecretSlice<u8>, Error> {
        let not_authentic = |_| Error::NotAuthentic(self.key.to_owned());
        let mut bytes = Zeroizing::new(self.sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let data = Aad::from(associated(self.head, binding));
        let secret = key.cipher().open_in_place(nonce, data, &mut bytes).map_err(not_authentic)?;
        Ok(secret.to_vec().into())
    }
}

/// `nonce` must never have been used with this key.
pub(super) fn seal(key: &Key, nonce: [u8; NONCE_LEN], binding: Binding<'_>, secret: &[u8]) -> Result<Vec<u8>, Error> {
    let length = u8::try_from(key.id().len()).map_err(|_| Error::Unsealed)?;
    let head = [MARK, &[VERSION, length], key.id().as_bytes()].concat();
    let data = Aad::from(associated(&head, binding));
    // Room for the tag, so that the plain text is not left behind by a larger place.
    let mut bytes = Vec::with_capacity(secret.len() + AES_256_GCM.tag_len());
    bytes.extend_from_slice(secret);
    let unique = Nonce::assume_unique_for_key(nonce);
    key.cipher().seal_in_place_append_tag(unique, data, &mut bytes).map_err(|_| Error::Unsealed)?;
    let sealed = [&head, &nonce[..], &bytes].concat();
    debug_assert!(sealed.len() > LONGEST_PLAIN);
    Ok(sealed)
}

/// Each part with its length before it, so that no two bindings are the same bytes.
fn associated(head: &[u8], Binding { purpose, owner }: Binding<'_>) -> Vec<u8> {
    let parts = [head, purpose.as_bytes(), owner.as_bytes()];
    parts.into_iter().flat_map(|part| [&(part.len() as u64).to_be_bytes()[..], part].concat()).collect()
}
