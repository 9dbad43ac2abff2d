//! The worker's statements, each naturally batched over everything that is in flight.
//!
//! A write whose answer is lost is repeated: all of them are guarded by the claim's token, or by the sequence of the audit
//! trail, so that the second of two equal writes finds nothing to do. What it then means is asked by token.

use crate::App;
use crate::batch::{Batcher, Pace, Shared};
use crate::heartbeat::Life;
use crate::metrics::{Meter, Metrics};
use holdfast_domain::Lane;
use holdfast_queue::Backoff;
use holdfast_store::wakeups::{self, Claim, Claimed, Finish, Finished, Hold, Note, Told, Wish};
use holdfast_store::{Error, Pool, Result};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a write is repeated before its claim is left to lapse.
const PERSIST: Duration = Duration::from_secs(8);

pub struct Statements {
    claim: Batcher<Wish, Option<Box<Claimed>>>,
    note: Batcher<Note, bool>,
    wait: Batcher<Note, bool>,
    finish: Batcher<Arc<Finish>, Ending>,
    told: Batcher<Told, bool>,
    tell_again: Batcher<Told, bool>,
    metrics: Arc<Metrics>,
}

/// What the statement that ends a run found.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    Written(Finished),
    /// The answer was lost, but the statement had worked: the lane `tell` is ours.
    WrittenBefore,
    /// The claim is in other hands, or all is done.
    Lost,
}

impl Statements {
    pub fn start(app: &App, life: &Arc<Life>, lease: Duration, pace: &Pace) -> Self {
        let (pool, meter) = (&app.pool, |name| app.metrics.statements.meter(name));
        let (claiming, finishing) = ((pool.clone(), Arc::clone(life)), (pool.clone(), Arc::clone(life)));
        Self {
            claim: Batcher::paced(pace, meter("claim"), move |wishes| {
                claim(claiming.0.clone(), Arc::clone(&claiming.1), lease, wishes)
            }),
            note: {
                let pool = pool.clone();
                Batcher::paced(pace, meter("note"), move |notes| note(pool.clone(), notes))
            },
            wait: fenced(
                pool,
                pace,
                meter("wait"),
                |pool, notes| async move { wakeups::wait(&pool, &refs(&notes)).await },
                |n| n.hold,
            ),
            finish: Batcher::paced(pace, meter("finish"), move |ends| {
                finish(finishing.0.clone(), Arc::clone(&finishing.1), lease, ends)
            }),
            told: fenced(
                pool,
                pace,
                meter("told"),
                |pool, told| async move { wakeups::told(&pool, &refs(&told)).await },
                |t| t.hold,
            ),
            tell_again: fenced(
                pool,
                pace,
                meter("tell_again"),
                |pool, told| async move { wakeups::tell_again(&pool, &refs(&told)).await },
                |t| t.hold,
            ),
            metrics: Arc::clone(&app.metrics),
        }
    }

    pub async fn claim(&self, wish: impl Into<Wish>) -> std::result::Result<Option<Box<Claimed>>, Shared> {
        let wish = wish.into();
        let lane = wish.claim.lane;
        let claimed = self.claim.call(wish).await?;
        self.metrics.carrying.asked(lane, claimed.is_some());
        Ok(claimed)
    }

    pub async fn note(&self, note: Note) -> std::result::Result<bool, Shared> {
        self.note.call(note).await.inspect(|written| self.fenced("note", *written))
    }

    pub async fn wait(&self, note: Note) -> std::result::Result<bool, Shared> {
        self.wait.call(note).await.inspect(|written| self.fenced("wait", *written))
    }

    pub async fn finish(&self, finish: Arc<Finish>) -> std::result::Result<Ending, Shared> {
        self.finish.call(finish).await.inspect(|ending| self.fenced("finish", !matches!(ending, Ending::Lost)))
    }

    pub async fn told(&self, told: Told) -> std::result::Result<bool, Shared> {
        self.told.call(told).await.inspect(|written| self.fenced("told", *written))
    }

    pub async fn tell_again(&self, told: Told) -> std::result::Result<bool, Shared> {
        self.tell_again.call(told).await.inspect(|written| self.fenced("tell_again", *written))
    }

    fn fenced(&self, statement: &'static str, written: bool) {
        if !written {
            self.metrics.statements.refused(statement);
        }
    }
}

/// A batcher for a statement that returns the claims under which it wrote. Answers whether each of them did.
fn fenced<I, F, S>(pool: &Pool, pace: &Pace, meter: Meter, statement: S, hold: fn(&I) -> Hold) -> Batcher<I, bool>
where
    I: Send + Sync + 'static,
    F: Future<Output = Result<Vec<Hold>>> + Send,
    S: Fn(Pool, Arc<Vec<I>>) -> F + Send + Sync + Clone + 'static,
{
    let pool = pool.clone();
    Batcher::paced(pace, meter, move |items: Arc<Vec<I>>| {
        let (pool, statement) = (pool.clone(), statement.clone());
        async move {
            let written = persist(|| statement(pool.clone(), Arc::clone(&items))).await?.0;
            Ok(items.iter().map(|item| written.contains(&hold(item))).collect())
        }
    })
}

