//! Commands whose handler fails again and again: they must not take their neighbours with them, and must end somewhere.
//!
//! Only claims that ended without any progress are counted, a deploy or a lost lease among them. Who has failed twice is a
//! suspect. Suspects are carried beside everybody else, but ever fewer of them at once, by how often they have failed: a
//! crash is then some suspect's doing, and those that are innocent get through. Who fails on is carried alone in its
//! process in the end: if that dies too, nobody else is to blame.

use crate::engine::{Engine, Held};
use crate::intake::{Closed, Intake};
use crate::run::random;
use crate::tell;
use crate::track::Track;
use anyhow::Context as _;
use chrono::DateTime;
use holdfast_domain::Lane;
use holdfast_domain::cloud_event::callback_id;
use holdfast_domain::schedule::jittered;
use holdfast_domain::status::{Outcome, Reason};
use holdfast_domain::trail::{Entry, Happening};
use holdfast_queue::Slot;
use holdfast_store::wakeups::{self, Claimed, Finish, Tell, Told};
use holdfast_store::{attention, commands, events};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
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

/// How soon a suspect comes back for which there was no room.
const NO_ROOM: Duration = Duration::from_millis(500);

/// Who is being carried in this process.
pub struct Company {
    all: Arc<RwLock<()>>,
    suspects: Arc<Semaphore>,
    intake: Intake,
}

/// Held while a command is carried. Got before anything is claimed: should this process die, what had only waited would
/// else count as failed.
pub enum Pass {
    Together { _guard: OwnedRwLockReadGuard<()> },
    Few { _guard: OwnedRwLockReadGuard<()>, _suspects: OwnedSemaphorePermit },
    Alone { _guard: OwnedRwLockWriteGuard<()>, _suspects: OwnedSemaphorePermit, _closed: Closed },
}

impl Company {
    pub fn new(intake: Intake) -> Self {
        Self { all: Arc::default(), suspects: Arc::new(Semaphore::new(SUSPECTS as usize)), intake }
    }

    /// `None`: somebody is alone, or is about to be.
    pub fn try_together(&self) -> Option<Arc<Pass>> {
        let guard = Arc::clone(&self.all).try_read_owned().ok()?;
        Some(Arc::new(Pass::Together { _guard: guard }))
    }

    /// Waits without a slot: those with a pass may need it to come to an end.
    pub async fn together(&self, slot: &mut Slot) -> Arc<Pass> {
        match self.try_together() {
            Some(pass) => pass,
            None => {
                let guard = slot.away(Arc::clone(&self.all).read_owned()).await;
                Arc::new(Pass::Together { _guard: guard })
            }
        }
    }

    /// The more often it has failed, the more room it needs. `None`: there is not enough.
    async fn suspect(&self, failures: i16) -> Option<Pass> {
        let degree = u32::from((failures - SUSPECT_AFTER).unsigned_abs());
        let room = 1_u32.checked_shl(degree).unwrap_or(SUSPECTS).min(SUSPECTS);
        let suspects = Arc::clone(&self.suspects).try_acquire_many_owned(room).ok()?;
        if room < SUSPECTS {
            let guard = Arc::clone(&self.all).try_read_owned().ok()?;
            return Some(Pass::Few { _guard: guard, _suspects: suspects });
        }
        let closed = self.intake.close();
        let guard = Arc::clone(&self.all).write_owned().await;
        Some(Pass::Alone { _guard: guard, _suspects: suspects, _closed: closed })
    }
}

impl Pass {
    pub const fn is_alone(&self) -> bool {
        matches!(self, Self::Alone { .. })
    }
}

/// Lets a claim be carried beside others, or as befits a suspect. Parks what has failed too often. `None`: it has been seen
/// to.
pub async fn admit(engine: &Engine, held: Held, slot: Slot) -> anyhow::Result<Option<(Held, Slot)>> {
    if held.claimed.failures < SUSPECT_AFTER {
        return Ok(Some((held, slot)));
    }
    Box::pin(admit_suspect(engine, held, slot)).await
}

