//! How many commands that clients sent beyond their shares are in hand at once: as many as the worker can carry, unless
//! others notice. Where a command within a client's share waits longer for its claim than it does in calmer times, fewer of
//! the overflow are begun; where none does, more are, step by step (additive increase, multiplicative decrease, as TCP does).

use crate::engine::Held;
use crate::track::Track;
use holdfast_domain::ClientNo;
use holdfast_queue::{Slots, backoff};
use moka::sync::Cache;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the limit is thought over.
const INTERVAL: Duration = Duration::from_millis(100);

/// Whoever has overflowed within this is a part of the flood, and no witness of what it does to others.
const FLOODING: Duration = Duration::from_secs(10);

/// Nobody notices less than this.
const UNNOTICED: Duration = Duration::from_millis(2);

/// How many times as long as in calm times others may wait.
const TOLERATED: u32 = 2;

/// Never fewer: what overflows must go on.
const LEAST: usize = 16;

/// How many more slots there are after each interval in which nobody has noticed anything.
const STEP: usize = 4;

pub struct OverflowLimit {
    slots: Slots,
    state: Mutex<Limit>,
    flooding: Cache<ClientNo, ()>,
    witnessed: Mutex<Witnessed>,
}

/// What commands within the shares of calm clients have waited for their claims, since the last interval.
#[derive(Clone, Copy, Debug, Default)]
struct Witnessed {
    waited: Duration,
    count: u32,
}

#[derive(Debug)]
struct Limit {
    most: usize,
    now: usize,
    /// What a claim takes when it is calm: the least of late.
    calm: Duration,
}

impl OverflowLimit {
    pub fn new(slots: Slots, most: usize) -> Self {
        let limit = Limit { most, now: most, calm: Duration::MAX };
        let flooding = Cache::builder().max_capacity(100_000).time_to_live(FLOODING).build();
        Self { slots, state: Mutex::new(limit), flooding, witnessed: Mutex::default() }
    }

    pub const fn slots(&self) -> &Slots {
        &self.slots
    }

    pub fn now(&self) -> usize {
        lock(&self.state).now
    }

    /// A command that was claimed just now.
    pub(crate) fn saw(&self, held: &Held) {
        let client = held.claimed.client;
        let floods = self.flooding.contains_key(&client);
        match held.track {
            Track::Overflow if !floods => self.flooding.insert(client, ()),
            Track::Share if !floods => lock(&self.witnessed).add(held.started.elapsed()),
            Track::Overflow | Track::Share => {}
        }
    }

    /// Until the stop.
    pub async fn adapt(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(backoff::sleep(INTERVAL)).await.is_some() {
            let witnessed = std::mem::take(&mut *lock(&self.witnessed));
            let mut limit = lock(&self.state);
            let wanted = limit.after(witnessed);
            if wanted > limit.now {
                self.slots.add(wanted - limit.now);
                limit.now = wanted;
            } else {
                // Those in hand are taken away when they come back.
                limit.now -= self.slots.remove(limit.now - wanted);
            }
        }
    }
}

impl Witnessed {
    fn add(&mut self, waited: Duration) {
        self.waited += waited;
        self.count += 1;
    }
}

impl Limit {
    fn after(&mut self, witnessed: Witnessed) -> usize {
        let Some(waited) = witnessed.waited.checked_div(witnessed.count) else {
            return (self.now + STEP).min(self.most);
        };
        // Twice as much after a minute or so: what was calm once does not count for ever.
        self.calm = self.calm.saturating_mul(1_001) / 1_000;
        self.calm = self.calm.min(waited);
        if waited > (self.calm * TOLERATED).max(UNNOTICED) {
            (self.now * 3 / 4).max(LEAST.min(self.most))
        } else {
            (self.now + STEP).min(self.most)
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witnessed(ms: u64) -> Witnessed {
        let mut witnessed = Witnessed::default();
        witnessed.add(Duration::from_millis(ms));
        witnessed
    }

    #[test]
    fn fewer_are_in_hand_while_others_notice_and_more_again_when_they_do_not() {
        let mut limit = Limit { most: 200, now: 200, calm: Duration::MAX };
        assert_eq!(limit.after(witnessed(3)), 200, "that is what a claim takes");
        limit.now = limit.after(witnessed(7));
        assert_eq!(limit.now, 150);
        for _ in 0..20 {
            limit.now = limit.after(witnessed(7));
        }
        assert_eq!(limit.now, LEAST, "it goes on");
        assert_eq!(limit.after(witnessed(5)), LEAST + STEP, "twice as long is tolerated");
        for _ in 0..100 {
            limit.now = limit.after(Witnessed::default());
        }
        assert_eq!(limit.now, 200, "nobody is there");
    }

    #[test]
    fn what_was_calm_once_is_forgotten() {
        let mut limit = Limit { most: 200, now: 200, calm: Duration::from_millis(2) };
        for _ in 0..3_000 {
            limit.now = limit.after(witnessed(20));
        }
        assert_eq!(limit.now, 200, "this machine is slower now");
    }
}
