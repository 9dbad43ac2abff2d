//! How many commands that clients sent beyond their shares are in hand at once: as many as the worker can carry, unless
//! others notice. Where a command within a client's share waits longer for its claim than it does in calm times, fewer of
//! the overflow are begun; where none does, more are, step by step (additive increase, multiplicative decrease, as TCP does).

mod limit;

use crate::batch::{PACE, Pace};
use crate::engine::Held;
use crate::track::Track;
use holdfast_domain::{ClientNo, Kind};
use holdfast_queue::{Slots, backoff};
use limit::{Limit, Witnessed};
use moka::sync::Cache;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the limit is thought over.
const INTERVAL: Duration = Duration::from_millis(100);

/// The pace of the overflow's statements while others are there: each commit holds up whoever commits beside it, however
/// few rows it is about. Fewer and larger ones are felt less.
const SLOW_PACE: Duration = Duration::from_millis(10);

/// Receives at once per queue while others are there: more would be felt by them.
const FEW_POLLERS: usize = 2;

/// Whoever has overflowed within this is a part of the flood, and no witness of what it does to others.
const FLOODING: Duration = Duration::from_secs(10);

pub struct OverflowLimit {
    all: Slots,
    /// Of all of them: whoever waits for a message of one kind holds none of another.
    slots: HashMap<Kind, Slots>,
    pace: Pace,
    state: Mutex<Limit>,
    flooding: Cache<ClientNo, ()>,
    claims: Mutex<Claims>,
}

/// Since the last interval.
#[derive(Debug, Default)]
struct Claims {
    /// What the commands within each client's share have waited for theirs, and how many they were.
    shares: HashMap<ClientNo, (Duration, u32)>,
    overflow: u32,
}

impl OverflowLimit {
    pub fn new(all: Slots, most: usize) -> Self {
        let slots = Kind::ALL.into_iter().map(|kind| (kind, all.at_most(most))).collect();
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let flooding = Cache::builder().max_capacity(100_000).time_to_live(FLOODING).build();
        let pace = Pace::new(PACE);
        Self { all, slots, pace, state: Mutex::new(Limit::new(most, cores)), flooding, claims: Mutex::default() }
    }

    pub const fn all(&self) -> &Slots {
        &self.all
    }

    pub fn slots(&self, kind: Kind) -> &Slots {
        &self.slots[&kind]
    }

    /// Of the overflow's statements.
    pub const fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Receives at once per queue.
    pub fn pollers(&self) -> usize {
        if lock(&self.state).is_lifted() { usize::MAX } else { FEW_POLLERS }
    }

    pub fn now(&self) -> usize {
        lock(&self.state).now()
    }

    /// A command that was claimed just now.
    pub(crate) fn saw(&self, held: &Held) {
        let client = held.claimed.client;
        let is_known = self.flooding.contains_key(&client);
        match held.track {
            Track::Overflow => {
                lock(&self.claims).overflow += 1;
                if !is_known {
                    self.flooding.insert(client, ());
                }
            }
            Track::Share => {
                lock(&self.claims).add(client, held.started.elapsed());
                if !is_known {
                    self.change(Limit::make_room);
                }
            }
        }
    }

    /// Now that it is known who floods.
    fn witnessed(&self) -> Witnessed {
        let Claims { shares, overflow } = std::mem::take(&mut *lock(&self.claims));
        let mut witnessed = Witnessed { overflow, ..Witnessed::default() };
        for (client, (waited, count)) in shares {
            if !self.flooding.contains_key(&client) {
                witnessed.add(Witnessed { waited, count, overflow: 0 });
            }
        }
        witnessed
    }

    /// Until the stop.
    pub async fn adapt(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(backoff::sleep(INTERVAL)).await.is_some() {
            self.change(|limit| limit.after(self.witnessed()));
        }
        // What is in hand ends as soon as it can.
        self.change(Limit::lift);
    }

    fn change(&self, to: impl FnOnce(&mut Limit)) {
        let mut limit = lock(&self.state);
        let before = limit.now();
        to(&mut limit);
        self.pace.set(if limit.is_lifted() { PACE } else { SLOW_PACE });
        for slots in self.slots.values() {
            slots.add(limit.now().saturating_sub(before));
            slots.remove(before.saturating_sub(limit.now()));
        }
    }
}

impl Claims {
    fn add(&mut self, client: ClientNo, waited: Duration) {
        let (sum, count) = self.shares.entry(client).or_default();
        *sum += waited;
        *count += 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
