//! How much may be worked on at once. A slot is a guard: it is given back when it is dropped, also by a panic.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Clone, Debug)]
pub struct Slots {
    free: Arc<Semaphore>,
    /// Each of them is one of these too.
    of: Option<Arc<Semaphore>>,
}

impl Slots {
    pub fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), of: None }
    }

    /// The same slots, but at most so many of them at once: the others are left for whoever takes from `self`.
    pub fn at_most(&self, count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), of: Some(Arc::clone(&self.free)) }
    }

    pub fn add(&self, count: usize) {
        self.free.add_permits(count);
    }

    /// Takes up to `count` away for good, of those that are free now. Answers how many it were.
    pub fn remove(&self, count: usize) -> usize {
        self.free.forget_permits(count)
    }

    /// At least one slot, as soon as there is one, and up to `max` of those free.
    pub async fn acquire_up_to(&self, max: usize) -> Vec<Slot> {
        let first = self.acquire().await;
        let mut slots = vec![Slot { slots: Some(self.clone()), permits: Some(first) }];
        slots.extend(self.take_up_to(max - 1));
        slots
    }

    /// Up to `max` of the slots that are free now; possibly none.
    pub fn take_up_to(&self, max: usize) -> Vec<Slot> {
        let take = || Some(Slot { slots: Some(self.clone()), permits: Some(self.try_acquire()?) });
        std::iter::from_fn(take).take(max).collect()
    }

    pub fn free(&self) -> usize {
        let free = self.free.available_permits();
        self.of.as_ref().map_or(free, |of| free.min(of.available_permits()))
    }

    async fn acquire(&self) -> Permits {
        const OPEN: &str = "the semaphore is never closed";
        let own = Arc::clone(&self.free).acquire_owned().await.expect(OPEN);
        let of = match &self.of {
            Some(of) => Some(Arc::clone(of).acquire_owned().await.expect(OPEN)),
            None => None,
        };
        Permits { _own: own, _of: of }
    }

    fn try_acquire(&self) -> Option<Permits> {
        let own = Arc::clone(&self.free).try_acquire_owned().ok()?;
        let of = match &self.of {
            Some(of) => Some(Arc::clone(of).try_acquire_owned().ok()?),
            None => None,
        };
        Some(Permits { _own: own, _of: of })
    }
}

/// The right to work on one message.
#[derive(Debug)]
pub struct Slot {
    /// `None`: it is counted elsewhere.
    slots: Option<Slots>,
    permits: Option<Permits>,
}

#[derive(Debug)]
struct Permits {
    _own: OwnedSemaphorePermit,
    _of: Option<OwnedSemaphorePermit>,
}

impl Slot {
    /// For work that is bounded by other means.
    pub const fn uncounted() -> Self {
        Self { slots: None, permits: None }
    }

    /// Waits for something without holding the slot.
    pub async fn away<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.permits = None;
        let result = future.await;
        if let Some(slots) = &self.slots {
            self.permits = Some(slots.acquire().await);
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
        assert_eq!((part.remove(5), part.free(), slots.free()), (2, 0, 3));
        part.add(1);
        assert_eq!(part.take_up_to(3).len(), 1);
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
