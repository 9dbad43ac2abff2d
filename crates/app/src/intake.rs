//! Whether this process takes anything on: not while Postgres is unreachable, and not while a suspect is carried alone.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, watch};

#[derive(Clone)]
pub struct Intake(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    open: watch::Sender<bool>,
    doubt: Notify,
}

#[derive(Clone, Copy, Default)]
struct State {
    alive: bool,
    closed: u32,
}

/// Nothing is taken on until this is dropped.
pub struct Closed(Intake);

impl Default for Intake {
    fn default() -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), open: watch::Sender::new(false), doubt: Notify::new() }))
    }
}

impl Intake {
    /// What the heart has found.
    pub fn set_alive(&self, alive: bool) {
        self.update(|state| state.alive = alive);
    }

    /// Somebody has found that Postgres is not there. The next heartbeat follows at once, and decides.
    pub fn found_outage(&self) {
        self.set_alive(false);
        self.0.doubt.notify_one();
    }

    /// Returns when somebody doubts that Postgres is there.
    pub async fn doubted(&self) {
        self.0.doubt.notified().await;
    }

    pub fn close(&self) -> Closed {
        self.update(|state| state.closed += 1);
        Closed(self.clone())
    }

    /// Whether it is open, now and from now on.
    pub fn opening(&self) -> watch::Receiver<bool> {
        self.0.open.subscribe()
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        self.0.open.send_replace(state.alive && state.closed == 0);
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.update(|state| state.closed -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_open_while_alive_and_nobody_has_closed_it() {
        let intake = Intake::default();
        let open = || *intake.opening().borrow();
        assert!(!open());
        intake.set_alive(true);
        assert!(open());
        let (first, second) = (intake.close(), intake.close());
        drop(first);
        assert!(!open());
        intake.found_outage();
        drop(second);
        assert!(!open());
        intake.set_alive(true);
        assert!(open());
    }
}
