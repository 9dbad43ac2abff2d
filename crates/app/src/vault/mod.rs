//! Secrets at rest: what Postgres keeps of them is sealed with a key that Postgres does not have.
//!
//! Who reads the database, a backup or a replica learns no secret. What is sealed is bound to its purpose and to its owner,
//! so that it opens in no other row. What an earlier release has written in plain is still read, until it is sealed
//! (`holdfast secrets seal`). Nothing here may show a secret, or a key, in a log or an error.

mod envelope;
mod key;
mod mounted;
mod ring;
pub mod sealing;

pub use key::{Key, KeyProvider};
pub use mounted::Mounted;
pub use ring::Ring;

use crate::config::Encryption;
use crate::credentials::random;
use anyhow::Context as _;
use envelope::Envelope;
use holdfast_domain::ServerKey;
use secrecy::{ExposeSecret as _, SecretSlice};
use std::sync::Arc;

/// Of the key that is derived from the server key. Known in any case: what was sealed before there was another stays
/// readable.
pub const DERIVED: &str = "server";

/// A secret in plain text is no longer than this, what is sealed is longer.
const LONGEST_PLAIN: usize = 64;

/// Why a secret cannot be had. Names its key, which is not secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the secret is sealed with the key {0}, which is not configured")]
    UnknownKey(String),
    /// It was moved from another row, changed, or another key bears this name.
    #[error("the secret does not open with the key {0} for this owner")]
    NotAuthentic(String),
    #[error("the secret is sealed in a way that this version does not know")]
    Unknown,
    #[error("the secret could not be sealed")]
    Unsealed,
    #[error("the encryption keys cannot be had")]
    Keys(#[source] anyhow::Error),
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    keys: Arc<dyn KeyProvider>,
    derived: Arc<Key>,
    seals: bool,
}

/// Whose secret it is, and what for.
#[derive(Clone, Copy)]
pub struct Binding<'a> {
    purpose: &'static str,
    owner: &'a str,
}

/// Signs the callbacks of the client of this name.
pub const fn callback_secret(client: &str) -> Binding<'_> {
    Binding { purpose: "callback secret", owner: client }
}

/// What a stored secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    Plain,
    /// With the key of this name.
    Sealed(String),
}

impl Vault {
    pub async fn new(config: &Encryption, server_key: &ServerKey) -> anyhow::Result<Self> {
        let derived = Arc::new(Key::new(DERIVED, &server_key.encryption_key())?);
        let keys: Arc<dyn KeyProvider> = match (&config.keys_file, &config.current) {
            (Some(file), _) => Arc::new(Mounted::read(file).await.context("read encryption.keys_file")?),
            (None, Some(current)) => Arc::new(Ring::of(&config.keys, current).context("read encryption.keys")?),
            (None, None) => Arc::new(Ring::of_one(Arc::clone(&derived))),
        };
        Ok(Self { keys, derived, seals: config.seal })
    }

    /// Whether secrets are written sealed: not while a release must read them that cannot open them.
    pub const fn seals(&self) -> bool {
        self.seals
    }

    /// What may be stored.
    pub async fn seal(&self, binding: Binding<'_>, secret: &[u8]) -> Result<Vec<u8>, Error> {
        if !self.seals {
            return Ok(secret.to_vec());
        }
        let key = self.keys.current().await.map_err(Error::Keys)?;
        let nonce = random().map_err(Error::Keys)?;
        envelope::seal(&key, nonce, binding, secret)
    }

    /// What was stored for this very binding.
    pub async fn open(&self, binding: Binding<'_>, stored: &[u8]) -> Result<SecretSlice<u8>, Error> {
        if is_plain(stored) {
            return Ok(stored.to_vec().into());
        }
        let envelope = Envelope::parse(stored).ok_or(Error::Unknown)?;
        let key = self.key(envelope.key).await?.ok_or_else(|| Error::UnknownKey(envelope.key.to_owned()))?;
        envelope.open(&key, binding)
    }

    /// Sealed with the present key. `None`: it is already, and opens. What names the right key may not: another client's.
    pub async fn reseal(&self, binding: Binding<'_>, stored: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let secret = self.open(binding, stored).await?;
        if what_is(stored) == Some(Stored::Sealed(self.current().await?)) {
            return Ok(None);
        }
        self.seal(binding, secret.expose_secret()).await.map(Some)
    }

    /// The name of the key that secrets are sealed with now.
    pub async fn current(&self) -> Result<String, Error> {
        Ok(self.keys.current().await.map_err(Error::Keys)?.id().to_owned())
    }

    /// Whether what is sealed with this key can be opened.
    pub async fn knows(&self, key: &str) -> Result<bool, Error> {
        Ok(self.key(key).await?.is_some())
    }

    async fn key(&self, id: &str) -> Result<Option<Arc<Key>>, Error> {
        match id {
            DERIVED => Ok(Some(Arc::clone(&self.derived))),
            id => self.keys.by_id(id).await.map_err(Error::Keys),
        }
    }
}

/// `None`: neither plain nor sealed as we do it.
pub fn what_is(stored: &[u8]) -> Option<Stored> {
    match is_plain(stored) {
        true => Some(Stored::Plain),
        false => Envelope::parse(stored).map(|envelope| Stored::Sealed(envelope.key.to_owned())),
    }
}

const fn is_plain(stored: &[u8]) -> bool {
    stored.len() <= LONGEST_PLAIN
}

#[cfg(test)]
mod tests;
