//! Keys in a file, as an orchestrator mounts a secret. A file that changes is read again, so that keys are exchanged
//! without a restart.

use super::key::{Key, KeyProvider};
use super::ring::Ring;
use anyhow::Context as _;
use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::fs;
use tokio::sync::Mutex;

/// `{"current": "2026-11", "keys": {"2026-11": "…"}}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    current: String,
    keys: BTreeMap<String, SecretString>,
}

/// How the file looks from outside. `None`: it is not there.
type Look = Option<(SystemTime, u64)>;

pub struct Mounted {
    file: PathBuf,
    known: Mutex<Known>,
}

struct Known {
    ring: Arc<Ring>,
    /// Before the file was last read, or could not be.
    look: Look,
}

impl Mounted {
    pub async fn read(file: &Path) -> anyhow::Result<Self> {
        let look = look(file).await;
        let known = Known { ring: Arc::new(read(file).await?), look };
        Ok(Self { file: file.to_owned(), known: Mutex::new(known) })
    }

    /// A file that cannot be read any more takes no key from us: it may be half written.
    async fn ring(&self) -> Arc<Ring> {
        let mut known = self.known.lock().await;
        let look = look(&self.file).await;
        if look != known.look {
            known.look = look;
            match read(&self.file).await {
                Ok(ring) => known.ring = Arc::new(ring),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(error, "the file of encryption keys cannot be read, those that are known stand");
                }
            }
        }
        Arc::clone(&known.ring)
    }
}

#[async_trait]
impl KeyProvider for Mounted {
    async fn current(&self) -> anyhow::Result<Arc<Key>> {
        self.ring().await.current().await
    }

    async fn by_id(&self, id: &str) -> anyhow::Result<Option<Arc<Key>>> {
        self.ring().await.by_id(id).await
    }
}

async fn look(file: &Path) -> Look {
    let about = fs::metadata(file).await.ok()?;
    Some((about.modified().ok()?, about.len()))
}

async fn read(file: &Path) -> anyhow::Result<Ring> {
    let text = fs::read_to_string(file).await.with_context(|| format!("read {}", file.display()))?;
    let text = SecretString::from(text);
    // What serde says of it could repeat a part of it.
    let content: Option<Content> = serde_json::from_str(text.expose_secret()).ok();
    let Content { current, keys } = content.with_context(|| {
        format!("{} must be a JSON object with the name of the current key and keys by name", file.display())
    })?;
    Ring::of(&keys, &current).with_context(|| format!("read {}", file.display()))
}
