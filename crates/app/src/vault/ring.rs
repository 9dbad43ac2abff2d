//! Keys that are at hand: from the configuration, or from a file.

use super::DERIVED;
use super::key::{Key, KeyProvider};
use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Some keys, one of which is the present one.
#[derive(Debug)]
pub struct Ring {
    keys: BTreeMap<String, Arc<Key>>,
    current: Arc<Key>,
}

impl Ring {
    pub fn of(keys: &BTreeMap<String, SecretString>, current: &str) -> anyhow::Result<Self> {
        ensure!(!keys.contains_key(DERIVED), "the name {DERIVED} is that of the key that is derived from server_key");
        let read = |(id, text): (&String, &SecretString)| Ok((id.clone(), Arc::new(Key::parse(id, text)?)));
        let keys = keys.iter().map(read).collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        let current = keys.get(current).with_context(|| format!("the current key, {current}, is not among them"))?;
        Ok(Self { current: Arc::clone(current), keys })
    }

    pub fn of_one(key: Arc<Key>) -> Self {
        Self { keys: BTreeMap::from([(key.id().to_owned(), Arc::clone(&key))]), current: key }
    }
}

#[async_trait]
impl KeyProvider for Ring {
    async fn current(&self) -> anyhow::Result<Arc<Key>> {
        Ok(Arc::clone(&self.current))
    }

    async fn by_id(&self, id: &str) -> anyhow::Result<Option<Arc<Key>>> {
        Ok(self.keys.get(id).map(Arc::clone))
    }
}
