//! A key that secrets are sealed with, and where keys come from.

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use std::fmt;
use std::sync::Arc;

pub(super) const KEY_LEN: usize = 32;

/// Where keys come from. Asked each time, so that a key which is exchanged meanwhile is the one that counts; whoever has to
/// go far for one keeps it.
#[async_trait]
pub trait KeyProvider: Send + Sync {
    /// What is sealed from now on is sealed with it.
    async fn current(&self) -> anyhow::Result<Arc<Key>>;

    /// `None`: there is none of this name.
    async fn by_id(&self, id: &str) -> anyhow::Result<Option<Arc<Key>>>;
}

/// For AES-256-GCM, under a name that stands beside what it has sealed.
pub struct Key {
    id: String,
    cipher: LessSafeKey,
}

impl Key {
    pub fn new(id: &str, bytes: &[u8; KEY_LEN]) -> anyhow::Result<Self> {
        let cipher = UnboundKey::new(&AES_256_GCM, bytes).ok().context("make a cipher of a key")?;
        Ok(Self { id: id.to_owned(), cipher: LessSafeKey::new(cipher) })
    }

    /// As it is configured: standard base64 of exactly 32 bytes.
    pub(super) fn parse(id: &str, text: &SecretString) -> anyhow::Result<Self> {
        ensure!(is_name(id), "a key's name has 1 to 32 small letters, digits, hyphens and underscores");
        // What is wrong with it is not said in more words: those could repeat it.
        let bytes = STANDARD.decode(text.expose_secret().trim()).map(Zeroizing::new).ok();
        let bytes = bytes.as_ref().and_then(|bytes| bytes.as_slice().try_into().ok());
        Self::new(id, bytes.with_context(|| format!("the key {id} must be 32 bytes in standard base64"))?)
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) const fn cipher(&self) -> &LessSafeKey {
        &self.cipher
    }
}

/// Names are told and stored in the open, and can be a part of a variable's name.
pub(super) fn is_name(text: &str) -> bool {
    let is_sign = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    (1..=32).contains(&text.len()) && text.bytes().all(is_sign)
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}
