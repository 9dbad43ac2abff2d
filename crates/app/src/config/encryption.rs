//! Keys that secrets in Postgres are sealed with.

use anyhow::ensure;
use secrecy::SecretString;
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// With none of it, secrets are sealed with a key that is derived from `server_key`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Encryption {
    /// 32 bytes in base64, by name: the present key, and those before it until nothing is sealed with them.
    #[serde(deserialize_with = "keys")]
    pub keys: BTreeMap<String, SecretString>,
    /// The name of the one that secrets are sealed with from now on.
    pub current: Option<String>,
    /// A JSON object with both of these, read again when it changes.
    pub keys_file: Option<PathBuf>,
    /// Off while a release is still running that cannot read what is sealed: then secrets are written in plain, as it does.
    pub seal: bool,
}

impl Default for Encryption {
    fn default() -> Self {
        Self { keys: BTreeMap::new(), current: None, keys_file: None, seal: true }
    }
}

/// A key without a name would be repeated by the error that says so.
fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, SecretString>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Keys(BTreeMap<String, SecretString>),
        Other(IgnoredAny),
    }
    match Given::deserialize(deserializer)? {
        Given::Keys(keys) => Ok(keys),
        Given::Other(_) => Err(D::Error::custom("encryption.keys must be texts by the name of each key")),
    }
}

impl Encryption {
    pub(super) fn validate(&self) -> anyhow::Result<()> {
        let is_here = !self.keys.is_empty() || self.current.is_some();
        ensure!(!is_here || self.keys_file.is_none(), "encryption.keys_file stands alone, without keys and current");
        ensure!(!is_here || self.current.is_some(), "encryption.current must name the present one of encryption.keys");
        Ok(())
    }
}
