//! Since when a source has answered all that it was asked. While it does not, nobody can say that an event does not come.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Of one source. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Calm {
    state: Arc<Mutex<State>>,
    /// In which it delivers again what somebody has received who is gone.
    pub(crate) redelivers_within: Duration,
}

#[derive(Debug)]
struct State {
    since: Instant,
    /// When the last whole look for what was abandoned began. `None`: nothing like that has to be looked for.
    swept: Option<Instant>,
}

impl Calm {
    /// Of a source that delivers again by itself.
    pub(crate) fn of_a_queue(redelivers_within: Duration) -> Self {
        Self::new(redelivers_within, None)
    }

    /// Of a source that is looked through for what was abandoned.
    pub(crate) fn of_a_stream(redelivers_within: Duration) -> Self {
        // The first look is yet to come.
        Self::new(redelivers_within, Some(Instant::now()))
    }

    fn new(redelivers_within: Duration, swept: Option<Instant>) -> Self {
        Self { state: Arc::new(Mutex::new(State { since: Instant::now(), swept })), redelivers_within }
    }

    /// It has not answered.
    pub(crate) fn disturb(&self) {
        self.state().since = Instant::now();
    }

    /// A look for what was abandoned that began then has come to its end.
    pub(crate) fn swept(&self, began: Instant) {
        self.state().swept = Some(began);
    }

    /// Whether everything that was there has been delivered to somebody who lives, and `patience` is over since.
    pub(crate) fn lasts(&self, since: Instant, patience: Duration) -> bool {
        let state = self.state();
        let since = since.max(state.since);
        since.elapsed() >= patience && state.swept.is_none_or(|began| began > since)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn long_ago(calm: &Calm) -> Instant {
        let then = Instant::now() - 2 * PATIENCE;
        calm.state().since = then;
        then
    }

    #[test]
    fn patience_begins_anew_when_the_source_was_away() {
        let calm = Calm::of_a_queue(Duration::ZERO);
        let then = long_ago(&calm);
        assert!(calm.lasts(then, PATIENCE));
        calm.disturb();
        assert!(!calm.lasts(then, PATIENCE));
    }

    #[test]
    fn a_stream_must_have_been_looked_through_since() {
        let calm = Calm::of_a_stream(Duration::ZERO);
        let then = long_ago(&calm);
        calm.swept(then - PATIENCE);
        assert!(!calm.lasts(then, PATIENCE));
        calm.swept(then + PATIENCE);
        assert!(calm.lasts(then, PATIENCE));
    }
}
