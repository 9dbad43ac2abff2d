//! How much lies in the queues: asked of SQS every few seconds, whoever looks.

use holdfast_app::{App, pause};
use holdfast_domain::Kind;
use holdfast_queue::{Counts, Queue};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// SQS counts roughly, and late by up to a minute: asking more often would not tell more.
const INTERVAL: Duration = Duration::from_secs(5);

/// Who has not answered by then is not known.
const PATIENCE: Duration = Duration::from_secs(4);

#[derive(Clone)]
pub(crate) struct Depth {
    pub(crate) name: String,
    /// `None`: SQS did not say.
    pub(crate) counts: Option<Counts>,
}

#[derive(Clone)]
pub(crate) struct Queues(Arc<Mutex<Arc<Vec<Depth>>>>);

impl Queues {
    pub(crate) fn start(app: &App, stop: CancellationToken) -> Self {
        let queues = Self(Arc::default());
        let kept = queues.clone();
        let app = app.clone();
        tokio::spawn(async move {
            let look_on = async {
                loop {
                    let depths = Arc::new(ask(&app).await);
                    *kept.0.lock().unwrap_or_else(PoisonError::into_inner) = depths;
                    pause(INTERVAL).await;
                }
            };
            stop.run_until_cancelled(look_on).await
        });
        queues
    }

    /// As they were seen last: each kind's, its overflow's, its dead letters', the journal.
    pub(crate) fn seen(&self) -> Arc<Vec<Depth>> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn ask(app: &App) -> Vec<Depth> {
    let of_kind = Kind::ALL.into_iter().flat_map(|kind| app.queues.all_of(kind));
    let queues: Vec<Queue> = of_kind.chain([app.queues.journal()]).cloned().collect();
    let mut asked = JoinSet::new();
    for (at, queue) in queues.into_iter().enumerate() {
        asked.spawn(async move {
            let counts = tokio::time::timeout(PATIENCE, queue.counts()).await;
            let counts = counts.ok().and_then(|answer| {
                answer.inspect_err(|error| tracing::debug!(%error, "the console could not ask sqs")).ok()
            });
            (at, Depth { name: queue.name().to_owned(), counts })
        });
    }
    let mut depths = asked.join_all().await;
    depths.sort_by_key(|(at, _)| *at);
    depths.into_iter().map(|(_, depth)| depth).collect()
}
