//! How much may be worked on at once. A slot is a guard: it is given back when it is dropped, also by a panic.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Clone, Debug)]
pub struct Slots(Arc<Semaphore>);

impl Slots {
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// At least one slot, as soon as there is one, and up to `max` of those free.
    pub async fn acquire_up_to(&self, max: usize) -> Vec<Slot> {
        let first = Arc::clone(&self.0).acquire_owned().await.expect("the semaphore is never closed");
        let mut slots = vec![Slot { slots: Some(self.clone()), permit: Some(first) }];
        slots.extend(self.take_up_to(max - 1));
        slots
    }

    /// Up to `max` of the slots that are free now; possibly none.
    pub fn take_up_to(&self, max: usize) -> Vec<Slot> {
        let take = || {
            let permit = Arc::clone(&self.0).try_acquire_owned().ok()?;
            Some(Slot { slots: Some(self.clone()), permit: Some(permit) })
        };
        std::iter::from_fn(take).take(max).collect()
    }

    pub fn free(&self) -> usize {
        self.0.available_permits()
    }
}

/// The right to work on one message.
#[derive(Debug)]
pub struct Slot {
    /// `None`: it is counted elsewhere.
    slots: Option<Slots>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Slot {
    /// For work that is bounded by other means.
    pub const fn uncounted() -> Self {
        Self { slots: None, permit: None }
    }

    /// Waits for something without holding the slot.
    pub async fn away<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.permit = None;
        let result = future.await;
        if let Some(slots) = &self.slots {
            self.permit = Some(Arc::clone(&slots.0).acquire_owned().await.expect("the semaphore is never closed"));
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
    async fn whoever_waits_holds_no_slot() {
        let slots = Slots::new(1);
        let mut slot = slots.take_up_to(5).pop().expect("one is free");
        assert!(slots.take_up_to(1).is_empty());
        slot.away(async { assert_eq!(slots.free(), 1) }).await;
        assert_eq!(slots.free(), 0);
    }
}
