//! How much may be asked of one partner: a limit of requests at once, and a breaker that stops asking one that is down.
//!
//! An open breaker postpones and burns no try. What it knows is this process's own; another process finds out for itself.

use crate::turnstile::{Turn, Turnstile};
use holdfast_domain::ClientNo;
use holdfast_domain::breaker::{Breaker, Seen};
use holdfast_domain::schedule::jittered;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Requests under way at once …
    pub concurrency: usize,
    /// … and those that wait for their turn.
    pub waiting: usize,
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open at first; doubles while the probes fail …
    pub open: Duration,
    /// … up to this.
    pub cap: Duration,
    /// A probe that has not been heard of for this long is given up.
    pub probe: Duration,
}

#[derive(Clone, Debug)]
pub struct Circuit {
    terms: Terms,
    requests: Arc<Turnstile>,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed {
        failures: u32,
    },
    /// Nobody asks before `until`; the first one after it is the probe.
    Open {
        until: Instant,
        length: Duration,
        /// It is under way. Who fails else was under way when it opened, and says nothing new.
        probing: bool,
    },
}

impl Circuit {
    pub fn new(terms: Terms) -> Self {
        let requests = Turnstile::of_requests(terms.concurrency, terms.waiting);
        Self { terms, requests, state: Arc::new(Mutex::new(State::Closed { failures: 0 })) }
    }

    /// Whether a request may be made now; else how long to wait, spread by `random`. After an open time one caller is let
    /// through as the probe.
    pub fn admit(&self, now: Instant, random: u32) -> Result<(), Duration> {
        let mut state = self.state();
        match *state {
            State::Closed { .. } => Ok(()),
            State::Open { until, length, .. } if now < until => {
                // Not before the probe has had its time; together they would be a second outage.
                Err(until - now + jittered(length.min(self.terms.open), random))
            }
            State::Open { length, .. } => {
                *state = State::Open { until: now + self.terms.probe, length, probing: true };
                Ok(())
            }
        }
    }

    /// The right to make one request, or when to come back: its limit of them is under way.
    pub async fn enter(&self, client: ClientNo) -> Result<Turn, Duration> {
        self.requests.enter(client).await
    }

    /// Whether further requests would not have to wait for long.
    pub fn has_room(&self) -> bool {
        self.requests.has_room()
    }

    /// Whether nobody but a probe may ask.
    pub fn is_open(&self) -> bool {
        matches!(*self.state(), State::Open { .. })
    }

    /// What came of a request. `random` spreads the probes of several processes.
    pub fn report(&self, answered: bool, now: Instant, random: u32) {
        let mut state = self.state();
        *state = match (*state, answered) {
            (_, true) => State::Closed { failures: 0 },
            (State::Closed { failures }, false) if failures + 1 < self.terms.failures => {
                State::Closed { failures: failures + 1 }
            }
            (State::Closed { .. }, false) => {
                let length = self.terms.open;
                State::Open { until: now + jittered(length, random), length, probing: false }
            }
            (State::Open { length, probing: true, .. }, false) => {
                let length = (length * 2).min(self.terms.cap);
                State::Open { until: now + jittered(length, random), length, probing: false }
            }
            (open @ State::Open { probing: false, .. }, false) => open,
        };
    }

    /// For those who look on.
    pub fn look(&self) -> Seen {
        let (breaker, failures) = match *self.state() {
            State::Closed { failures } => (Breaker::Closed, failures),
            State::Open { probing: false, .. } => (Breaker::Open, self.terms.failures),
            State::Open { probing: true, .. } => (Breaker::Probing, self.terms.failures),
        };
        Seen { breaker, failures, under_way: self.requests.under_way() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);
    /// No jitter.
    const EVEN: u32 = 200;

    fn circuit() -> Circuit {
        Circuit::new(Terms { concurrency: 2, waiting: 1, failures: 3, open: 5 * S, cap: 15 * S, probe: 10 * S })
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_probe_through() {
        let (circuit, start) = (circuit(), Instant::now());
        for answered in [false, false, true, false, false, false] {
            assert_eq!(circuit.admit(start, EVEN), Ok(()));
            circuit.report(answered, start, EVEN);
        }
        assert_eq!(circuit.admit(start, EVEN), Err(10 * S));
        assert_eq!((circuit.look().breaker, circuit.look().failures), (Breaker::Open, 3));
        assert_eq!(circuit.admit(start + 5 * S, EVEN), Ok(()), "the probe");
        assert_eq!(circuit.look().breaker, Breaker::Probing);
        assert!(circuit.admit(start + 5 * S, EVEN).is_err(), "only one");
        circuit.report(true, start + 6 * S, EVEN);
        assert_eq!(circuit.admit(start + 6 * S, EVEN), Ok(()));
        assert_eq!(circuit.look(), Seen { breaker: Breaker::Closed, failures: 0, under_way: 0 });
    }

    #[test]
    fn it_stays_open_longer_while_probes_fail_and_survives_a_lost_one() {
        let (circuit, start) = (circuit(), Instant::now());
        for _ in 0..3 {
            circuit.report(false, start, EVEN);
        }
        let mut now = start;
        for open in [5, 10, 15, 15] {
            assert!(circuit.admit(now + (open - 1) * S, EVEN).is_err());
            now += open * S;
            assert_eq!(circuit.admit(now, EVEN), Ok(()));
            circuit.report(false, now, EVEN);
        }
        now += 15 * S;
        assert_eq!(circuit.admit(now, EVEN), Ok(()), "a probe that nobody hears of");
        assert_eq!(circuit.admit(now + 10 * S, EVEN), Ok(()), "is followed by another");
    }

    #[test]
    fn those_under_way_when_it_opens_do_not_keep_it_open() {
        let (circuit, start) = (circuit(), Instant::now());
        for _ in 0..100 {
            circuit.report(false, start, EVEN);
        }
        assert!(circuit.admit(start + 4 * S, EVEN).is_err());
        assert_eq!(circuit.admit(start + 5 * S, EVEN), Ok(()), "the probe, when its first time is over");
    }
}