async fn claim(
    pool: Pool,
    life: Arc<Life>,
    lease: Duration,
    wishes: Arc<Vec<Wish>>,
) -> Result<Vec<Option<Box<Claimed>>>> {
    let worker = life.worker();
    let claimed = match wakeups::begin(&pool, worker, lease, &wishes).await {
        // A stale connection, perhaps. Should the first have worked, the same tokens claim the same rows again.
        Err(Error::Unavailable(_)) => wakeups::begin(&pool, worker, lease, &wishes).await?,
        claimed => claimed?,
    };
    let mut claimed: HashMap<_, _> = claimed.into_iter().map(|claimed| (claimed.token, Box::new(claimed))).collect();
    Ok(wishes.iter().map(|wish| claimed.remove(&wish.claim.token)).collect())
}

async fn finish(pool: Pool, life: Arc<Life>, lease: Duration, ends: Arc<Vec<Arc<Finish>>>) -> Result<Vec<Ending>> {
    let ends: Vec<&Finish> = ends.iter().map(|end| &**end).collect();
    let worker = life.worker();
    let (finished, repeated) = persist(|| wakeups::finish(&pool, worker, lease, &ends)).await?;
    let mut finished: HashMap<_, _> = finished.into_iter().map(|finished| (finished.hold, finished)).collect();
    let telling = match repeated {
        // An end that was written before has left us the lane `tell`.
        true => held(&pool, Lane::Tell, &ends.iter().map(|end| end.hold).collect::<Vec<_>>()).await?,
        false => HashSet::new(),
    };
    let ending = |hold: Hold| match finished.remove(&hold) {
        Some(finished) => Ending::Written(finished),
        None if telling.contains(&hold) => Ending::WrittenBefore,
        None => Ending::Lost,
    };
    Ok(ends.iter().map(|end| end.hold).map(ending).collect())
}

/// After a lost answer: which of these claims stand? Ask by token.
async fn held(pool: &Pool, lane: Lane, holds: &[Hold]) -> Result<HashSet<Hold>> {
    let claims: Vec<_> = holds.iter().map(|hold| Claim { no: hold.no, lane, token: hold.token }).collect();
    let held: HashSet<_> = wakeups::held(pool, &claims).await?.into_iter().collect();
    Ok(holds.iter().copied().filter(|hold| held.contains(&hold.token)).collect())
}

async fn note(pool: Pool, notes: Arc<Vec<Note>>) -> Result<Vec<bool>> {
    let rows = refs(&notes);
    let (written, repeated) = persist(|| wakeups::note(&pool, &rows)).await?;
    let mut written: HashSet<_> = written.into_iter().collect();
    if repeated {
        // A claim that still stands at another sequence: our own note was written, and its answer lost.
        let holds = notes.iter().map(|note| note.hold).filter(|hold| !written.contains(hold)).collect::<Vec<_>>();
        written.extend(held(&pool, Lane::Run, &holds).await?);
    }
    Ok(notes.iter().map(|note| written.contains(&note.hold)).collect())
}

/// Repeats a statement while Postgres is unavailable, for a while. Answers also whether it was repeated. A row that is locked
/// is another matter, for it may be one of many: unless it is our own statement, the one of which there was no answer, that
/// still holds it.
pub(crate) async fn persist<T, F: Future<Output = Result<T>>>(statement: impl Fn() -> F) -> Result<(T, bool)> {
    repeat(statement, |error, repeated| matches!(error, Error::Unavailable(_)) || repeated && error.is_passing()).await
}

/// The same for a statement about a single row, whoever has it locked.
pub(crate) async fn persist_alone<T, F: Future<Output = Result<T>>>(statement: impl Fn() -> F) -> Result<T> {
    repeat(statement, |error, _repeated| error.is_passing()).await.map(|(output, _repeated)| output)
}

async fn repeat<T, F: Future<Output = Result<T>>>(
    statement: impl Fn() -> F,
    passes: impl Fn(&Error, bool) -> bool,
) -> Result<(T, bool)> {
    let started = Instant::now();
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
    let mut repeated = false;
    loop {
        match statement().await {
            Ok(output) => return Ok((output, repeated)),
            Err(error) if passes(&error, repeated) && started.elapsed() < PERSIST => {
                repeated = true;
                backoff.wait().await;
            }
            Err(error) => return Err(error),
        }
    }
}

pub(crate) fn refs<T>(items: &[T]) -> Vec<&T> {
    items.iter().collect()
}
