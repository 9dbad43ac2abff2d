//! A limit of requests that somebody else gets at once, and a line in front of it.
//!
//! Whoever finds it full waits if its turn comes soon. Else it books a place in a line that moves as fast as the answers
//! come, so that many who wait for a slow one do not come back all the time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is assumed of somebody who has not answered yet.
const FIRST_GUESS: Duration = Duration::from_millis(100);

/// Whose turn is expected within this waits for it …
const SOON: Duration = Duration::from_millis(100);

/// … but not for longer than this.
const PATIENCE: Duration = Duration::from_millis(500);

/// Nobody is sent further away than this.
const FARTHEST: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Turnstile {
    permits: Arc<Semaphore>,
    limit: u32,
    /// Of those that may wait for their turn.
    room: u32,
    waiting: AtomicU32,
    line: Mutex<Line>,
}

#[derive(Debug)]
struct Line {
    /// What an answer takes, lately.
    takes: Duration,
    /// The last place that was given away.
    last: Option<Instant>,
}

/// The right to make one request.
#[derive(Debug)]
pub struct Turn {
    turnstile: Arc<Turnstile>,
    _permit: OwnedSemaphorePermit,
}

impl Turnstile {
    pub fn new(limit: usize, room: usize) -> Arc<Self> {
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(limit)),
            limit: count(limit),
            room: count(room),
            waiting: AtomicU32::new(0),
            line: Mutex::new(Line { takes: FIRST_GUESS, last: None }),
        })
    }

    /// Requests under way.
    pub fn under_way(&self) -> u32 {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        self.limit.saturating_sub(free)
    }

    /// Whether a request could be made soon.
    pub fn is_free_soon(&self) -> bool {
        self.permits.available_permits() > 0 || self.may_wait()
    }

    /// Leave to make a request, or when to come back.
    pub async fn enter(self: &Arc<Self>) -> Result<Turn, Duration> {
        match self.permit().await {
            Some(permit) => Ok(Turn { turnstile: Arc::clone(self), _permit: permit }),
            None => Err(self.place(Instant::now())),
        }
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some(permit);
        }
        if !self.may_wait() {
            return None;
        }
        let _waiting = Waiting::begin(&self.waiting);
        let permit = tokio::time::timeout(PATIENCE, Arc::clone(&self.permits).acquire_owned()).await;
        permit.ok()?.ok()
    }

    /// When those who wait already have been let in, will it be soon?
    fn may_wait(&self) -> bool {
        let waiting = self.waiting.load(Ordering::Relaxed);
        waiting < self.room && self.line().takes * (waiting + 1) / self.limit <= SOON
    }

    fn place(&self, now: Instant) -> Duration {
        let mut line = self.line();
        let last = line.last.filter(|last| *last > now).unwrap_or(now);
        let place = (last + line.takes / self.limit).min(now + FARTHEST);
        line.last = Some(place);
        // The one whose place it takes must have had its answer.
        place - now + line.takes
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counted as long as it lives.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turn {
    /// What the answer took.
    pub fn leave(self, took: Duration) {
        let mut line = self.turnstile.line();
        line.takes = (line.takes * 7 + took) / 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_finds_it_full_waits_unless_too_many_do() {
        let turnstile = Turnstile::new(2, 1);
        let first = turnstile.enter().await.expect("room");
        let _second = turnstile.enter().await.expect("room");
        let fourth = async {
            assert!(turnstile.enter().await.is_err(), "one waits already");
            drop(first);
        };
        assert!(tokio::join!(turnstile.enter(), fourth).0.is_ok(), "its turn has come");
    }

    #[tokio::test]
    async fn the_line_is_as_long_as_the_answers_are_slow() {
        let turnstile = Turnstile::new(1, 100);
        for _ in 0..100 {
            turnstile.enter().await.expect("room").leave(Duration::from_secs(1));
        }
        let _taken = turnstile.enter().await.expect("room");
        assert!(!turnstile.is_free_soon());
        let refused = async || turnstile.enter().await.expect_err("full").as_secs_f64();
        let waits = [refused().await, refused().await, refused().await];
        for (wait, expected) in waits.into_iter().zip([2.0, 3.0, 4.0]) {
            assert!((wait - expected).abs() < 0.01, "{waits:?}");
        }
        for _ in 0..1000 {
            assert!(refused().await <= (FARTHEST + Duration::from_secs(1)).as_secs_f64());
        }
    }
}
