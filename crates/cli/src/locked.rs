//! Rows that somebody else has locked: the others are done, and these are counted.

use anyhow::ensure;
use holdfast_app::StoreError;

pub(crate) fn is_locked(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Locked(_)))
}

/// Not all was done: the exit status must say so.
pub(crate) fn none_left(left: usize) -> anyhow::Result<()> {
    ensure!(left == 0, "{left} left, their rows are locked by somebody else: run it again, or end that session first");
    Ok(())
}
