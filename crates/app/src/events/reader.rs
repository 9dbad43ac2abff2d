//! Reads the outbox once for all sinks: with several, most stand at the same places one after the other. What is read lies
//! behind every transaction that is under way, so that nothing is ever added to it.

use holdfast_store::outbox::{self, Batch, Position};
use holdfast_store::{Error, Pool};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How much is read at once, about, in bytes: rows are as large as what clients send.
const MOST_READ: usize = 8 << 20;

/// How much is kept for those who come later, in bytes …
const MOST_KEPT: usize = 3 * MOST_READ;

/// … and for how long.
const KEPT: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Reader {
    /// While one reads, the others wait: what they want is mostly the same.
    recent: Mutex<VecDeque<Reading>>,
    /// Of those that were read last, on average.
    row_size: AtomicUsize,
}

struct Reading {
    after: Position,
    at: Instant,
    batch: Arc<Batch>,
}

impl Reader {
    /// What is behind a place, at most `limit` rows and what must come before them, and whether there may be more.
    pub(super) async fn batch(&self, pool: &Pool, after: Position, limit: usize) -> Result<(Arc<Batch>, bool), Error> {
        let mut recent = self.recent.lock().await;
        recent.retain(|reading| reading.at.elapsed() < KEPT);
        if let Some(known) = recent.iter().find(|reading| reading.is(after, limit)) {
            return Ok((Arc::clone(&known.batch), true));
        }
        let limit = most_of(self.row_size.load(Ordering::Relaxed)).min(limit);
        let batch = Arc::new(outbox::batch(pool, after, limit as i64).await?);
        if !batch.rows.is_empty() {
            self.row_size.store(batch.size / batch.rows.len(), Ordering::Relaxed);
            recent.push_back(Reading { after, at: Instant::now(), batch: Arc::clone(&batch) });
        }
        while recent.iter().map(|reading| reading.batch.size).sum::<usize>() > MOST_KEPT {
            recent.pop_front();
        }
        let is_full = batch.is_full;
        Ok((batch, is_full))
    }
}

impl Reader {
    /// What was read may not be there any more.
    pub(super) async fn forget(&self) {
        self.recent.lock().await.clear();
    }
}

/// So many rows of this size at once.
fn most_of(row_size: usize) -> usize {
    (MOST_READ / row_size.max(1)).max(1)
}

impl Reading {
    fn is(&self, after: Position, limit: usize) -> bool {
        let reached = self.batch.rows.iter().filter(|row| row.position.is_some());
        self.after == after && reached.count() <= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_rows_are_read_in_small_batches() {
        assert!(most_of(0) > 1_000 && most_of(1_000) > 1_000, "usual ones are not");
        assert_eq!(most_of(64 << 10), 128);
        assert_eq!(most_of(64 << 20), 1, "it goes on");
    }
}
