//! Whether Postgres answers, as this process sees it: a breaker, so that requests do not pile up before a database that is
//! down or hangs.

use holdfast_queue::backoff;
use holdfast_store::{Error, Pool};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Read on every request: what is asked there takes no lock.
#[derive(Clone, Debug, Default)]
pub struct Outage(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    on: AtomicBool,
    /// Whether there is a time in `since`.
    unwritten: AtomicBool,
    /// The last write that Postgres took came before this. A server that answers but cannot write is no help.
    since: Mutex<Option<Instant>>,
}

impl Outage {
    pub fn is_on(&self) -> bool {
        self.0.on.load(Ordering::Relaxed)
    }

    /// For how long nothing was written. `None`: the last write was taken.
    pub fn lasts(&self) -> Option<Duration> {
        self.since().map(|since| since.elapsed())
    }

    /// A statement got no answer. Whoever asks from here on need not wait for the same.
    pub fn report(&self) {
        self.since().get_or_insert_with(Instant::now);
        self.0.unwritten.store(true, Ordering::Relaxed);
        if !self.0.on.swap(true, Ordering::Relaxed) {
            tracing::warn!("postgres does not answer");
        }
    }

    /// Postgres has taken a write.
    pub fn wrote(&self) {
        if self.0.unwritten.swap(false, Ordering::Relaxed) {
            *self.since() = None;
        }
    }

    /// Asks again and again, over a connection that nobody else can keep busy.
    pub async fn watch(self, pool: Pool, interval: Duration) {
        loop {
            match pool.ping().await {
                Ok(()) => self.answers(),
                Err(Error::Unavailable(_) | Error::ReadOnly) => self.report(),
                Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "could not ask postgres"),
            }
            backoff::sleep(interval).await;
        }
    }

    fn answers(&self) {
        if self.0.on.swap(false, Ordering::Relaxed) {
            let lasted = self.lasts().unwrap_or_default();
            tracing::info!(lasted_ms = lasted.as_millis() as u64, "postgres answers again");
        }
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
