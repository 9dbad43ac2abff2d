//! Who is calling: API keys, cached, and still known while Postgres is down.

use crate::App;
use holdfast_domain::ClientNo;
use holdfast_domain::api_key::ApiKey;
use holdfast_store::clients::{self, Owner};
use moka::future::Cache;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an answer counts without asking again: a disabled key works at most this much longer.
const FRESH: Duration = Duration::from_secs(5);

/// How long a known key keeps working while Postgres cannot be asked.
const STALE: Duration = Duration::from_secs(24 * 3600);

const CAPACITY: u64 = 100_000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("api key is not valid")]
    Invalid,
    /// Never seen here, and Postgres cannot be asked.
    #[error("api key cannot be checked")]
    Unavailable(#[source] holdfast_store::Error),
}

#[derive(Clone)]
pub struct Keys {
    app: App,
    cache: Cache<String, Known>,
}

#[derive(Clone)]
struct Known {
    /// `None`: nobody's.
    owner: Option<Arc<Owner>>,
    asked: Instant,
}

impl Keys {
    pub fn new(app: App) -> Self {
        Self { app, cache: Cache::builder().max_capacity(CAPACITY).time_to_live(STALE).build() }
    }

    pub async fn client(&self, api_key: &str) -> Result<ClientNo, Error> {
        let key = ApiKey::parse(api_key).ok_or(Error::Invalid)?;
        let owner = self.owner(key.key_id).await?.ok_or(Error::Invalid)?;
        let valid = self.app.server_key.is_api_key(key.text, &owner.hash) && !owner.disabled;
        if valid { Ok(owner.client) } else { Err(Error::Invalid) }
    }

    async fn owner(&self, key_id: &str) -> Result<Option<Arc<Owner>>, Error> {
        let cached = self.cache.get(key_id).await;
        match cached {
            Some(known) if known.asked.elapsed() < FRESH => Ok(known.owner),
            cached => match (clients::owner_of_key(&self.app.pool, key_id).await, cached) {
                (Ok(owner), _) => {
                    let known = Known { owner: owner.map(Arc::new), asked: Instant::now() };
                    self.cache.insert(key_id.to_owned(), known.clone()).await;
                    Ok(known.owner)
                }
                (Err(_), Some(Known { owner: Some(owner), .. })) => {
                    // Asked again only when it is stale again: every request would wait for the same silence.
                    let known = Known { owner: Some(Arc::clone(&owner)), asked: Instant::now() };
                    self.cache.insert(key_id.to_owned(), known).await;
                    Ok(Some(owner))
                }
                (Err(error), _) => Err(Error::Unavailable(error)),
            },
        }
    }
}
