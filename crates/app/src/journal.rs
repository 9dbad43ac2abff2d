//! The other path of acceptance: what SQS has taken while Postgres is down is answered for.

use crate::App;
use crate::batch::{Batcher, Pace, Shape};
use crate::metrics::Meter;
use crate::trace::{Tracer, spans};
use holdfast_domain::ServerKey;
use holdfast_domain::journal::Entry;
use holdfast_queue::{Outgoing, Queue, Sent};
use opentelemetry::trace::SpanKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Eight sends under way at once: a client waits for each.
const IN_FLIGHT: usize = 8;

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
    queue: Queue,
    tracer: Tracer,
    server_key: ServerKey,
    timeout: Duration,
}

impl Journal {
    pub fn start(app: &App) -> Self {
        let (queue, tracer, metrics) = (app.queues.journal().clone(), app.tracer.clone(), Arc::clone(&app.metrics));
        let sender = queue.clone();
        let send = move |entries: Arc<Vec<Outgoing>>| {
            let (sender, metrics) = (sender.clone(), Arc::clone(&metrics));
            async move {
                let started = Instant::now();
                let sent = sender.send(&entries).await;
                metrics.statements.published(&sender, "journal", &sent, started.elapsed());
                Ok(sent)
            }
        };
        let timeout = app.config.api.journal_timeout_ms.get();
        let shape = Shape { in_flight: IN_FLIGHT, max: 10, pace: Pace::new(Duration::ZERO) };
        Self {
            batcher: Batcher::start(shape, Meter::unread(), send),
            queue,
            tracer,
            server_key: app.server_key.clone(),
            timeout,
        }
    }

    /// Returns when SQS has it. `outage` says for how long Postgres has been down.
    pub async fn write(&self, entry: Entry, outage: Duration) -> Result<(), NotTaken> {
        if outage > LONGEST_OUTAGE {
            return Err(NotTaken);
        }
        let (id, parent) = match &entry {
            Entry::Command { command } => (command.id, command.traceparent.clone()),
            Entry::Update { update } => (update.command, None),
        };
        let mut span = self.tracer.part(parent.as_deref(), SpanKind::Producer, || spans::send(self.queue.name(), id));
        let traceparent = span.traceparent().or(parent);
        let body = serde_json::to_string(&entry.into_message(&self.server_key)).expect("an entry always serialises");
        let outgoing = Outgoing { body, traceparent, ..Outgoing::default() };
        let sent = tokio::time::timeout(self.timeout, self.batcher.call(outgoing)).await;
        match sent {
            Ok(Ok(Sent::Stored)) => Ok(()),
            Ok(Ok(Sent::Failed) | Err(_)) | Err(_) => {
                span.fail("not_sent");
                Err(NotTaken)
            }
        }
    }
}
