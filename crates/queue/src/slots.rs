//! How much may be worked on at once. A slot is a guard: it is given back when it is dropped, also by a panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Clone, Debug)]
pub struct Slots {
    /// Our own, and those of which each of them is one too.
    pools: Vec<Arc<Pool>>,
}

#[derive(Debug)]
struct Pool {
    free: Arc<Semaphore>,
    /// So many that are in hand do not come back.
    owed: AtomicUsize,
}

impl Slots {
    pub fn new(count: usize) -> Self {
        Self { pools: vec![Pool::new(count)] }
    }

    /// The same slots, but at most so many of them at once: the others are left for whoever takes from `self`.
    pub fn at_most(&self, count: usize) -> Self {
        let own = std::iter::once(Pool::new(count));
        Self { pools: own.chain(self.pools.iter().cloned()).collect() }
    }

    /// So many more.
    pub fn add(&self, count: usize) {
        let own = &self.pools[0];
        let kept = own.pay(count);
        own.free.add_permits(count - kept);
    }

    /// So many fewer: of those that are free now, and of the others as they come back.
    pub fn remove(&self, count: usize) {
        let own = &self.pools[0];
        let gone = own.free.forget_permits(count);
        own.owed.fetch_add(count - gone, Ordering::Relaxed);
    }

    /// At least one slot, as soon as there is one, and up to `max` of those free.
    pub async fn acquire_up_to(&self, max: usize) -> Vec<Slot> {
        let first = self.acquire().await;
        let mut slots = vec![Slot { slots: Some(self.clone()), permits: first }];
        slots.extend(self.take_up_to(max - 1));
        slots
    }

    /// Up to `max` of the slots that are free now; possibly none.
    pub fn take_up_to(&self, max: usize) -> Vec<Slot> {
        let take = || Some(Slot { slots: Some(self.clone()), permits: self.try_acquire()? });
        std::iter::from_fn(take).take(max).collect()
    }

    pub fn free(&self) -> usize {
        self.pools.iter().map(|pool| pool.free.available_permits()).min().unwrap_or_default()
    }

    async fn acquire(&self) -> Vec<Permit> {
        acquire(&self.pools).await
    }

    /// For who had one already: a limit of a part is on what is begun.
    async fn acquire_again(&self) -> Vec<Permit> {
        acquire(if self.pools.len() > 1 { &self.pools[1..] } else { &self.pools }).await
    }

    fn try_acquire(&self) -> Option<Vec<Permit>> {
        let take = |pool| Some(Permit::new(pool, Arc::clone(&pool.free).try_acquire_owned().ok()?));
        self.pools.iter().map(take).collect()
    }
}

async fn acquire(pools: &[Arc<Pool>]) -> Vec<Permit> {
    let mut permits = Vec::with_capacity(pools.len());
    for pool in pools {
        let permit = Arc::clone(&pool.free).acquire_owned().await.expect("the semaphore is never closed");
        permits.push(Permit::new(pool, permit));
    }
    permits
}

impl Pool {
    fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(count)), owed: AtomicUsize::new(0) })
    }

    /// Up to `count` of what is owed. Answers how much that was.
    fn pay(&self, count: usize) -> usize {
        let rest = |owed: usize| (owed > 0).then(|| owed.saturating_sub(count));
        self.owed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).map_or(0, |owed| owed.min(count))
    }
}

/// The right to work on one message.
#[derive(Debug)]
pub struct Slot {
    /// `None`: it is counted elsewhere.
    slots: Option<Slots>,
    /// One of each pool.
    permits: Vec<Permit>,
}

#[derive(Debug)]
struct Permit {
    pool: Arc<Pool>,
    /// It is there until the drop.
    own: Option<OwnedSemaphorePermit>,
}

impl Permit {
    fn new(pool: &Arc<Pool>, own: OwnedSemaphorePermit) -> Self {
        Self { pool: Arc::clone(pool), own: Some(own) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.pool.pay(1) > 0
            && let Some(own) = self.own.take()
        {
            own.forget();
        }
    }
}

impl Slot {
    /// For work that is bounded by other means.
    pub const fn uncounted() -> Self {
        Self { slots: None, permits: Vec::new() }
    }

    /// Waits for something without holding the slot. One of a part of the slots comes back as one of all of them: whoever
    /// waits for messages may hold all of the part, and nobody who has begun must wait for that.
    pub async fn away<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.permits.clear();
        let result = future.await;
        if let Some(slots) = &self.slots {
            self.permits = slots.acquire_again().await;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slot_comes_back_after_a_panic() {
        let slots = Slots::new(1);
        let slot = slots.take_up_to(1);
        let handler = tokio::spawn(async move {
            let _slot = slot;
            panic!("handler")
        });
        assert!(handler.await.is_err());
        assert_eq!(slots.free(), 1);
    }

    #[tokio::test]
    async fn a_part_of_the_slots_leaves_the_others_free() {
        let slots = Slots::new(3);
        let part = slots.at_most(2);
        let taken = part.take_up_to(3);
        assert_eq!((taken.len(), slots.free(), part.free()), (2, 1, 0));
        let rest = slots.take_up_to(3);
        drop(taken);
        assert_eq!((rest.len(), slots.free(), part.free()), (1, 2, 2));
        let rest = [rest, slots.take_up_to(3)];
        assert!(part.take_up_to(1).is_empty(), "they are the same slots");
        drop(rest);
        part.remove(1);
        assert_eq!((part.free(), slots.free()), (1, 3));
        part.add(1);
        assert_eq!(part.take_up_to(3).len(), 2);
    }

    #[tokio::test]
    async fn what_is_taken_away_while_it_is_in_hand_does_not_come_back() {
        let slots = Slots::new(4);
        let part = slots.at_most(3);
        let mut taken = part.take_up_to(2);
        part.remove(3);
        assert_eq!((part.free(), slots.free()), (0, 2));
        drop(taken.pop());
        assert_eq!((part.free(), slots.free()), (0, 3), "the others get it");
        part.add(2);
        assert_eq!(part.free(), 1, "one of them is in hand");
        drop(taken);
        assert_eq!((part.free(), slots.free()), (2, 4));
    }

    #[tokio::test]
    async fn who_comes_back_needs_no_slot_of_the_part() {
        let slots = Slots::new(3);
        let part = slots.at_most(1);
        let mut slot = part.take_up_to(1).pop().expect("one is free");
        let mut poller = None;
        slot.away(async { poller = part.take_up_to(1).pop() }).await;
        assert!(poller.is_some() && part.free() == 0);
        assert_eq!(slots.free(), 1);
        drop(slot);
        assert_eq!((part.free(), slots.free()), (0, 2));
        drop(poller);
        assert_eq!((part.free(), slots.free()), (1, 3));
    }

    #[tokio::test]
    async fn whoever_waits_holds_no_slot() {
        let slots = Slots::new(1);
        let mut slot = slots.take_up_to(5).pop().expect("one is free");
        assert!(slots.take_up_to(1).is_empty());
        slot.away(async { assert_eq!(slots.free(), 1) }).await;
        assert_eq!(slots.free(), 0);
    }
}
