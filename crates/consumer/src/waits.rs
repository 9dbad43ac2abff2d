//! What one delivery waits for, and has waited.

use crate::Settings;
use holdfast_queue::Backoff;
use std::time::Duration;
use tokio::time::Instant;

/// How soon an event is looked at again whose predecessor may be in another process's hands. Doubles.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const LOOK_AGAIN_CAP: Duration = Duration::from_millis(500);

pub(crate) struct Waits {
    /// That failed.
    pub(crate) tries: u32,
    /// Between two tries.
    pub(crate) again: Backoff,
    /// Between two looks for the predecessor.
    pub(crate) look: Backoff,
    missing_since: Option<Instant>,
}

impl Waits {
    pub(crate) const fn new(settings: &Settings) -> Self {
        Self {
            tries: 0,
            again: Backoff::new(settings.first_pause, settings.longest_pause),
            look: Backoff::new(LOOK_AGAIN, LOOK_AGAIN_CAP),
            missing_since: None,
        }
    }

    /// The predecessor is missing. Answers whether that is new.
    pub(crate) fn begin(&mut self) -> bool {
        self.missing_since.replace(self.missing_since.unwrap_or_else(Instant::now)).is_none()
    }

    pub(crate) fn are_over(&self, patience: Duration) -> bool {
        self.missing_since.is_some_and(|since| since.elapsed() >= patience)
    }
}
