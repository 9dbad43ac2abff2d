//! A claimed run in the hands of its handler: what is known, what happened, and how much time is left.

use crate::engine::Engine;
use crate::partnership::Partnership;
use crate::trace::spans;
use crate::track::Track;
use crate::turnstile::Turn;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use holdfast_domain::Status;
use holdfast_domain::content::Content;
use holdfast_domain::progress::{PartnerProgress, PartnerState, Progress};
use holdfast_domain::schedule::jittered;
use holdfast_domain::status::{Outcome, Reason, Step};
use holdfast_domain::trail::{Entry, Happening};
use holdfast_queue::{Slot, backoff};
use holdfast_store::wakeups::{Claimed, Ended, Hold, Note, Tell};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time kept between the last answer of a partner and the end of the lease, for the write that follows.
pub const MARGIN: Duration = Duration::from_secs(3);

/// Longer waits for a schedule release the claim; shorter ones are sat out, without a slot.
const HOLD_LIMIT: Duration = Duration::from_secs(1);

/// Why a handler stops before its last step.
#[derive(Debug)]
pub enum Stop {
    /// Release the claim; go on after this.
    Wait { after: Duration, why: String },
    /// The same, for a partner that takes no more just now: nobody has asked it anything.
    Full { after: Duration, why: String },
    /// The command's end is known already.
    End(Outcome),
    /// The claim is in other hands: nothing may be written, the message is superfluous.
    Lost,
    /// Unexpected: the claim is put back or released if nothing was sent under it, else left to lapse; the message is left
    /// to SQS.
    Fault(anyhow::Error),
}

impl Stop {
    /// In a word, for traces.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Wait { .. } => "wait",
            Self::Full { .. } => "full",
            Self::End(outcome) => outcome.status().name(),
            Self::Lost => "lost",
            Self::Fault(_) => spans::FAULT,
        }
    }
}

/// What every handler gets.
pub struct Run<'a> {
    pub engine: &'a Engine,
    pub claimed: Box<Claimed>,
    /// What the client asked for.
    pub content: Arc<Content>,
    pub step: Step,
    pub status: Status,
    pub progress: Progress,
    /// The claim before was not released: until a lookup has answered, a creation may stand at the partner.
    doubt: bool,
    sent: bool,
    /// Under this claim.
    sending: bool,
    /// Of the last row that was appended to the audit trail.
    sequence: i32,
    next_try: Option<Instant>,
    /// When the claim was asked for, and its lease began at the earliest.
    started: Instant,
    /// When the claim was ours, and `claimed.claimed_at` had passed.
    claimed_from: Instant,
    /// When `claimed.first_sent_ago` was true.
    first_sent_from: Instant,
    settle_until: Option<Instant>,
    settle_within: Option<Duration>,
    trail: Vec<Entry>,
    slot: Slot,
    /// How its message came.
    pub track: Track,
}

impl<'a> Run<'a> {
    /// `started` was taken before the claim was sent, so that our deadline is never later than Postgres'.
    pub fn new(
        engine: &'a Engine,
        claimed: Box<Claimed>,
        content: Arc<Content>,
        slot: Slot,
        (started, track): (Instant, Track),
    ) -> Self {
        let mut run = Self {
            engine,
            content,
            step: claimed.step,
            status: status_at(claimed.step),
            progress: claimed.progress.clone(),
            doubt: claimed.taken_over,
            // Whoever was dispossessed may have sent something without saying so.
            sent: claimed.taken_over,
            sending: false,
            sequence: claimed.sequence,
            next_try: claimed.next_try_in.map(|wait| Instant::now() + wait),
            started,
            claimed_from: Instant::now(),
            first_sent_from: started,
            settle_until: claimed.settle_within.map(|within| Instant::now() + within),
            settle_within: None,
            trail: Vec::new(),
            slot,
            track,
            claimed,
        };
        run.happened(Happening::Claimed { worker: run.claimed.worker, taken_over: run.claimed.taken_over });
        run
    }

    /// What releases a claim whose command cannot be read. `None`: what the one before it did is not known, and may not be
    /// forgotten by a clean release.
    pub fn unread(claimed: &Claimed, wait: Duration) -> Option<Note> {
        let note = Note {
            ended: Ended::Badly,
            hold: Hold { no: claimed.no, token: claimed.token },
            nudge: claimed.nudge,
            sequence: claimed.sequence,
            status: status_at(claimed.step),
            step: claimed.step,
            progress: claimed.progress.clone(),
            trail: Vec::new(),
            anchor: claimed.anchor,
            sent: false,
            next_try_in: claimed.next_try_in,
            settle_within: None,
            next_partner: false,
            tell: Tell::Not,
            wait,
        };
        (!claimed.taken_over).then_some(note)
    }

