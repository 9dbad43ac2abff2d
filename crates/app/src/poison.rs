//! Commands whose handler fails again and again: they must not take their neighbours with them, and must end somewhere.
//!
//! Only claims that ended without any progress are counted, a deploy or a lost lease among them. Who has failed twice is a
//! suspect, and is carried alone in its process: if that dies too, nobody else is to blame.

use crate::engine::{Engine, Held};
use crate::run::random;
use anyhow::Context as _;
use chrono::DateTime;
use holdfast_domain::Lane;
use holdfast_domain::schedule::jittered;
use holdfast_domain::status::{Outcome, Reason};
use holdfast_domain::trail::{Entry, Happening};
use holdfast_store::events;
use holdfast_store::wakeups::{self, Claim, Claimed, Finish, Told};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Failures after which a command is carried alone.
const SUSPECT_AFTER: i16 = 2;

/// Failures alone after which it is parked.
const PARK_AFTER: i16 = 3;

/// How soon a failed handler is called again: doubles with each failure, up to the cap.
const FIRST_FAULT: Duration = Duration::from_secs(5);
const FAULT_CAP: Duration = Duration::from_secs(300);

/// Longest wait for the neighbours to be done, well below the lease.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who is being carried in this process: all together, or one alone.
#[derive(Clone, Default)]
pub struct Company(Arc<RwLock<()>>);

/// Held while a command is carried.
pub enum Pass {
    Together { _guard: OwnedRwLockReadGuard<()> },
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

impl Company {
    pub async fn together(&self) -> Pass {
        Pass::Together { _guard: Arc::clone(&self.0).read_owned().await }
    }

    /// `None`: the neighbours took too long.
    async fn alone(&self) -> Option<Pass> {
        let guard = tokio::time::timeout(PATIENCE, Arc::clone(&self.0).write_owned()).await.ok()?;
        Some(Pass::Alone { _guard: guard })
    }
}

/// What to do with a claim.
pub enum Carry {
    Go(Pass),
    /// It has been seen to.
    Nothing,
}

/// Lets a claim be carried beside others, or alone if it is a suspect. Parks what has failed too often.
pub async fn admit(engine: &Engine, held: &Held) -> anyhow::Result<Carry> {
    let claimed = &held.claimed;
    if claimed.failures < SUSPECT_AFTER {
        return Ok(Carry::Go(engine.company.together().await));
    }
    let claim = Claim { no: claimed.no, lane: claimed.lane, token: claimed.token };
    let pool = &engine.app.pool;
    let Some(pass) = engine.company.alone().await else {
        let wait = jittered(FIRST_FAULT, random());
        wakeups::put_back(pool, claim, wait).await.context("put a suspect back")?;
        return Ok(Carry::Nothing);
    };
    // Written before it begins: should it take the process with it, this was the last trace.
    let alone = wakeups::go_alone(pool, claim).await.context("note that a suspect is carried alone")?;
    match alone {
        None => Ok(Carry::Nothing),
        Some(times) if times > PARK_AFTER => park(engine, claimed).await.map(|()| Carry::Nothing),
        Some(times) => {
            tracing::warn!(command.id = %claimed.id, failures = claimed.failures, times, "carrying a suspect alone");
            Ok(Carry::Go(pass))
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
