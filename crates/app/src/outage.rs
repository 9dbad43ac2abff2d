//! Whether Postgres answers, as this process sees it: a breaker, so that requests do not pile up before a database that is
//! down or hangs.

use holdfast_queue::backoff;
use holdfast_store::{Error, Pool};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone, Debug, Default)]
pub struct Outage(Arc<Mutex<State>>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    on: bool,
    /// The last write that Postgres took came before this. A server that answers but cannot write is no help.
    since: Option<Instant>,
}

impl Outage {
    pub fn is_on(&self) -> bool {
        self.state().on
    }

    /// For how long nothing was written. `None`: the last write was taken.
    pub fn lasts(&self) -> Option<Duration> {
        self.state().since.map(|since| since.elapsed())
    }

    /// A statement got no answer. Whoever asks from here on need not wait for the same.
    pub fn report(&self) {
        let mut state = self.state();
        if !state.on {
            tracing::warn!("postgres does not answer");
        }
        state.on = true;
        state.since.get_or_insert_with(Instant::now);
    }

    /// Postgres has taken a write.
    pub fn wrote(&self) {
        self.state().since = None;
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
        let mut state = self.state();
        if state.on {
            let lasted = state.since.map(|since| since.elapsed()).unwrap_or_default();
            tracing::info!(lasted_ms = lasted.as_millis() as u64, "postgres answers again");
        }
        state.on = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
