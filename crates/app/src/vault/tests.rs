//! What is sealed opens where it belongs, and nowhere else.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdfast_domain::ServerKey;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const SECRET: [u8; 32] = [7; 32];
const SHOP: Binding<'_> = callback_secret("shop");

fn server_key() -> ServerKey {
    ServerKey::parse(&STANDARD.encode([1; 32])).expect("a key")
}

fn keys(names: &[&str]) -> BTreeMap<String, SecretString> {
    // Of each name another one.
    let key = |name: &str| STANDARD.encode([name.as_bytes()[name.len() - 1]; 32]);
    names.iter().map(|name| ((*name).to_owned(), key(name).into())).collect()
}

async fn vault(names: &[&str], current: &str) -> Vault {
    let config = Encryption { keys: keys(names), current: Some(current.to_owned()), ..Encryption::default() };
    Vault::new(&config, &server_key()).await.expect("valid keys")
}

async fn opened(vault: &Vault, binding: Binding<'_>, stored: &[u8]) -> Result<Vec<u8>, Error> {
    vault.open(binding, stored).await.map(|secret| secret.expose_secret().to_vec())
}

#[tokio::test]
async fn a_secret_opens_for_its_owner_and_purpose_alone() {
    let vault = vault(&["a"], "a").await;
    let sealed = vault.seal(SHOP, &SECRET).await.expect("sealed");
    assert!(sealed.len() > LONGEST_PLAIN && !sealed.windows(8).any(|bytes| bytes == &SECRET[..8]));
    assert_eq!(opened(&vault, SHOP, &sealed).await.expect("opens"), SECRET);
    let other_purpose = Binding { purpose: "session", owner: "shop" };
    // Were the parts not told apart, this would be the same.
    let shifted = Binding { purpose: "callback secrets", owner: "hop" };
    for binding in [callback_secret("other"), other_purpose, shifted] {
        assert!(matches!(opened(&vault, binding, &sealed).await, Err(Error::NotAuthentic(key)) if key == "a"));
    }
    assert_ne!(vault.seal(SHOP, &SECRET).await.expect("sealed"), sealed, "another nonce");
}

#[tokio::test]
async fn no_byte_of_it_can_be_changed() {
    let vault = vault(&["a", "b"], "a").await;
    let sealed = vault.seal(SHOP, &SECRET).await.expect("sealed");
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 3;
        assert!(vault.open(SHOP, &changed).await.is_err(), "{at}");
    }
    for length in LONGEST_PLAIN + 1..sealed.len() {
        assert!(vault.open(SHOP, &sealed[..length]).await.is_err(), "{length}");
    }
}

#[tokio::test]
async fn keys_are_exchanged() {
    let (before, both, after) = (vault(&["a"], "a").await, vault(&["a", "b"], "b").await, vault(&["b"], "b").await);
    let old = before.seal(SHOP, &SECRET).await.expect("sealed");
    assert_eq!(before.reseal(SHOP, &old).await.expect("opens"), None);
    let new = both.reseal(SHOP, &old).await.expect("opens").expect("with another key");
    assert_eq!(what_is(&new), Some(Stored::Sealed("b".to_owned())));
    assert_eq!(both.reseal(SHOP, &new).await.expect("opens"), None);
    assert_eq!(opened(&after, SHOP, &new).await.expect("opens"), SECRET);
    assert!(matches!(opened(&after, SHOP, &old).await, Err(Error::UnknownKey(key)) if key == "a"));
    assert!(both.knows("a").await.expect("asked") && !after.knows("a").await.expect("asked"));
}

#[tokio::test]
async fn without_a_key_there_is_one_that_stays_known() {
    let default = Vault::new(&Encryption::default(), &server_key()).await.expect("a vault");
    let sealed = default.seal(SHOP, &SECRET).await.expect("sealed");
    assert_eq!(what_is(&sealed), Some(Stored::Sealed(DERIVED.to_owned())));
    let vault = vault(&["a"], "a").await;
    assert_eq!(opened(&vault, SHOP, &sealed).await.expect("opens"), SECRET);
    assert!(vault.reseal(SHOP, &sealed).await.expect("opens").is_some());
}

