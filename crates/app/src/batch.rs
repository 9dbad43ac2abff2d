//! Natural batching: whatever has arrived while the last statement was under way goes into the next. No timer: alone,
//! an item goes at once; under load, batches grow by themselves.

use futures::FutureExt as _;
use holdfast_store::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};

/// Statements of a kind in flight …
const IN_FLIGHT: usize = 2;

/// … where one takes longer than this: it waits for the disk, or for somebody's lock. Else fewer and larger ones are cheaper.
const ALONE: Duration = Duration::from_millis(2);

const MAX_BATCH: usize = 200;

/// How often everybody else may run before a statement goes.
const ROUNDS: usize = 2;

/// Callers beyond this many wait before they are even queued.
const BACKLOG: usize = 4_096;

/// An error that several callers share.
pub type Shared = Arc<Error>;

/// Turns single calls into statements over many.
pub struct Batcher<I, O>(mpsc::Sender<Job<I, O>>);

struct Job<I, O> {
    item: I,
    reply: oneshot::Sender<Result<O, Shared>>,
}

impl<I, O> Clone for Batcher<I, O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<I, O> Batcher<I, O>
where
    I: Send + Sync + 'static,
    O: Send + 'static,
{
    /// The usual size.
    pub fn start<F, S>(statement: S) -> Self
    where
        S: Fn(Arc<Vec<I>>) -> F + Send + Sync + Clone + 'static,
        F: Future<Output = Result<Vec<O>, Error>> + Send + 'static,
    {
        Self::sized(IN_FLIGHT, MAX_BATCH, statement)
    }

    /// `statement` answers every item, in order. It ends when the last clone of the batcher is dropped.
    pub fn sized<F, S>(in_flight: usize, max: usize, statement: S) -> Self
    where
        S: Fn(Arc<Vec<I>>) -> F + Send + Sync + Clone + 'static,
        F: Future<Output = Result<Vec<O>, Error>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..in_flight {
            tokio::spawn(run(Arc::clone(&receiver), max, statement.clone()));
        }
        Self(sender)
    }

    /// Once handed over, an item is carried out even if the caller goes away.
    pub async fn call(&self, item: I) -> Result<O, Shared> {
        let (reply, answer) = oneshot::channel();
        if self.0.send(Job { item, reply }).await.is_err() {
            return Err(ended());
        }
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// Only when a statement panicked, or while the runtime ends.
fn ended() -> Shared {
    Arc::new(Error::Unavailable(holdfast_store::error::worker_crashed()))
}

async fn run<I, O, F, S>(receiver: Arc<Mutex<mpsc::Receiver<Job<I, O>>>>, max: usize, statement: S)
where
    S: Fn(Arc<Vec<I>>) -> F,
    F: Future<Output = Result<Vec<O>, Error>>,
{
    loop {
        let mut turn = receiver.lock().await;
        let jobs = gather(&mut turn, max).await;
        if jobs.is_empty() {
            return;
        }
        let (items, replies): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.item, job.reply)).unzip();
        let items = Arc::new(items);
        // A panic would end this loop, and with the last of them the batcher.
        let mut running = std::pin::pin!(AssertUnwindSafe(statement(Arc::clone(&items))).catch_unwind());
        let ran = match tokio::time::timeout(ALONE, &mut running).await {
            Ok(ran) => {
                drop(turn);
                ran
            }
            Err(_slow) => {
                drop(turn);
                running.await
            }
        };
        match ran.unwrap_or_else(|_panic| Err(Error::Unavailable(holdfast_store::error::worker_crashed()))) {
            Ok(outputs) => {
                debug_assert_eq!(outputs.len(), replies.len());
                for (reply, output) in replies.into_iter().zip(outputs) {
                    answer(reply, Ok(output));
                }
            }
            // One row that Postgres refuses must not take its neighbours with it.
            Err(Error::Refused(_)) if items.len() > 1 => one_by_one(items, replies, &statement).await,
            Err(error) => {
                let error = Arc::new(error);
                replies.into_iter().for_each(|reply| answer(reply, Err(Arc::clone(&error))));
            }
        }
    }
}

/// What has arrived, and what those bring along who can run at this moment: under load that is several times as much, alone
/// it costs nothing.
async fn gather<T>(receiver: &mut mpsc::Receiver<T>, max: usize) -> Vec<T> {
    let mut jobs = Vec::new();
    receiver.recv_many(&mut jobs, max).await;
    for _ in 0..ROUNDS {
        tokio::task::yield_now().await;
        while jobs.len() < max
            && let Ok(job) = receiver.try_recv()
        {
            jobs.push(job);
        }
    }
    jobs
}

async fn one_by_one<I, O, F, S>(items: Arc<Vec<I>>, replies: Vec<oneshot::Sender<Result<O, Shared>>>, statement: &S)
where
    S: Fn(Arc<Vec<I>>) -> F,
    F: Future<Output = Result<Vec<O>, Error>>,
{
    let Some(items) = Arc::into_inner(items) else {
        let error = ended();
        return replies.into_iter().for_each(|reply| answer(reply, Err(Arc::clone(&error))));
    };
    for (item, reply) in items.into_iter().zip(replies) {
        let output = statement(Arc::new(vec![item])).await.map_err(Arc::new);
        answer(reply, output.and_then(|mut outputs| outputs.pop().ok_or_else(ended)));
    }
}

/// A caller that went away needs no answer.
fn answer<O>(reply: oneshot::Sender<Result<O, Shared>>, output: Result<O, Shared>) {
    drop(reply.send(output));
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_store::error::worker_crashed;

    #[tokio::test]
    async fn everybody_gets_the_own_answer() {
        let batcher = Batcher::start(|items: Arc<Vec<u32>>| async move {
            tokio::task::yield_now().await;
            Ok(items.iter().map(|item| item * 2).collect())
        });
        let calls = (0..1_000).map(|item| {
            let batcher = batcher.clone();
            tokio::spawn(async move { (item, batcher.call(item).await.expect("answered")) })
        });
        for call in calls.collect::<Vec<_>>() {
            let (item, answer) = call.await.expect("no panic");
            assert_eq!(answer, item * 2);
        }
    }

    #[tokio::test]
    async fn a_refused_item_fails_alone() {
        let batcher = Batcher::start(|items: Arc<Vec<u32>>| async move {
            tokio::task::yield_now().await;
            match items.contains(&7) {
                true => Err(Error::Refused(worker_crashed())),
                false => Ok(items.iter().copied().collect::<Vec<_>>()),
            }
        });
        let calls: Vec<_> = (0..20)
            .map(|item| {
                let batcher = batcher.clone();
                tokio::spawn(async move { (item, batcher.call(item).await.is_ok()) })
            })
            .collect();
        for call in calls {
            let (item, ok) = call.await.expect("no panic");
            assert_eq!(ok, item != 7);
        }
    }
}
