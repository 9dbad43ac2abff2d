//! Commands whose handler fails again and again: they must not take their neighbours with them, and must end somewhere.
//!
//! Only claims that ended without any progress are counted, a deploy or a lost lease among them. Who has failed twice is a
//! suspect. Suspects are carried beside everybody else, but ever fewer of them at once, by how often they have failed: a
//! crash is then some suspect's doing, and those that are innocent get through. Who fails on is carried alone in its
//! process in the end: if that dies too, nobody else is to blame.

use crate::engine::{Engine, Held};
use crate::run::random;
use anyhow::Context as _;
use chrono::DateTime;
use holdfast_domain::Lane;
use holdfast_domain::schedule::jittered;
use holdfast_domain::status::{Outcome, Reason};
use holdfast_domain::trail::{Entry, Happening};
use holdfast_queue::Slot;
use holdfast_store::events;
use holdfast_store::wakeups::{self, Claim, Claimed, Finish, Told};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit, RwLock, Semaphore};

/// Failures after which a command is a suspect.
const SUSPECT_AFTER: i16 = 2;

/// How many suspects of the first degree are carried at once; half as many with each further failure.
const SUSPECTS: u32 = 8;

/// Failures alone after which a command is parked.
const PARK_AFTER: i16 = 3;

/// How soon a failed handler is called again: doubles with each failure, up to the cap.
const FIRST_FAULT: Duration = Duration::from_secs(5);
const FAULT_CAP: Duration = Duration::from_secs(300);

/// Longest wait for others to be done; never more than a third of the lease.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who is being carried in this process.
pub struct Company {
    all: Arc<RwLock<()>>,
    suspects: Arc<Semaphore>,
}

/// Held while a command is carried.
pub enum Pass {
    Together { _guard: OwnedRwLockReadGuard<()>, _suspects: Option<OwnedSemaphorePermit> },
    Alone { _guard: OwnedRwLockWriteGuard<()>, _suspects: OwnedSemaphorePermit },
}

impl Default for Company {
    fn default() -> Self {
        Self { all: Arc::default(), suspects: Arc::new(Semaphore::new(SUSPECTS as usize)) }
    }
}

impl Company {
    pub async fn together(&self) -> Pass {
        Pass::Together { _guard: Arc::clone(&self.all).read_owned().await, _suspects: None }
    }

    /// The more often it has failed, the more room it needs.
    async fn suspect(&self, failures: i16) -> Pass {
        let degree = u32::from((failures - SUSPECT_AFTER).unsigned_abs());
        let room = 1_u32.checked_shl(degree).unwrap_or(SUSPECTS).min(SUSPECTS);
        let suspects = Arc::clone(&self.suspects).acquire_many_owned(room).await.expect("never closed");
        if room < SUSPECTS {
            return Pass::Together { _guard: Arc::clone(&self.all).read_owned().await, _suspects: Some(suspects) };
        }
        Pass::Alone { _guard: Arc::clone(&self.all).write_owned().await, _suspects: suspects }
    }
}

/// What to do with a claim.
pub enum Carry {
    Go(Pass, Slot),
    /// It has been seen to.
    Nothing,
}

/// Lets a claim be carried beside others, or as befits a suspect. Parks what has failed too often.
pub async fn admit(engine: &Engine, held: &Held, slot: Slot) -> anyhow::Result<Carry> {
    let claimed = &held.claimed;
    if claimed.failures < SUSPECT_AFTER {
        return Ok(Carry::Go(engine.company.together().await, slot));
    }
    // Suspects are counted by themselves. Whoever is alone must not wait for a slot that others hold who wait for it.
    drop(slot);
    let slot = Slot::uncounted();
    let claim = Claim { no: claimed.no, lane: claimed.lane, token: claimed.token };
    let pool = &engine.app.pool;
    let waiting = tokio::time::timeout(PATIENCE.min(engine.lease() / 3), engine.company.suspect(claimed.failures));
    let Ok(pass) = waiting.await else {
        let wait = jittered(FIRST_FAULT, random());
        wakeups::put_back(pool, claim, wait).await.context("put a suspect back")?;
        return Ok(Carry::Nothing);
    };
    if let Pass::Together { .. } = pass {
        return Ok(Carry::Go(pass, slot));
    }
    // Written before it begins: should it take the process with it, this was the last trace.
    let alone = wakeups::go_alone(pool, claim).await.context("note that a suspect is carried alone")?;
    match alone {
        None => Ok(Carry::Nothing),
        Some(times) if times > PARK_AFTER => park(engine, claimed).await.map(|()| Carry::Nothing),
        Some(times) => {
            tracing::warn!(command.id = %claimed.id, failures = claimed.failures, times, "carrying a suspect alone");
            Ok(Carry::Go(pass, slot))
        }
    }
}

/// The wait after the next failure.
pub fn fault_wait(failures: i16) -> Duration {
    let doubled = FIRST_FAULT.saturating_mul(2_u32.saturating_pow(u32::from(failures.unsigned_abs())));
    jittered(doubled.min(FAULT_CAP), random())
}

async fn park(engine: &Engine, claimed: &Claimed) -> anyhow::Result<()> {
    tracing::error!(command.id = %claimed.id, lane = ?claimed.lane, "parked: its handler keeps failing");
    match claimed.lane {
        Lane::Run => park_run(engine, claimed).await,
        Lane::Tell => give_up_telling(engine, claimed).await,
    }
}

async fn park_run(engine: &Engine, claimed: &Claimed) -> anyhow::Result<()> {
    let detail = format!("it was begun {} times and never got further", claimed.failures);
    let outcome = Outcome::NeedsAttention(Reason::new("handler_keeps_failing", detail));
    let finish = Finish {
        hold: claimed.hold(),
        nudge: claimed.nudge,
        client: claimed.client,
        created_at: claimed.created_at,
        trail: vec![entry(claimed, Happening::Finished { status: outcome.status() })],
        progress: claimed.progress.clone(),
        outcome,
        // What cannot be read cannot be told either.
        tell: crate::query::read(claimed.kind, &claimed.body)
            .is_ok_and(|content| content.callback_url().is_some() || claimed.client_callback_url.is_some()),
        claim_tell: false,
    };
    engine.statements.finish(finish).await.context("park")?;
    Ok(())
}

async fn give_up_telling(engine: &Engine, claimed: &Claimed) -> anyhow::Result<()> {
    let attempts = events::attempts(&engine.app.pool, claimed.no, claimed.sequence).await.context("read the trail")?;
    let callback_id = format!("evt_{}_{}", claimed.id.0.simple(), claimed.sequence);
    let why = "its delivery keeps failing on our side".to_owned();
    let told = Told {
        hold: claimed.hold(),
        sequence: claimed.sequence,
        attempt: attempts.saturating_add(1),
        tries: claimed.tries,
        trail: vec![entry(claimed, Happening::CallbackGivenUp { callback_id, why })],
        wait: Duration::ZERO,
    };
    engine.statements.told(told).await.context("give up telling")?;
    Ok(())
}

const fn entry(claimed: &Claimed, what: Happening) -> Entry {
    let at: DateTime<_> = claimed.claimed_at;
    Entry { at, what }
}
