//! Natural batching: whatever has arrived while the last statement was under way goes into the next. Alone, an item goes
//! at once; under load, batches grow by themselves. Where nobody waits for the answer of a request, statements keep a pace:
//! at a moderate load each would else carry one row, which costs ten times as much as a row of fifty.

use crate::line::Line;
use crate::metrics::Meter;
use futures::FutureExt as _;
use holdfast_store::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc, oneshot};

/// Statements of a kind in flight …
const IN_FLIGHT: usize = 2;

/// … where one takes longer than this: it waits for the disk, or for somebody's lock. Else fewer and larger ones are cheaper.
const ALONE: Duration = Duration::from_millis(2);

const MAX_BATCH: usize = 200;

/// Between the beginnings of two statements of the same kind of the worker.
pub const PACE: Duration = Duration::from_millis(5);

/// Items of a batch that are found locked one by one, each after a while. With more of them it is no single row that somebody
/// has in hand, and the rest goes together.
const LOCKED: usize = 3;

/// Callers beyond this many wait before they are even queued.
const BACKLOG: usize = 4_096;

/// An error that several callers share.
pub type Shared = Arc<Error>;

/// Turns single calls into statements over many.
pub struct Batcher<I, O> {
    jobs: mpsc::Sender<Job<I, O>>,
    waited: Arc<Waited>,
}

/// How long the first item of the last statement had waited for it, in milliseconds.
#[derive(Default)]
struct Waited(AtomicU64);

/// How many statements may be under way, with how many items, and how long after one another they begin.
#[derive(Clone)]
pub struct Shape {
    pub in_flight: usize,
    pub max: usize,
    pub pace: Pace,
}

/// How long after one another statements of the same kind begin. It may change at any time, for all that have a clone.
#[derive(Clone)]
pub struct Pace(Arc<AtomicU64>);

struct Job<I, O> {
    item: I,
    since: Instant,
    reply: oneshot::Sender<Result<O, Shared>>,
}

impl<I, O> Clone for Batcher<I, O> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), waited: Arc::clone(&self.waited) }
    }
}

