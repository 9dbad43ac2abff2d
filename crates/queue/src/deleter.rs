//! Batched deletes. A delete may linger: until it happens the message is invisible, and should it come back, whoever
//! receives it finds nothing left to do.

use crate::Queue;
use crate::publisher::MAX_ENTRIES;
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// How long a delete waits for company.
const LINGER: Duration = Duration::from_millis(50);

/// Handed-in receipts beyond this many wait for SQS.
const BACKLOG: usize = 10_000;

#[derive(Clone)]
pub(crate) struct Deleter(mpsc::Sender<String>);

impl Deleter {
    /// Runs until every clone is dropped and what they handed in was deleted.
    pub(crate) fn start(queue: Queue, tracker: &TaskTracker) -> Self {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        tracker.spawn(run(queue, receiver, tracker.clone()));
        Self(sender)
    }

    pub(crate) async fn delete(&self, receipt: String) {
        if self.0.send(receipt).await.is_err() {
            tracing::error!("the deleter has ended before its messages");
        }
    }
}

async fn run(queue: Queue, mut receipts: mpsc::Receiver<String>, tracker: TaskTracker) {
    while let Some(first) = receipts.recv().await {
        let mut batch = vec![first];
        let fill = async {
            while batch.len() < MAX_ENTRIES {
                let Some(receipt) = receipts.recv().await else { break };
                batch.push(receipt);
            }
        };
        // Full, ended, or no more company in time: the batch goes in each case.
        let _full: Result<(), _> = tokio::time::timeout(LINGER, fill).await;
        let queue = queue.clone();
        tracker.spawn(async move { delete(&queue, batch).await });
    }
}

/// Tries twice. What cannot be deleted comes back and is deleted then.
async fn delete(queue: &Queue, mut receipts: Vec<String>) {
    for _ in 0..2 {
        match delete_batch(queue, &receipts).await {
            Ok(failed) if failed.is_empty() => return,
            Ok(failed) => receipts = failed.into_iter().map(|at| receipts[at].clone()).collect(),
            Err(error) => tracing::warn!(queue.name = queue.name(), %error, "could not delete a batch"),
        }
    }
    let count = receipts.len();
    tracing::warn!(queue.name = queue.name(), count, "left messages undeleted, they will come back and be refused");
}

async fn delete_batch(queue: &Queue, receipts: &[String]) -> Result<Vec<usize>, crate::Error> {
    let entries = receipts.iter().enumerate().map(|(at, receipt)| {
        DeleteMessageBatchRequestEntry::builder().id(at.to_string()).receipt_handle(receipt).build()
    });
    let entries =
        entries.collect::<Result<Vec<_>, _>>().map_err(|error| crate::Error::new("DeleteMessageBatch", error))?;
    let request = queue.sender().delete_message_batch().queue_url(queue.url().await?).set_entries(Some(entries));
    let answer = Box::pin(request.send()).await.map_err(|error| crate::Error::new("DeleteMessageBatch", error))?;
    Ok(answer.failed().iter().filter_map(|entry| entry.id().parse().ok()).collect())
}
