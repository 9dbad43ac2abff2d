//! What comes of a run, or of telling: it is written, and the claim ends.

use super::{Engine, Held, Owed};
use crate::batch::Shared;
use crate::failpoint;
use crate::poison::{self, Pass};
use crate::run::Run;
use crate::statements::{Ending, persist_alone};
use crate::tell::{self, Debt};
use crate::trace::{Span, spans};
use crate::track::Track;
use anyhow::Context as _;
use holdfast_domain::status::Outcome;
use holdfast_domain::trail::Happening;
use holdfast_domain::{ClientNo, Lane};
use holdfast_queue::Slot;
use holdfast_store::wakeups::{self, Claim, Claimed, Ended, Finish, Note, PutBack, Tell};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument as _;
use url::Url;

/// How long a command rests whose news could not be written.
const UNWRITTEN: Duration = Duration::from_secs(10);

impl Engine {
    /// The handler could not go on.
    pub(super) async fn fail(&self, mut run: Run<'_>, error: anyhow::Error, pass: &Pass) -> anyhow::Result<()> {
        if is_outage(&error) && !run.is_sending() {
            // What was in doubt before is so after, and nobody is to blame.
            self.put_back_after_outage(Owed::by(&run.claimed, pass)).await;
        } else {
            // Nothing was sent: the next holder need not doubt it. Else the claim is left to lapse.
            let wait = poison::fault_wait(run.claimed.failures);
            let release = (!run.has_sent()).then(|| Note { ended: Ended::Badly, ..run.take_note(wait) });
            self.leave_for_later(release, run.track).await;
        }
        Err(error)
    }

    pub(super) async fn wait(&self, mut run: Run<'_>, after: Duration, why: String) -> anyhow::Result<()> {
        run.happened(Happening::Waiting { for_ms: after.as_millis() as u64, why });
        self.release(run.take_note(after), run.track).await
    }

    /// Not written means that the claim is in other hands.
    pub(super) async fn release(&self, note: Note, track: Track) -> anyhow::Result<()> {
        let _written: bool = self.statements.on(track).wait(note).await.context("write the wait")?;
        Ok(())
    }

    /// It is nobody's fault: what is owed is still owed.
    pub(super) async fn put_back_after_outage(&self, owed: Owed) {
        let Owed { claim, nudge, failures, alone, in_doubt } = owed;
        // Nothing else would slow down who finds it out again and again.
        let wait = if in_doubt { UNWRITTEN } else { poison::fault_wait(failures) };
        let back = PutBack { claim, nudge, wait, alone, in_doubt };
        if let Err(error) = persist_alone(|| wakeups::put_back(&self.app.pool, back)).await {
            tracing::debug!(%error, "could not put a claim back after an outage, it will lapse");
        }
    }

    /// Releases what a fault has left in hand, if that can be done cleanly.
    pub(super) async fn leave_for_later(&self, release: Option<Note>, track: Track) {
        let Some(note) = release else { return };
        if let Err(error) = self.statements.on(track).wait(note).await {
            tracing::debug!(%error, "could not release a claim after a fault, it will lapse");
        }
    }

    /// Ends the run, and tells the client if there is room; else the relay finds what is owed.
    pub(super) async fn finish(
        self: &Arc<Self>,
        mut run: Run<'_>,
        outcome: Outcome,
        pass: Arc<Pass>,
        log: tracing::Span,
    ) -> anyhow::Result<()> {
        let url = run.content.callback_url().or(run.claimed.client_callback_url.as_deref());
        let tell = Tell::of(url);
        let room = url.and_then(|url| self.room_to_tell(run.claimed.client, url));
        let finish = Arc::new(Finish {
            hold: run.hold(),
            nudge: run.claimed.nudge,
            client: run.claimed.client,
            created_at: run.claimed.created_at,
            trail: run.take_trail(&outcome),
            anchor: run.claimed.anchor,
            progress: run.progress.clone(),
            outcome,
            tell,
            claim_tell: room.is_some(),
        });
        let started = Instant::now();
        let step = run.begin("finish", None);
        let ending = self.statements.on(run.track).finish(Arc::clone(&finish)).await;
        run.end(step, ending.as_ref().err().map(|_| spans::FAULT));
        let ending = ending.context("write the end")?;
        failpoint::hit("finished");
        if let Ending::Lost = ending {
            // Unless the claim is lost, somebody knocked in the last moment: look at that before it ends.
            let mut trail = finish.trail.clone();
            let _did_not_finish = trail.pop();
            let released = Note { trail, ..run.take_note(Duration::ZERO) };
            return Box::pin(self.release(released, run.track)).await;
        }
        self.app.metrics.carrying.ended(run.claimed.kind, &finish.outcome);
        let Some(slot) = room else { return Ok(()) };
        // The lane's row is fresh: it was inserted with our token.
        let claim = Claim { lane: Lane::Tell, ..run.claimed.claim() };
        let owed = Owed { claim, nudge: 0, failures: 0, alone: pass.is_alone(), in_doubt: false };
        let debt = match ending {
            Ending::Written(finished) if finished.telling => Debt::of_finished(&run, &finish, finished, started, pass),
            Ending::Written(_) | Ending::Lost => return Ok(()),
            Ending::WrittenBefore => {
                let claimed = Claimed { lane: Lane::Tell, nudge: 0, tries: 0, ..*run.claimed };
                Debt::Claimed(Box::new(Held::new(Box::new(claimed), started, pass, run.track)))
            }
        };
        let engine = Arc::clone(self);
        let telling = async move {
            if let Err(error) = engine.settle(owed, debt, slot).await {
                tracing::error!(error = format!("{error:#}"), "could not tell a client");
            }
        };
        self.tasks.spawn(telling.instrument(log));
        Ok(())
    }

    /// A slot for a first attempt, if the endpoint has room for one too.
    fn room_to_tell(&self, client: ClientNo, url: &str) -> Option<Slot> {
        let url = Url::parse(url).ok()?;
        if self.throttle.has_room(client, &url) { self.tell_slots.take_up_to(1).pop() } else { None }
    }

    pub(super) async fn tell(self: &Arc<Self>, mut held: Held, slot: Slot) -> anyhow::Result<()> {
        let _until_it_is_told: Span = std::mem::take(&mut held.span);
        self.settle(Owed::by(&held.claimed, &held.pass), Debt::Claimed(Box::new(held)), slot).await
    }

    pub(super) async fn settle(&self, owed: Owed, debt: Debt, slot: Slot) -> anyhow::Result<()> {
        let settled = tell::settle(self, debt, slot).await;
        if settled.as_ref().is_err_and(is_outage) {
            self.put_back_after_outage(owed).await;
        }
        settled
    }
}

/// Whether Postgres was not there, or kept the row for somebody else.
pub(super) fn is_outage(error: &anyhow::Error) -> bool {
    let passing = |cause: &(dyn std::error::Error + 'static)| {
        let direct = cause.downcast_ref::<holdfast_store::Error>();
        let shared = cause.downcast_ref::<Shared>().map(|shared| &**shared);
        direct.or(shared).is_some_and(holdfast_store::Error::is_passing)
    };
    error.chain().any(passing)
}
