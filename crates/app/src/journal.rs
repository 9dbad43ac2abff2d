//! The other path of acceptance: what SQS has taken while Postgres is down is answered for.

use crate::App;
use crate::batch::{Batcher, Shape};
use crate::metrics::Meter;
use holdfast_domain::journal::Entry;
use holdfast_queue::{Outgoing, Sent};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Eight sends under way at once: a client waits for each.
const SHAPE: Shape = Shape { in_flight: 8, max: 10, pace: Duration::ZERO };

/// SQS keeps an entry for 14 days. What is taken later than after half of it could be lost before anybody has mended
/// Postgres.
const LONGEST_OUTAGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// SQS has not said that it has the entry. It may have it all the same.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the journal queue did not take it")]
pub struct NotTaken;

#[derive(Clone)]
pub struct Journal {
    batcher: Batcher<Outgoing, Sent>,
    timeout: Duration,
}

impl Journal {
    pub fn start(app: &App) -> Self {
        let queue = app.queues.journal().clone();
        let metrics = Arc::clone(&app.metrics);
        let send = move |entries: Arc<Vec<Outgoing>>| {
            let (queue, metrics) = (queue.clone(), Arc::clone(&metrics));
            async move {
                let started = Instant::now();
                let sent = queue.send(&entries).await;
                metrics.statements.published(&queue, "journal", &sent, started.elapsed());
                Ok(sent)
            }
        };
        let timeout = app.config.api.journal_timeout_ms.get();
        Self { batcher: Batcher::start(SHAPE, Meter::unread(), send), timeout }
    }

    /// Returns when SQS has it. `outage` says for how long Postgres has been down.
    pub async fn write(&self, entry: Entry, outage: Duration) -> Result<(), NotTaken> {
        if outage > LONGEST_OUTAGE {
            return Err(NotTaken);
        }
        let traceparent = match &entry {
            Entry::Command { command } => command.traceparent.clone(),
            Entry::Update { .. } => None,
        };
        let body = serde_json::to_string(&entry.into_message()).expect("an entry always serialises");
        let sent = tokio::time::timeout(self.timeout, self.batcher.call(Outgoing { body, traceparent })).await;
        match sent {
            Ok(Ok(Sent::Stored)) => Ok(()),
            Ok(Ok(Sent::Failed) | Err(_)) | Err(_) => Err(NotTaken),
        }
    }
}
