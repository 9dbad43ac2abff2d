//! How long what is kept for a while is kept.

use super::Millis;
use anyhow::ensure;
use serde::Deserialize;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// A replay within this time must get its full answer, and what comes back late must find what it is about: messages, letters
/// that are sent again, webhooks.
const SHORTEST: Duration = Duration::from_secs(30 * 86_400);

/// More rows in one statement take longer than a statement may.
const LARGEST_BATCH: u32 = 5_000;

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Whether this process takes its turn at archiving.
    pub enabled: bool,
    /// How long after its end a command keeps its payload, at least 30 days. Its tombstone stays for ever.
    pub archive_after_ms: Millis,
    /// How long a letter is kept that was sent again or put aside, at least a day.
    pub letters_after_ms: Millis,
    /// How long one is kept that nobody has settled, at least 30 days: of what was accepted it may be the only trace.
    pub unsettled_letters_after_ms: Millis,
    /// Commands in one statement.
    pub batch: u32,
    /// Between two batches …
    pub pause_ms: Millis,
    /// … and between looks where nothing was left to do.
    pub interval_ms: Millis,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Millis(days * 86_400_000);
        Self {
            enabled: true,
            archive_after_ms: days(400),
            letters_after_ms: days(90),
            unsettled_letters_after_ms: days(400),
            batch: 500,
            pause_ms: Millis(200),
            interval_ms: Millis(60_000),
        }
    }
}

impl Retention {
    pub(super) fn validate(&self) -> anyhow::Result<()> {
        ensure!(self.archive_after_ms.get() >= SHORTEST, "retention.archive_after_ms must be at least 30 days");
        ensure!(self.letters_after_ms.get() >= DAY, "retention.letters_after_ms must be at least a day");
        let unsettled = self.unsettled_letters_after_ms.get();
        ensure!(unsettled >= SHORTEST, "retention.unsettled_letters_after_ms must be at least 30 days");
        ensure!((1..=LARGEST_BATCH).contains(&self.batch), "retention.batch must be from 1 to {LARGEST_BATCH}");
        ensure!(!self.interval_ms.get().is_zero(), "retention.interval_ms must not be zero");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_have_a_payload_taken_away_within_thirty_days() {
        let after = |ms| Retention { archive_after_ms: Millis(ms), ..Retention::default() };
        assert!(Retention::default().validate().is_ok());
        assert!(after(30 * 86_400_000).validate().is_ok());
        assert!(after(30 * 86_400_000 - 1).validate().is_err());
    }
}
