//! Why a source does not run.

use std::time::Duration;

/// What somebody has to set otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    #[error("the URL of redis is none")]
    Url(#[from] redis::RedisError),
    /// See [`Settings::patience`](crate::Settings::patience).
    #[error("a patience of {patience:?} is too short: an event may be delivered for the last time after {needed:?}")]
    Impatient { patience: Duration, needed: Duration },
}
