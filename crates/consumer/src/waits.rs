//! What one delivery waits for, and has waited.

use crate::Settings;
use crate::calm::Calm;
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
    /// Of its subject.
    last: Option<i64>,
}

impl Waits {
    pub(crate) const fn new(settings: &Settings) -> Self {
        Self {
            tries: 0,
            again: Backoff::new(settings.first_pause, settings.longest_pause),
            look: Backoff::new(LOOK_AGAIN, LOOK_AGAIN_CAP),
            missing_since: None,
            last: None,
        }
    }

    /// The predecessor is missing. Answers whether that is new.
    pub(crate) fn begin(&mut self) -> bool {
        self.missing_since.replace(self.missing_since.unwrap_or_else(Instant::now)).is_none()
    }

    /// Something was away that its predecessors need too: nothing was waited for in vain so far.
    pub(crate) fn begin_anew(&mut self) {
        if self.missing_since.is_some() {
            self.missing_since = Some(Instant::now());
        }
    }

    /// How far its subject is. While that goes on, its predecessors are coming.
    pub(crate) fn saw(&mut self, last: Option<i64>) {
        if last > self.last {
            self.last = last;
            self.begin_anew();
        }
    }

    pub(crate) fn are_over(&self, patience: Duration, calm: &Calm) -> bool {
        self.missing_since.is_some_and(|since| calm.lasts(since, patience))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Since twice as long as patience lasts.
    fn missing() -> (Waits, Calm) {
        let calm = Calm::of_a_queue(Duration::ZERO);
        let mut waits = Waits::new(&Settings::default());
        assert!(waits.begin());
        (waits, calm)
    }

    fn long_ago(waits: &mut Waits) {
        waits.missing_since = waits.missing_since.map(|since| since - 2 * PATIENCE);
    }

    #[test]
    fn an_outage_makes_patience_begin_anew() {
        let (mut waits, calm) = missing();
        long_ago(&mut waits);
        waits.begin_anew();
        assert!(!waits.are_over(PATIENCE, &calm));
    }

    #[test]
    fn patience_begins_anew_while_its_subject_goes_on() {
        let (mut waits, calm) = missing();
        waits.saw(Some(3));
        long_ago(&mut waits);
        waits.saw(Some(4));
        let first = waits.missing_since;
        waits.saw(Some(4));
        assert_eq!(waits.missing_since, first, "it stands still");
        assert!(!waits.are_over(PATIENCE, &calm));
    }
}
