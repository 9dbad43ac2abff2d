//! Who is calling: API keys, cached, and still known while Postgres is down.

use crate::App;
use crate::limits::Strangers;
use crate::outage::Outage;
use holdfast_domain::ServerKey;
use holdfast_domain::api_key::ApiKey;
use holdfast_store::Pool;
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
    /// Never seen here, and too many of those were nobody's.
    #[error("too many unknown api keys")]
    TooMany { wait: Duration },
}

#[derive(Clone)]
pub struct Keys {
    pool: Pool,
    server_key: ServerKey,
    outage: Outage,
    strangers: Arc<Strangers>,
    cache: Cache<String, Known>,
}

#[derive(Clone)]
struct Known {
    /// `None`: nobody's.
    owner: Option<Arc<Owner>>,
    asked: Instant,
}

impl Keys {
    pub fn new(app: &App, outage: Outage) -> Self {
        let pool = app.pool.within(app.config.api.accept_timeout_ms.get());
        Self {
            pool,
            server_key: app.server_key.clone(),
            outage,
            strangers: Arc::new(Strangers::new(&app.config.limits)),
            cache: Cache::builder().max_capacity(CAPACITY).time_to_live(STALE).build(),
        }
    }

    pub async fn client(&self, api_key: &str) -> Result<Arc<Owner>, Error> {
        let key = ApiKey::parse(api_key).ok_or(Error::Invalid)?;
        let owner = self.owner(key.key_id).await?.ok_or(Error::Invalid)?;
        let valid = self.server_key.is_api_key(key.text, &owner.hash) && !owner.disabled;
        if valid { Ok(owner) } else { Err(Error::Invalid) }
    }

    async fn owner(&self, key_id: &str) -> Result<Option<Arc<Owner>>, Error> {
        let cached = self.cache.get(key_id).await;
        match &cached {
            Some(known) if known.asked.elapsed() < FRESH => return Ok(known.owner.clone()),
            Some(Known { owner: Some(owner), .. }) if self.outage.is_on() => return Ok(Some(Arc::clone(owner))),
            // Whoever asks is the only one: the others go on with what is known until there is an answer.
            Some(Known { owner: Some(owner), .. }) => self.know(key_id, Some(Arc::clone(owner))).await,
            Some(Known { owner: None, .. }) | None => {
                self.strangers.admit().map_err(|wait| Error::TooMany { wait })?;
            }
        }
        match (clients::owner_of_key(&self.pool, key_id).await, cached) {
            (Ok(owner), _) => {
                if owner.is_none() {
                    self.strangers.met();
                }
                let owner = owner.map(Arc::new);
                self.know(key_id, owner.clone()).await;
                Ok(owner)
            }
            (Err(error), cached) => {
                if matches!(error, holdfast_store::Error::Unavailable(_)) {
                    self.outage.report();
                }
                let owner = cached.and_then(|known| known.owner);
                owner.map(Some).ok_or(Error::Unavailable(error))
            }
        }
    }

    async fn know(&self, key_id: &str, owner: Option<Arc<Owner>>) {
        self.cache.insert(key_id.to_owned(), Known { owner, asked: Instant::now() }).await;
    }
}