    pub fn hold(&self) -> Hold {
        Hold { no: self.claimed.no, token: self.claimed.token }
    }

    /// Postgres' time now, as far as we can know without asking: never later than it is, so that the trail has the order in
    /// which it was written.
    fn now(&self) -> DateTime<Utc> {
        let now = self.claimed.claimed_at + TimeDelta::from_std(self.claimed_from.elapsed()).unwrap_or_default();
        now.trunc_subsecs(6)
    }

    pub fn happened(&mut self, what: Happening) {
        self.engine.app.metrics.carrying.happened(&what);
        self.trail.push(Entry::new(self.now(), what));
    }

    pub fn partner(&mut self, name: &str) -> &mut PartnerProgress {
        self.progress.partner(name)
    }

    /// Whether something that nobody reported may have happened at the partner in hand. Asked once: the answer is acted
    /// upon by a lookup.
    pub const fn take_doubt(&mut self) -> bool {
        std::mem::replace(&mut self.doubt, false)
    }

    /// Whether [`Self::take_doubt`] would answer yes.
    pub const fn is_in_doubt(&self) -> bool {
        self.doubt
    }

    /// Whether a creation may have left under this or an earlier claim.
    pub const fn has_sent(&self) -> bool {
        self.sent
    }

    /// A creation is about to leave.
    pub const fn sending(&mut self) {
        self.sent = true;
        self.sending = true;
    }

    /// Whether a creation may have left under this claim.
    pub const fn is_sending(&self) -> bool {
        self.sending
    }

    /// No creation until this has passed, whoever holds the claim then.
    pub fn delay_next_try(&mut self, wait: Duration) {
        self.next_try = Some(Instant::now() + wait);
    }

    /// What is left of that delay.
    pub fn next_try_in(&self) -> Option<Duration> {
        self.next_try.map(|at| at.saturating_duration_since(Instant::now())).filter(|wait| !wait.is_zero())
    }

    /// Since when what the claim has read may have changed.
    pub const fn claimed_from(&self) -> Instant {
        self.claimed_from
    }

    /// Time since something may first have been sent to a partner.
    pub fn first_sent_ago(&self) -> Duration {
        self.claimed.first_sent_ago + self.first_sent_from.elapsed()
    }

    /// Time since this partner was first asked for what stands there, of all that it was asked in vain.
    pub fn asking_for(&mut self, name: &str) -> Duration {
        let now = self.now();
        let since = *self.partner(name).asking_since.get_or_insert(now);
        (now - since).to_std().unwrap_or_default()
    }

    /// Begins to settle, unless that has begun before. Returns whether the time for it is over.
    pub fn settling_is_over(&mut self, within: Duration) -> bool {
        if self.settle_until.is_none() {
            self.settle_until = Some(Instant::now() + within);
            self.settle_within = Some(within);
        }
        self.settle_until.is_some_and(|until| Instant::now() >= until)
    }

    /// Whether the client's time for it is over, and no partner has taken it yet: a refund that one of them has carried out
    /// goes on.
    pub fn is_stale(&self) -> bool {
        let taken = |partner: &PartnerProgress| partner.state == PartnerState::Completed;
        self.content.expires_at().is_some_and(|at| at <= self.now()) && !self.progress.partners.iter().any(taken)
    }

    pub fn expired(&self) -> Outcome {
        let at = self.content.expires_at().map(|at| at.to_rfc3339()).unwrap_or_default();
        Outcome::Failed(Reason::new("expired", format!("its time was over at {at}, before it was carried out")))
    }

    /// Checked right before each request to somebody else: is the claim still ours for as long as the request may take?
    pub fn must_have(&self, time: Duration) -> Result<(), Stop> {
        if self.engine.was_declared_dead(self.claimed.worker) {
            return Err(Stop::Lost);
        }
        match self.started.elapsed() + time + MARGIN < self.engine.lease() {
            true => Ok(()),
            false => Err(Stop::Wait { after: Duration::ZERO, why: "the claim's time is used up".to_owned() }),
        }
    }