impl<I, O> Batcher<I, O>
where
    I: Send + Sync + 'static,
    O: Send + 'static,
{
    /// At once, for what a client waits for.
    pub fn prompt<F, S>(meter: Meter, statement: S) -> Self
    where
        S: Fn(Arc<Vec<I>>) -> F + Send + Sync + Clone + 'static,
        F: Future<Output = Result<Vec<O>, Error>> + Send + 'static,
    {
        Self::start(Shape { in_flight: IN_FLIGHT, max: MAX_BATCH, pace: Pace::new(Duration::ZERO) }, meter, statement)
    }

    /// Unless the last one has just begun.
    pub fn paced<F, S>(pace: &Pace, meter: Meter, statement: S) -> Self
    where
        S: Fn(Arc<Vec<I>>) -> F + Send + Sync + Clone + 'static,
        F: Future<Output = Result<Vec<O>, Error>> + Send + 'static,
    {
        Self::start(Shape { in_flight: IN_FLIGHT, max: MAX_BATCH, pace: pace.clone() }, meter, statement)
    }

    /// `statement` answers every item, in order. It ends when the last clone of the batcher is dropped.
    pub fn start<F, S>(shape: Shape, meter: Meter, statement: S) -> Self
    where
        S: Fn(Arc<Vec<I>>) -> F + Send + Sync + Clone + 'static,
        F: Future<Output = Result<Vec<O>, Error>> + Send + 'static,
    {
        let (sender, jobs) = mpsc::channel(BACKLOG);
        let (line, waited) = (Arc::new(Mutex::new(Line::new(jobs))), Arc::<Waited>::default());
        for _ in 0..shape.in_flight {
            let line = (Arc::clone(&line), Arc::clone(&waited));
            tokio::spawn(run(line, shape.clone(), meter.clone(), statement.clone()));
        }
        Self { jobs: sender, waited }
    }

    /// Whether items wait, and the last that were taken had waited for as long: who comes now can expect no better.
    pub fn is_behind(&self, by: Duration) -> bool {
        self.jobs.capacity() < self.jobs.max_capacity() && self.waited.get() >= by
    }

    /// Once handed over, an item is carried out even if the caller goes away.
    pub async fn call(&self, item: I) -> Result<O, Shared> {
        let since = Instant::now();
        // Sent as a whole it would be in this future twice.
        let Ok(place) = self.jobs.reserve().await else { return Err(ended()) };
        let (reply, answer) = oneshot::channel();
        place.send(Job { item, since, reply });
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// Only when a statement panicked, or while the runtime ends.
fn ended() -> Shared {
    Arc::new(Error::Unavailable(holdfast_store::error::worker_crashed()))
}

impl Pace {
    pub fn new(pace: Duration) -> Self {
        let this = Self(Arc::default());
        this.set(pace);
        this
    }

    pub fn set(&self, pace: Duration) {
        self.0.store(pace.as_micros() as u64, Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

impl Waited {
    fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, waited: Duration) {
        self.0.store(waited.as_millis() as u64, Ordering::Relaxed);
    }
}

type Jobs<I, O> = Arc<Mutex<Line<Job<I, O>>>>;

async fn run<I, O, F, S>((line, waited): (Jobs<I, O>, Arc<Waited>), shape: Shape, meter: Meter, statement: S)
where
    S: Fn(Arc<Vec<I>>) -> F,
    F: Future<Output = Result<Vec<O>, Error>>,
{
    loop {
        let mut turn = line.lock().await;
        let jobs = turn.gather(shape.max, shape.pace.get()).await;
        let Some(first) = jobs.first() else { return };
        waited.set(first.since.elapsed());
        let (items, replies): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.item, job.reply)).unzip();
        let (items, started) = (Arc::new(items), Instant::now());
        // A panic would end this loop, and with the last of them the batcher.
        let mut running = std::pin::pin!(AssertUnwindSafe(statement(Arc::clone(&items))).catch_unwind());
        let soon = tokio::time::timeout(ALONE, &mut running).await;
        drop(turn);
        let ran = match soon {
            Ok(ran) => ran,
            Err(_slow) => running.await,
        };
        meter.ran(items.len(), started.elapsed());
        match ran.unwrap_or_else(|_panic| Err(Error::Unavailable(holdfast_store::error::worker_crashed()))) {
            // One row that Postgres refuses, or that somebody has locked, must not take its neighbours with it.
            Err(Error::Refused(_) | Error::Locked(_)) if items.len() > 1 => {
                one_by_one(items, replies, &statement).await
            }
            ran => answer_all(replies, ran),
        }
    }
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
    let mut jobs = items.into_iter().zip(replies);
    let mut locked = 0;
    while locked < LOCKED
        && let Some((item, reply)) = jobs.next()
    {
        let output = statement(Arc::new(vec![item])).await.map_err(Arc::new);
        locked += usize::from(output.as_ref().is_err_and(|error| matches!(**error, Error::Locked(_))));
        answer(reply, output.and_then(|mut outputs| outputs.pop().ok_or_else(ended)));
    }
    let (items, replies): (Vec<_>, Vec<_>) = jobs.unzip();
    if !items.is_empty() {
        answer_all(replies, statement(Arc::new(items)).await);
    }
}

fn answer_all<O>(replies: Vec<oneshot::Sender<Result<O, Shared>>>, ran: Result<Vec<O>, Error>) {
    match ran {
        Ok(outputs) => {
            debug_assert_eq!(outputs.len(), replies.len());
            replies.into_iter().zip(outputs).for_each(|(reply, output)| answer(reply, Ok(output)));
        }
        Err(error) => {
            let error = Arc::new(error);
            replies.into_iter().for_each(|reply| answer(reply, Err(Arc::clone(&error))));
        }
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
        let batcher = Batcher::prompt(Meter::unread(), |items: Arc<Vec<u32>>| async move {
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
    async fn it_is_behind_while_items_wait_as_long_as_others_have() {
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let entered = Arc::new(tokio::sync::Semaphore::new(0));
        let shape = Shape { in_flight: 1, max: 1, pace: Pace::new(Duration::ZERO) };
        let statement = {
            let (gate, entered) = (Arc::clone(&gate), Arc::clone(&entered));
            move |items: Arc<Vec<u32>>| {
                let (gate, entered) = (Arc::clone(&gate), Arc::clone(&entered));
                async move {
                    entered.add_permits(1);
                    gate.acquire().await.expect("open").forget();
                    Ok(items.to_vec())
                }
            }
        };
        let batcher = Batcher::start(shape, Meter::unread(), statement);
        let call = |item| {
            let batcher = batcher.clone();
            tokio::spawn(async move { batcher.call(item).await.expect("answered") })
        };
        let begun = async || entered.acquire().await.expect("open").forget();
        let (by, far) = (Duration::from_millis(5), Duration::from_secs(3600));

        let first = call(1);
        begun().await;
        let rest = [call(2), call(3)];
        while batcher.jobs.max_capacity() - batcher.jobs.capacity() < 2 {
            tokio::task::yield_now().await;
        }
        assert!(!batcher.is_behind(by), "nobody has waited yet");
        holdfast_queue::backoff::sleep(by).await;
        gate.add_permits(1);
        first.await.expect("no panic");
        begun().await;
        assert!(batcher.is_behind(by) && !batcher.is_behind(far), "the second has waited, the third does");
        gate.add_permits(2);
        for call in rest {
            call.await.expect("no panic");
        }
        assert!(!batcher.is_behind(Duration::ZERO), "nobody waits");
    }

    #[tokio::test]
    async fn a_refused_item_fails_alone() {
        let batcher = Batcher::prompt(Meter::unread(), |items: Arc<Vec<u32>>| async move {
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
