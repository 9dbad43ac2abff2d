//! Reads the outbox once for all sinks: with several, most stand at the same places one after the other. What is read lies
//! behind every transaction that is under way, so that nothing is ever added to it.

use holdfast_store::outbox::{self, Batch, Position};
use holdfast_store::{Error, Pool};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How much is kept for those who come later, in bytes …
const MOST_KEPT: usize = 8 << 20;

/// … and for how long.
const KEPT: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Reader {
    /// While one reads, the others wait: what they want is mostly the same.
    recent: Mutex<VecDeque<Reading>>,
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
        let batch = Arc::new(outbox::batch(pool, after, limit as i64).await?);
        if !batch.rows.is_empty() {
            recent.push_back(Reading { after, at: Instant::now(), batch: Arc::clone(&batch) });
        }
        while recent.iter().map(|reading| reading.batch.size).sum::<usize>() > MOST_KEPT {
            recent.pop_front();
        }
        let is_full = batch.is_full;
        Ok((batch, is_full))
    }
}

impl Reading {
    fn is(&self, after: Position, limit: usize) -> bool {
        let reached = self.batch.rows.iter().filter(|row| row.position.is_some());
        self.after == after && reached.count() <= limit
    }
}
