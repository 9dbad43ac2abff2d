//! How much each client may ask of one process.

use anyhow::ensure;
use serde::Deserialize;

/// Requests a second that a limit may at most be set to: buckets count in nanoseconds.
pub const HIGHEST_RATE: u32 = 1_000_000;

/// A client has one allowance for each of the first two, in every process. 0: no limit.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests by `POST`, unless the client has a limit of its own (`holdfast clients limit`). Replays count.
    pub submissions_per_s: u32,
    /// All other requests.
    pub reads_per_s: u32,
    /// What was not used is kept for so many seconds: a burst may have as many times the rate.
    pub burst_s: u32,
    /// API keys that turn out to be nobody's, from all clients together. Beyond it, keys that this process has not met yet
    /// are refused without asking Postgres.
    pub unknown_keys_per_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { submissions_per_s: 1_000, reads_per_s: 1_000, burst_s: 2, unknown_keys_per_s: 100 }
    }
}

impl Limits {
    pub(super) fn validate(&self) -> anyhow::Result<()> {
        ensure!((1..=3_600).contains(&self.burst_s), "limits.burst_s must be from 1 to 3600");
        for (name, rate) in [
            ("submissions_per_s", self.submissions_per_s),
            ("reads_per_s", self.reads_per_s),
            ("unknown_keys_per_s", self.unknown_keys_per_s),
        ] {
            ensure!(rate <= HIGHEST_RATE, "limits.{name} is over {HIGHEST_RATE}");
        }
        Ok(())
    }
}