    /// Waits without holding a slot: in memory if that is short, else by releasing the claim.
    pub async fn rest(&mut self, wait: Duration, why: &str) -> Result<(), Stop> {
        let stop = Stop::Wait { after: wait, why: why.to_owned() };
        if wait > HOLD_LIMIT || self.engine.is_stopping() {
            return Err(stop);
        }
        self.slot.away(backoff::sleep(wait)).await;
        Ok(())
    }

    /// Waits for somebody else's answer, without holding a slot.
    pub async fn away<T>(&mut self, answer: impl Future<Output = T>) -> T {
        self.slot.away(answer).await
    }

    /// Leave to make one request of this partner: fewer than its limit are under way, and its breaker is closed. Else the
    /// claim is released for a while, and no try is burnt. Who waits here for its turn holds a slot: more must not be taken
    /// on than this partner can do, and half of all is enough for one. They are not held for long: nobody waits unless its
    /// turn comes soon.
    pub async fn admit(&mut self, partnership: &Partnership) -> Result<Turn, Stop> {
        let Partnership { name, circuit, .. } = partnership;
        let full =
            |wait| Stop::Full { after: jittered(wait, random()), why: format!("{name} has its limit of requests") };
        let turn = circuit.enter(self.claimed.client).await.map_err(full)?;
        match circuit.admit(Instant::now(), random()) {
            Ok(()) => Ok(turn),
            Err(after) => Err(Stop::Wait { after, why: format!("{name} is down, its breaker is open") }),
        }
    }

    /// The partner in hand has done its part. Written down at once, and everything that counted for it ends: its
    /// deadlines, and the doubt of a takeover.
    pub async fn next_partner(&mut self) -> Result<(), Stop> {
        self.doubt = false;
        self.next_try = None;
        self.settle_until = None;
        self.settle_within = None;
        self.status = Status::Processing;
        self.step = Step::Submit;
        let note = Note { next_partner: true, ..self.take_note(Duration::ZERO) };
        self.write(note).await?;
        self.claimed.first_sent_ago = Duration::ZERO;
        self.first_sent_from = Instant::now();
        Ok(())
    }

    /// The partner has not decided in the first moments: the client is told, while the run goes on.
    pub async fn is_pending(&mut self) -> Result<(), Stop> {
        self.status = Status::Pending;
        let url = self.content.callback_url().or(self.claimed.client_callback_url.as_deref());
        let note = Note { tell: Tell::of(url), ..self.take_note(Duration::ZERO) };
        self.write(note).await
    }

    /// Writes down at once what a crash must not forget. The claim stays.
    pub async fn note(&mut self) -> Result<(), Stop> {
        let note = self.take_note(Duration::ZERO);
        self.write(note).await
    }

    async fn write(&mut self, note: Note) -> Result<(), Stop> {
        match self.engine.statements.on(self.track).note(note).await {
            Ok(true) => {
                self.sequence += 1;
                Ok(())
            }
            Ok(false) => Err(Stop::Lost),
            Err(error) => Err(Stop::Fault(anyhow::Error::new(error).context("note progress"))),
        }
    }

    /// The state to write, with what happened since the last write.
    pub(crate) fn take_note(&mut self, wait: Duration) -> Note {
        Note {
            hold: self.hold(),
            nudge: self.claimed.nudge,
            sequence: self.sequence,
            status: self.status,
            step: self.step,
            progress: self.progress.clone(),
            trail: std::mem::take(&mut self.trail),
            anchor: self.claimed.anchor,
            sent: self.sent,
            next_try_in: self.next_try_in(),
            settle_within: self.settle_within.take(),
            next_partner: false,
            tell: Tell::Not,
            wait,
            ended: Ended::Well,
        }
    }

    /// Whether anything happened since the last write but that it was claimed.
    pub(crate) fn has_news(&self) -> bool {
        let is_news = |entry: &Entry| !matches!(entry.what, Happening::Claimed { taken_over: false, .. });
        self.step != self.claimed.step || self.trail.iter().any(is_news)
    }

    /// What happened since the last write, with the end.
    pub(crate) fn take_trail(&mut self, outcome: &Outcome) -> Vec<Entry> {
        self.happened(Happening::Finished { status: outcome.status(), reason: outcome.reason().cloned() });
        std::mem::take(&mut self.trail)
    }
}

const fn status_at(step: Step) -> Status {
    match step {
        Step::Settle => Status::Pending,
        Step::Record | Step::Submit => Status::Processing,
    }
}

/// For jitter alone.
pub(crate) fn random() -> u32 {
    fastrand::u32(..)
}