#[tokio::test]
async fn what_is_plain_is_read_and_written_only_where_sealing_is_off() {
    let vault = vault(&["a"], "a").await;
    assert_eq!(what_is(&SECRET), Some(Stored::Plain));
    assert_eq!(opened(&vault, SHOP, &SECRET).await.expect("opens"), SECRET);
    let config = Encryption { seal: false, ..Encryption::default() };
    let off = Vault::new(&config, &server_key()).await.expect("a vault");
    assert_eq!(off.seal(SHOP, &SECRET).await.expect("stored"), SECRET);
    let sealed = vault.seal(SHOP, &SECRET).await.expect("sealed");
    assert!(matches!(off.open(SHOP, &sealed).await, Err(Error::UnknownKey(_))));
    assert_eq!(what_is(&[0; 65]), None);
}

#[tokio::test]
async fn a_wrong_key_is_refused_without_being_repeated() {
    let secret = "c2VjcmV0";
    let key = |name: &str, text: &str| BTreeMap::from([(name.to_owned(), SecretString::from(text))]);
    for (name, text) in [("a", secret), ("a", "secret!"), ("A", secret), (DERIVED, secret), ("", secret)] {
        let error = format!("{:#}", Ring::of(&key(name, text), name).expect_err("not a key"));
        assert!(!error.contains(secret) && !error.contains("secret!"), "{error}");
    }
    let error = format!("{:#}", Ring::of(&keys(&["a"]), "b").expect_err("no such key"));
    assert_eq!(error, "the current key, b, is not among them");
}

/// A file of the test's own, removed with it.
struct File(PathBuf);

impl File {
    fn write(&self, text: &str) {
        // Put into place at once, as an orchestrator does it.
        let next = self.0.with_extension("next");
        std::fs::write(&next, text).expect("write");
        std::fs::rename(&next, &self.0).expect("rename");
    }
}

impl Drop for File {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn content(names: &[&str], current: &str) -> String {
    let keys: BTreeMap<_, _> =
        keys(names).into_iter().map(|(name, key)| (name, key.expose_secret().to_owned())).collect();
    serde_json::json!({ "current": current, "keys": keys }).to_string()
}

async fn mounted(file: &Path) -> anyhow::Result<Vault> {
    let config = Encryption { keys_file: Some(file.to_owned()), ..Encryption::default() };
    Vault::new(&config, &server_key()).await
}

#[tokio::test]
async fn a_file_of_keys_is_read_again_when_it_changes_and_only_then() {
    let file = File(std::env::temp_dir().join(format!("holdfast-keys-{}.json", std::process::id())));
    file.write(&content(&["a"], "a"));
    let vault = mounted(&file.0).await.expect("it is there");
    let old = vault.seal(SHOP, &SECRET).await.expect("sealed");
    assert_eq!(what_is(&old), Some(Stored::Sealed("a".to_owned())));
    file.write(&content(&["a", "b2"], "b2"));
    assert_eq!(vault.current().await.expect("a key"), "b2");
    assert_eq!(opened(&vault, SHOP, &old).await.expect("opens"), SECRET);
    // Whatever becomes of the file, a key that was known is not lost.
    file.write("{");
    assert_eq!(vault.current().await.expect("a key"), "b2");
    std::fs::remove_file(&file.0).expect("remove");
    assert_eq!(vault.current().await.expect("a key"), "b2");
    file.write(&content(&["b2", "c"], "c"));
    assert_eq!(vault.current().await.expect("a key"), "c");
    assert!(matches!(opened(&vault, SHOP, &old).await, Err(Error::UnknownKey(_))));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_at_the_start_is_an_error_that_repeats_nothing() {
    let file = File(std::env::temp_dir().join(format!("holdfast-no-keys-{}.json", std::process::id())));
    assert!(mounted(&file.0).await.is_err());
    for wrong in
        ["c2VjcmV0", r#"{"current": "a", "keys": ["c2VjcmV0"]}"#, r#"{"current": "a", "keys": {"a": "c2VjcmV0"}}"#]
    {
        file.write(wrong);
        let error = format!("{:#}", mounted(&file.0).await.err().expect("no keys"));
        assert!(!error.contains("c2VjcmV0"), "{error}");
    }
}
