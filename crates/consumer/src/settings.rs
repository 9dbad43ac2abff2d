//! How a consumer works.

use crate::Unfit;
use std::time::Duration;

/// The defaults suit a handler that writes a few rows.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many events are handled at once, of each source. The pool needs a connection for each.
    pub concurrency: usize,
    /// How long one try of a handler may take. Then it is dropped and rolled back, and has failed.
    pub timeout: Duration,
    /// How often an event is tried before it is given back to its source, which delivers it again, later.
    pub tries: u32,
    /// Between two tries. Doubles, up to `longest_pause`.
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// How long an event whose predecessor is missing is held back, since its subject has last gone on and the source and the
    /// database have last been away. Then it is handled all the same, with a warning, and the predecessor, should it come,
    /// is a dead letter. A source refuses to run with less than it needs to deliver an event for the last time: for each
    /// delivery one and a half times the time between two, and `tries` times `timeout` with their pauses.
    pub patience: Duration,
    /// With which event a subject may begin that was never heard of.
    pub begin: Begin,
    /// Events beyond this many that wait for others are given back to a queue, and of a stream keep the place of one that
    /// could be handled: reading stops in the end.
    pub most_held: usize,
}

/// With which event of a subject a consumer may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begin {
    /// Its first. Others wait for it, as long as for any predecessor.
    #[default]
    First,
    /// Any: for a consumer that joins in the middle. Needs a source that keeps the order: a Redis stream, a FIFO queue. The
    /// beginning is waited for as long as the source needs to deliver again what somebody had received who is gone; should
    /// it come later, it is a dead letter.
    Anywhere,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: 16,
            timeout: Duration::from_secs(30),
            tries: 3,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            patience: Duration::from_secs(1_800),
            begin: Begin::First,
            most_held: 1_000,
        }
    }
}

impl Settings {
    /// Whether patience lasts until a source that delivers so often, with so much time in between, has done all that it can.
    pub(crate) fn suit(&self, deliveries: u64, between: Duration) -> Result<(), Unfit> {
        let deliveries = u32::try_from(deliveries).unwrap_or(u32::MAX);
        let each = (between * 3 / 2).saturating_add(self.longest_attempts());
        let needed = each.saturating_mul(deliveries);
        if self.patience < needed { Err(Unfit::Impatient { patience: self.patience, needed }) } else { Ok(()) }
    }

    /// All tries of one delivery, with the pauses in between.
    fn longest_attempts(&self) -> Duration {
        let pause = |n: u32| self.first_pause.saturating_mul(2_u32.saturating_pow(n)).min(self.longest_pause);
        let pauses: Duration = (1..self.tries.min(1_000)).map(|n| pause(n - 1)).sum();
        self.timeout.saturating_mul(self.tries).saturating_add(pauses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_must_outlast_the_last_delivery() {
        let settings = Settings {
            timeout: Duration::from_secs(10),
            tries: 3,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(5),
            patience: Duration::from_secs(5 * (45 + 33)),
            ..Settings::default()
        };
        assert!(settings.suit(5, Duration::from_secs(30)).is_ok());
        let more = settings.suit(5, Duration::from_secs(31)).expect_err("too short");
        assert!(more.to_string().contains("390s") && more.to_string().contains("397.5s"), "{more}");
        assert!(settings.suit(6, Duration::from_secs(30)).is_err());
    }

    #[test]
    fn the_defaults_suit_each_other() {
        let settings = Settings::default();
        assert!(settings.suit(5, Duration::from_secs(30)).is_ok(), "a stream");
        assert!(settings.suit(10, Duration::from_secs(30)).is_ok(), "a queue");
    }
}
