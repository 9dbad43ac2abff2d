//! Whether Postgres answers, as this process sees it: a breaker, so that requests do not pile up before a database that is
//! down or hangs.

use holdfast_queue::backoff;
use holdfast_store::{Error, Pool};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

#[derive(Clone, Debug, Default)]
pub struct Outage(Arc<Mutex<Option<Instant>>>);

impl Outage {
    pub fn is_on(&self) -> bool {
        self.lasts().is_some()
    }

    /// For how long it has been on. `None`: Postgres answers.
    pub fn lasts(&self) -> Option<Duration> {
        self.since().map(|since| since.elapsed())
    }

    /// A statement got no answer. Whoever asks from here on need not wait for the same.
    pub fn report(&self) {
        if !self.is_on() {
            tracing::warn!("postgres does not answer");
        }
        self.set(true);
    }

    /// Asks again and again, over a connection that nobody else can keep busy, until `stop`.
    pub async fn watch(self, pool: Pool, interval: Duration, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match pool.ping().await {
                Ok(()) => {
                    if let Some(lasted) = self.lasts() {
                        tracing::info!(lasted_ms = lasted.as_millis() as u64, "postgres answers again");
                    }
                    self.set(false);
                }
                Err(Error::Unavailable(_) | Error::ReadOnly) => self.report(),
                Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "could not ask postgres"),
            }
            stop.run_until_cancelled(backoff::sleep(interval)).await;
        }
    }

    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, on: bool) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *since = if on { since.or_else(|| Some(Instant::now())) } else { None };
    }
}
