//! A worker's proof of life, and its tokens.

use crate::engine::Engine;
use holdfast_domain::{Token, WorkerId};
use holdfast_queue::backoff;
use holdfast_store::workers::{self, Partners};
use holdfast_store::{Error, Pool};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Beats further apart than this many intervals are no steady pulse.
const STEADY_INTERVALS: u32 = 3;

/// After a beat that failed, and between attempts to begin a life.
const SOON: Duration = Duration::from_millis(100);

/// What is made of the partners is shown this often, and at once when a breaker changes.
const SHOWN_EVERY: Duration = Duration::from_secs(5);

/// It must not hold up a beat.
const SHOWN_WITHIN: Duration = Duration::from_millis(300);

/// The present life of this worker. One that was declared dead goes on under another id: what the old one had claimed
/// belongs to others now.
#[derive(Debug)]
pub struct Life {
    worker: AtomicI64,
    claims: AtomicU32,
}

impl Life {
    pub fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { worker: AtomicI64::new(draw()?), claims: AtomicU32::new(0) })
    }

    pub fn worker(&self) -> WorkerId {
        WorkerId(self.worker.load(Ordering::Acquire))
    }

    /// Unique among all claims: a random life and a count within it. A sequence in Postgres would repeat after a failover
    /// that lost commits.
    pub fn token(&self) -> Token {
        let count = self.claims.fetch_add(1, Ordering::Relaxed);
        Token(self.worker().0 << 32 | i64::from(count))
    }

    fn begin_another(&self) -> Result<(), getrandom::Error> {
        self.worker.store(draw()?, Ordering::Release);
        Ok(())
    }
}

/// 31 random bits, so that a token fits a positive `bigint`.
fn draw() -> Result<i64, getrandom::Error> {
    Ok(i64::from(getrandom::u32()? >> 1))
}

/// Registers, then beats until `stop`, on a pool of its own: a busy worker must not look dead. Receiving is open while the beats arrive. Each beat also looks for the dead.
pub async fn run(engine: &Engine, pool: &Pool, name: &str, stop: &CancellationToken) {
    let worker = &engine.app.config.worker;
    let mut registered = false;
    let mut shown = Shown::default();
    while !stop.is_cancelled() {
        let mut soon = false;
        registered = match beat(engine, pool, name, registered).await {
            Ok(alive) => {
                engine.intake.set_alive(alive);
                if alive {
                    // A connection that was given up for it is opened again at once.
                    soon = !shown.renew(engine, pool).await;
                }
                alive
            }
            Err(error) => {
                engine.intake.set_alive(false);
                tracing::warn!(error = &error as &dyn std::error::Error, "could not prove to be alive");
                soon = true;
                registered
            }
        };
        let wait = if registered && !soon { worker.heartbeat_ms.get() } else { SOON };
        let next = async {
            tokio::select! {
                () = backoff::sleep(wait) => {}
                () = engine.intake.doubted() => {}
            }
        };
        stop.run_until_cancelled(next).await;
    }
}

/// What those who look on know of this worker's partners.
#[derive(Default)]
struct Shown {
    /// As whom, what and when.
    last: Option<(WorkerId, Partners, Instant)>,
}

impl Shown {
    /// `false`: it could not be shown.
    async fn renew(&mut self, engine: &Engine, pool: &Pool) -> bool {
        let partners: Partners =
            engine.partnerships().map(|partner| (partner.name.clone(), partner.circuit.look())).collect();
        let worker = engine.life.worker();
        if !self.is_due(worker, &partners) {
            return true;
        }
        // It is for looking at alone: whether it can be shown says nothing about our life.
        let shown = workers::show_partners(&pool.within(SHOWN_WITHIN), worker, &partners).await;
        if let Err(error) = &shown {
            tracing::debug!(error = error as &dyn std::error::Error, "could not show the partners");
        }
        // Not tried again at once, whatever came of it.
        self.last = Some((worker, partners, Instant::now()));
        shown.is_ok()
    }

    fn is_due(&self, worker: WorkerId, partners: &Partners) -> bool {
        let Some((shown_as, known, at)) = &self.last else { return true };
        let differs = || partners.iter().any(|(name, seen)| known.get(name).is_none_or(|known| known.differs(seen)));
        *shown_as != worker || differs() || (at.elapsed() >= SHOWN_EVERY && partners != known)
    }
}

/// One beat. `false`: not registered, or declared dead.
async fn beat(engine: &Engine, pool: &Pool, name: &str, registered: bool) -> Result<bool, Error> {
    let (life, config) = (&engine.life, &engine.app.config.worker);
    if !registered {
        let fresh = workers::register(pool, life.worker(), name).await?;
        if !fresh {
            renew(life);
        }
        return Ok(fresh);
    }
    let heartbeat = config.heartbeat_ms.get();
    if !workers::beat(pool, life.worker(), heartbeat * STEADY_INTERVALS).await? {
        engine.app.metrics.carrying.died();
        tracing::warn!(worker.id = life.worker().0, "was declared dead, going on under another id");
        renew(life);
        return Ok(false);
    }
    // Whether the dead can be reaped says nothing about our own life.
    if let Err(error) = reap(engine, pool, config.silence_ms.get()).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "could not look for dead workers");
    }
    Ok(true)
}

fn renew(life: &Life) {
    if let Err(error) = life.begin_another() {
        tracing::error!(%error, "could not draw a worker id");
    }
}

async fn reap(engine: &Engine, pool: &Pool, silence: Duration) -> Result<(), Error> {
    let (workers, claims) = workers::reap(pool, engine.life.worker(), silence).await?;
    engine.app.metrics.carrying.reaped(claims.unsigned_abs());
    if workers > 0 {
        tracing::warn!(workers, claims, "declared silent workers dead, their claims are due");
    }
    Ok(())
}
