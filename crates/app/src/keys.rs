//! Who is calling: API keys, cached, and still known while Postgres is down.

use crate::App;
use crate::limits::Strangers;
use crate::outage::Outage;
use holdfast_domain::api_key::ApiKey;
use holdfast_domain::{ClientNo, Scopes, ServerKey};
use holdfast_store::Pool;
use holdfast_store::api_keys::{self, Owner};
use holdfast_store::clients::Rates;
use moka::future::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long an answer counts while Postgres can be asked: a disabled key works at most this much longer.
const FRESH: Duration = Duration::from_secs(5);

/// At this age of an answer the next one is asked for, and nobody waits for it. Only who was not here for a while does.
const RENEWED: Duration = Duration::from_millis(2_500);

/// How long a known key keeps working while Postgres cannot be asked. What is known of it then is no older than
/// `api.key_usage_ms` when that begins, whether it was used or not.
const STALE: Duration = Duration::from_secs(24 * 3600);

const CAPACITY: u64 = 100_000;

/// Keys that were never seen here are asked for one after the other, nearly: whoever makes up many at once must not take the
/// connections, and those that are somebody's get their turn between them.
const STRANGERS_AT_ONCE: usize = 4;

/// Keys that are asked for in one statement.
const CHUNK: usize = 1_000;

/// Keys that were just asked for. They have a cache of their own: whoever makes up keys pushes out nobody's.
const MET_CAPACITY: u64 = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("api key is not valid")]
    Invalid,
    /// Never seen here, and Postgres cannot be asked.
    #[error("api key cannot be checked")]
    Unavailable(#[source] Arc<holdfast_store::Error>),
    /// Never seen here, and too many of those were nobody's.
    #[error("too many unknown api keys")]
    TooMany { wait: Duration },
}

/// Why it is not known of a key whose it is.
#[derive(Debug)]
enum Unmet {
    TooMany(Duration),
    Unavailable(Arc<holdfast_store::Error>),
}

/// Whose key it is, and what it may do.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    pub client: ClientNo,
    pub scopes: Scopes,
    pub rates: Rates,
}

#[derive(Clone)]
pub struct Keys {
    pool: Pool,
    server_key: ServerKey,
    outage: Outage,
    strangers: Arc<Strangers>,
    /// For asking who a stranger is.
    turns: Arc<Semaphore>,
    patience: Duration,
    known: Cache<String, Arc<Known>>,
    /// `None`: nobody's.
    met: Cache<String, Option<Arc<Known>>>,
}

/// What Postgres said of a key.
struct Known {
    owner: Owner,
    /// Before it was asked: no answer is older than it is taken for.
    asked: Instant,
    /// From then on it is refused, by the clock of this process.
    ends: Option<Instant>,
    renewing: AtomicBool,
    /// Since that was last written down.
    used: Arc<AtomicBool>,
}

impl Keys {
    pub fn new(app: &App, outage: Outage) -> Self {
        let pool = app.pool.within(app.config.api.accept_timeout_ms.get());
        Self {
            pool,
            server_key: app.server_key.clone(),
            outage,
            strangers: Arc::new(Strangers::new(&app.config.limits)),
            turns: Arc::new(Semaphore::new(STRANGERS_AT_ONCE)),
            patience: app.config.api.accept_timeout_ms.get(),
            known: Cache::builder().max_capacity(CAPACITY).time_to_live(STALE).build(),
            met: Cache::builder().max_capacity(MET_CAPACITY).time_to_live(FRESH).build(),
        }
    }

    pub async fn holder(&self, api_key: &str) -> Result<Holder, Error> {
        let key = ApiKey::parse(api_key).ok_or(Error::Invalid)?;
        let known = self.known(key.key_id).await?.ok_or(Error::Invalid)?;
        if !self.server_key.is_api_key(key.text, &known.owner.hash) || !known.is_live() {
            return Err(Error::Invalid);
        }
        known.mark_used();
        let Owner { client, scopes, rates, .. } = known.owner;
        Ok(Holder { client, scopes, rates })
    }