async fn admit_suspect(engine: &Engine, held: Held, slot: Slot) -> anyhow::Result<Option<(Held, Slot)>> {
    // Suspects are counted by themselves. Whoever is alone must not wait for a slot of those who wait for it.
    let Held { claimed, pass, span, track, .. } = held;
    drop((pass, slot));
    let Some(held) = with_room(engine, claimed, track).await? else { return Ok(None) };
    let held = held.within(span);
    if !held.pass.is_alone() {
        return Ok(Some((held, Slot::uncounted())));
    }
    // Written before it begins: should it take the process with it, this was the last trace.
    let claimed = &held.claimed;
    let alone = wakeups::go_alone(&engine.app.pool, claimed.claim()).await;
    match alone.context("note that a suspect is carried alone")? {
        None => Ok(None),
        Some(times) if times > PARK_AFTER => park(engine, claimed).await.map(|()| None),
        Some(times) => {
            tracing::warn!(command.id = %claimed.id, failures = claimed.failures, times, "carrying a suspect alone");
            Ok(Some((held, Slot::uncounted())))
        }
    }
}

/// Waits for room. Everybody who is in the way has a claim that ends, so that this does too; our own is renewed meanwhile.
/// `None`: there is no room, or the claim is lost.
async fn with_room(engine: &Engine, mut claimed: Box<Claimed>, track: Track) -> anyhow::Result<Option<Held>> {
    let mut room = pin!(engine.company.suspect(claimed.failures));
    loop {
        let pass = match tokio::time::timeout(engine.lease() / 3, &mut room).await {
            Ok(Some(pass)) => Some(pass),
            Ok(None) => {
                let wait = jittered(NO_ROOM, random());
                let (claim, nudge) = (claimed.claim(), claimed.nudge);
                let back = wakeups::PutBack { claim, nudge, wait, alone: false, in_doubt: false };
                wakeups::put_back(&engine.app.pool, back).await.context("put a suspect back")?;
                return Ok(None);
            }
            Err(_elapsed) => None,
        };
        let started = Instant::now();
        let renewed =
            engine.statements.on(track).claim(claimed.claim()).await.context("renew the claim of a suspect")?;
        let Some(renewed) = renewed else { return Ok(None) };
        claimed = renewed;
        if let Some(pass) = pass {
            return Ok(Some(Held::new(claimed, started, Arc::new(pass), track)));
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
        trail: vec![entry(
            claimed,
            Happening::Finished { status: outcome.status(), reason: outcome.reason().cloned() },
        )],
        anchor: claimed.anchor,
        progress: claimed.progress.clone(),
        outcome,
        // What cannot be read cannot be told either.
        tell: crate::query::read(claimed.kind, &claimed.body)
            .map_or(Tell::Not, |content| Tell::of(content.callback_url().or(claimed.client_callback_url.as_deref()))),
        claim_tell: false,
    };
    engine.statements.on(Track::Share).finish(Arc::new(finish)).await.context("park")?;
    Ok(())
}

async fn give_up_telling(engine: &Engine, claimed: &Claimed) -> anyhow::Result<()> {
    let attempts = events::attempts(&engine.app.pool, claimed.no, claimed.sequence).await.context("read the trail")?;
    let current = commands::current(&engine.app.pool, claimed.client, claimed.kind, claimed.id).await;
    let current = current.context("read the state")?.context("the command of a wakeup exists")?;
    let callback_id = callback_id(claimed.id, current.status, claimed.sequence);
    let why = "its delivery keeps failing on our side".to_owned();
    let reason = Reason::new("callback_keeps_failing", format!("the client was not told {}: {why}", current.status));
    attention::open(&engine.app.pool, claimed.no, &reason).await.context("open an item for the operators")?;
    let told = Told {
        hold: claimed.hold(),
        nudge: Some(claimed.nudge),
        sequence: claimed.sequence,
        attempt: attempts.made.saturating_add(1),
        previous: attempts.last.unwrap_or(claimed.anchor),
        tries: claimed.tries,
        trail: vec![entry(claimed, Happening::CallbackGivenUp { callback_id, why })],
        wait: Duration::ZERO,
    };
    tell::give_up(engine, told).await
}

const fn entry(claimed: &Claimed, what: Happening) -> Entry {
    let at: DateTime<_> = claimed.claimed_at;
    Entry::new(at, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_handler_is_called_again_later_each_time_up_to_a_cap() {
        for failures in 0..=i16::MAX {
            let seconds = [5, 10, 20, 40, 80, 160].get(failures.unsigned_abs() as usize).unwrap_or(&300);
            let (wait, base) = (fault_wait(failures), Duration::from_secs(*seconds));
            assert!(base * 4 / 5 <= wait && wait <= base * 6 / 5, "{wait:?} after {failures}");
        }
    }
}
