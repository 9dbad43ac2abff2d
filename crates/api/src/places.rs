//! Places of which there are so many: for requests, for those who wait, for whatever else must not be too many at once.

use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub(crate) struct Places {
    taken: AtomicUsize,
    max: usize,
}

impl Places {
    pub(crate) const fn new(max: usize) -> Self {
        Self { taken: AtomicUsize::new(0), max }
    }

    /// So many that one who takes all that it may leaves most of them to others, and one at least.
    pub(crate) fn quarter(max: usize) -> Self {
        Self::new((max / 4).max(1))
    }

    /// `false`: one too many.
    pub(crate) fn take(&self) -> bool {
        if self.taken.fetch_add(1, Ordering::Relaxed) < self.max {
            return true;
        }
        self.leave();
        false
    }

    /// Even if that is one too many.
    pub(crate) fn come_back(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}
