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

#[cfg(test)]
mod tests {
    use super::super::{Config, from_pairs};

    const KEY: &str = "bm9ib2R5IG11c3QgZXZlciBzZWUgdGhpcyBrZXkgISE=";

    fn read(pairs: &[(&str, &str)]) -> anyhow::Result<Config> {
        let required = [("DATABASE_URL", "postgres://me:dbword@host/db"), ("HOLDFAST__SERVER_KEY", "serverkey")];
        let pairs = required.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        from_pairs(pairs.collect())
    }

    #[test]
    fn keys_have_names_and_none_is_shown() {
        let config = read(&[
            ("HOLDFAST__ENCRYPTION__KEYS__2026_11", KEY),
            ("HOLDFAST__ENCRYPTION__KEYS__OLD-ONE", KEY),
            ("HOLDFAST__ENCRYPTION__CURRENT", "2026_11"),
        ]);
        let config = config.expect("valid");
        assert_eq!(config.encryption.keys.keys().collect::<Vec<_>>(), ["2026_11", "old-one"]);
        assert_eq!(config.encryption.current.as_deref(), Some("2026_11"));
        let shown = format!("{config:?}");
        assert!([KEY, "dbword", "serverkey"].into_iter().all(|secret| !shown.contains(secret)), "{shown}");
    }

    #[test]
    fn keys_stand_here_or_in_a_file_with_the_name_of_the_present_one() {
        let key = ("HOLDFAST__ENCRYPTION__KEYS__A", KEY);
        let (current, file) = (("HOLDFAST__ENCRYPTION__CURRENT", "a"), ("HOLDFAST__ENCRYPTION__KEYS_FILE", "/keys"));
        assert!(read(&[]).is_ok() && read(&[key, current]).is_ok() && read(&[file]).is_ok());
        assert!(read(&[key]).is_err() && read(&[key, current, file]).is_err() && read(&[current, file]).is_err());
    }

    #[test]
    fn a_key_without_a_name_is_not_repeated() {
        let error = read(&[("HOLDFAST__ENCRYPTION__KEYS", KEY)]).expect_err("no name");
        assert!(!format!("{error:#} {error:?}").contains(KEY), "{error:?}");
    }
}