    async fn known(&self, key_id: &str) -> Result<Option<Arc<Known>>, Error> {
        let Some(known) = self.known.get(key_id).await else {
            return Box::pin(self.meet(key_id)).await;
        };
        let age = known.asked.elapsed();
        if age < RENEWED || self.outage.is_on() {
            return Ok(Some(known));
        }
        if age < FRESH {
            self.renew(key_id, &known);
            return Ok(Some(known));
        }
        match Box::pin(self.met.try_get_with_by_ref(key_id, self.ask(key_id))).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                tracing::debug!(%error, "could not ask for an api key, going on with what is known");
                Ok(Some(known))
            }
        }
    }

    /// Everybody who comes with this key meanwhile waits for the same answer, and so does who comes soon after: only what is
    /// asked costs something.
    async fn meet(&self, key_id: &str) -> Result<Option<Arc<Known>>, Error> {
        let met = self.met.try_get_with_by_ref(key_id, self.ask_who_it_is(key_id)).await;
        met.map_err(|error| match &*error {
            Unmet::TooMany(wait) => Error::TooMany { wait: *wait },
            Unmet::Unavailable(cause) => Error::Unavailable(Arc::clone(cause)),
        })
    }

    async fn ask_who_it_is(&self, key_id: &str) -> Result<Option<Arc<Known>>, Unmet> {
        self.strangers.admit().map_err(Unmet::TooMany)?;
        let turn = tokio::time::timeout(self.patience, self.turns.acquire()).await;
        let asked = match turn {
            Ok(_turn) => self.ask(key_id).await.map_err(|error| Unmet::Unavailable(Arc::new(error))),
            Err(_elapsed) => Err(Unmet::TooMany(self.patience)),
        };
        if !matches!(asked, Ok(None)) {
            self.strangers.forgive();
        }
        asked
    }

    /// The first one has it done. If that fails, everybody asks when the answer is no longer fresh.
    fn renew(&self, key_id: &str, known: &Known) {
        if known.renewing.load(Ordering::Relaxed) || known.renewing.swap(true, Ordering::Relaxed) {
            return;
        }
        let (keys, key_id) = (self.clone(), key_id.to_owned());
        tokio::spawn(async move {
            if let Err(error) = keys.ask(&key_id).await {
                tracing::debug!(%error, "could not renew an api key");
            }
        });
    }

    async fn ask(&self, key_id: &str) -> Result<Option<Arc<Known>>, holdfast_store::Error> {
        let asked = Instant::now();
        match api_keys::owner(&self.pool, key_id).await {
            Ok(Some(owner)) => Ok(Some(self.learn(key_id, owner, asked).await)),
            Ok(None) => {
                self.known.invalidate(key_id).await;
                Ok(None)
            }
            Err(error) => {
                if matches!(error, holdfast_store::Error::Unavailable(_)) && !error.is_without_connection() {
                    self.outage.report();
                }
                Err(error)
            }
        }
    }

    /// Asks for all that are known, whoever uses them or not: one that was disabled while nobody came with it must not be
    /// valid again for as long as Postgres is away.
    pub(crate) async fn review(&self) -> Result<(), holdfast_store::Error> {
        let key_ids: Vec<String> = self.known.iter().map(|(key_id, _)| (*key_id).clone()).collect();
        for chunk in key_ids.chunks(CHUNK) {
            let asked = Instant::now();
            let mut owners = api_keys::owners(&self.pool, chunk).await?;
            for key_id in chunk {
                match owners.remove(key_id) {
                    Some(owner) => drop(self.learn(key_id, owner, asked).await),
                    None => self.known.invalidate(key_id).await,
                }
            }
        }
        Ok(())
    }

    async fn learn(&self, key_id: &str, owner: Owner, asked: Instant) -> Arc<Known> {
        let before = self.known.get(key_id).await;
        let used = before.as_ref().map(|known| Arc::clone(&known.used)).unwrap_or_default();
        match before.filter(|known| known.asked > asked) {
            Some(newer) => newer,
            None => {
                let known = Arc::new(Known::new(owner, asked, used));
                self.known.insert(key_id.to_owned(), Arc::clone(&known)).await;
                known
            }
        }
    }

    /// The keys that were used since this was last called, each with what makes it count as used once more.
    pub(crate) fn take_used(&self) -> Vec<(Arc<String>, Arc<AtomicBool>)> {
        let used = self.known.iter().filter(|(_, known)| known.used.swap(false, Ordering::Relaxed));
        used.map(|(key_id, known)| (key_id, Arc::clone(&known.used))).collect()
    }
}

impl Known {
    fn new(owner: Owner, asked: Instant, used: Arc<AtomicBool>) -> Self {
        // Postgres said how long, not until when: the two clocks need not agree.
        let ends = owner.expires_in.and_then(|left| asked.checked_add(left));
        Self { owner, asked, ends, renewing: AtomicBool::new(false), used }
    }

    fn is_live(&self) -> bool {
        !self.owner.disabled && self.ends.is_none_or(|ends| Instant::now() < ends)
    }

    /// Looks first: whoever only reads takes the line of memory from nobody.
    fn mark_used(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(disabled: bool, expires_in: Option<Duration>) -> Known {
        let owner = Owner {
            client: ClientNo(1),
            hash: Vec::new(),
            scopes: Scopes::all(),
            disabled,
            expires_in,
            rates: Rates::default(),
        };
        Known::new(owner, Instant::now(), Arc::default())
    }

    #[test]
    fn a_key_is_refused_from_its_end_on_however_fresh_the_answer_is() {
        assert!(known(false, None).is_live());
        assert!(known(false, Some(Duration::from_secs(3600))).is_live());
        assert!(known(false, Some(Duration::MAX)).is_live(), "no clock goes that far");
        assert!(!known(false, Some(Duration::ZERO)).is_live());
        assert!(!known(true, None).is_live());
    }
}
