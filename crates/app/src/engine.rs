//! The worker's centre: carries claimed rows as far as they go, and writes what came of it.

use crate::batch::Shared;
use crate::heartbeat::Life;
use crate::intake::Intake;
use crate::materialise::Materialiser;
use crate::metrics;
use crate::overflow_limit::OverflowLimit;
use crate::partnership::{self, Partnership, Partnerships};
use crate::poison::{self, Company, Pass};
use crate::records::Records;
use crate::run::{Run, Stop};
use crate::statements::{Ending, Statements, persist_alone};
use crate::tell::{self, Debt};
use crate::throttle::Throttle;
use crate::trace::{Span, spans};
use crate::track::{PerTrack, Track};
use crate::{App, endpoint, failpoint, handlers, pause, query};
use anyhow::Context as _;
use holdfast_domain::content::Content;
use holdfast_domain::status::Outcome;
use holdfast_domain::trail::Happening;
use holdfast_domain::transaction::Transaction;
use holdfast_domain::{ClientNo, Command, CommandNo, Kind, Lane, WorkerId};
use holdfast_partners::callback::Deliverer;
use holdfast_partners::http_client::HttpClient;
use holdfast_queue::{Slot, Slots, Verdict};
use holdfast_store::Error;
use holdfast_store::wakeups::{self, Claim, Claimed, Ended, Finish, First, Note, PutBack, Tell, Wish};
use moka::future::Cache;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use url::Url;

/// How long a message that was received is kept through an outage: with the last attempt to claim it, below its visibility
/// timeout.
const OUTLAST: Duration = Duration::from_secs(12);
const OUTLAST_PAUSE: Duration = Duration::from_millis(50);

/// How long a command rests whose news could not be written.
const UNWRITTEN: Duration = Duration::from_secs(10);

/// How long the secrets of a client's callbacks are remembered.
const SECRETS_FRESH: Duration = Duration::from_secs(5);

pub struct Engine {
    pub app: App,
    pub life: Arc<Life>,
    pub statements: PerTrack<Statements>,
    pub records: PerTrack<Records>,
    pub materialiser: Materialiser,
    pub deliverer: Deliverer,
    pub run_slots: Slots,
    pub overflow: Arc<OverflowLimit>,
    pub tell_slots: Slots,
    pub tell_again_slots: Slots,
    pub throttle: Throttle,
    pub(crate) company: Company,
    pub(crate) secrets: Cache<ClientNo, Arc<endpoint::Secrets>>,
    partnerships: Partnerships,
    /// Who carries transactions out.
    pub(crate) processor: Arc<str>,
    /// What runs outside of a message: callbacks, and rows that the relay claimed.
    tasks: TaskTracker,
    stop: CancellationToken,
    pub intake: Intake,
}

/// A claim and when it was asked for: its lease began no earlier.
pub struct Held {
    pub claimed: Claimed,
    pub started: Instant,
    pub pass: Arc<Pass>,
    /// What is done under it, in its trace.
    pub span: Span,
    /// How its message came.
    pub track: Track,
    /// What the command asks for, if that has been read already.
    pub(crate) content: Option<Arc<Content>>,
}

impl Held {
    pub fn new(claimed: Claimed, started: Instant, pass: Arc<Pass>, track: Track) -> Self {
        Self { claimed, started, pass, span: Span::default(), track, content: None }
    }
}

/// What is still owed if a claim comes to nothing.
#[derive(Clone, Copy, Debug)]
struct Owed {
    claim: Claim,
    /// Seen at the claim.
    nudge: i32,
    failures: i16,
    /// The claim had the process to itself.
    alone: bool,
    /// Something was sent under it.
    in_doubt: bool,
}

impl Owed {
    fn by(claimed: &Claimed, pass: &Pass) -> Self {
        let Claimed { nudge, failures, .. } = *claimed;
        Self { claim: claimed.claim(), nudge, failures, alone: pass.is_alone(), in_doubt: false }
    }
}

impl Engine {
    pub fn new(app: App, stop: CancellationToken) -> anyhow::Result<Arc<Self>> {
        let config = &app.config;
        let client = HttpClient::build().context("build the client for partners")?;
        let partnerships = partnership::build(config, &client)?;
        config.validate_partners()?;
        let (life, intake) = (Arc::new(Life::new().context("draw a worker id")?), Intake::default());
        let run_slots = Slots::new(config.worker.run_slots);
        let engine = Arc::new(Self {
            statements: PerTrack::new(|| Statements::start(&app, &life, config.worker.lease_ms.get())),
            records: PerTrack::new(|| Records::start(&app)),
            materialiser: Materialiser::start(&app),
            deliverer: endpoint::deliverer(&app).context("build the client for callbacks")?,
            overflow: Arc::new(OverflowLimit::new(
                run_slots.at_most(config.worker.overflow_slots),
                config.worker.overflow_slots,
            )),
            run_slots,
            tell_slots: Slots::new(config.worker.tell_slots),
            tell_again_slots: Slots::new(config.worker.tell_again_slots),
            throttle: Throttle::new(&config.callbacks, &config.worker),
            secrets: Cache::builder().max_capacity(10_000).time_to_live(SECRETS_FRESH).build(),
            partnerships,
            processor: config.transactions.partner.as_str().into(),
            tasks: TaskTracker::new(),
            stop,
            company: Company::new(intake.clone()),
            intake,
            life,
            app,
        });
        metrics::watch(&engine);
        Ok(engine)
    }

    /// What the statement that claims a command can do for it already, and what the message says of it.
    pub(crate) fn first(&self, command: &Arc<Command>) -> Option<(First, Arc<Content>)> {
        if command.kind != Kind::Transaction {
            return None;
        }
        let content = query::read(command.kind, &command.body).ok()?;
        let Content::Transaction(Transaction { amount, .. }) = &content else { return None };
        let first = First { command: Arc::clone(command), amount: *amount, partner: Arc::clone(&self.processor) };
        Some((first, Arc::new(content)))
    }

    pub fn lease(&self) -> Duration {
        self.app.config.worker.lease_ms.get()
    }

    pub fn partnerships(&self) -> impl Iterator<Item = &Partnership> {
        self.partnerships.values()
    }

    pub fn partnership(&self, name: &str) -> anyhow::Result<&Partnership> {
        self.partnerships.get(name).with_context(|| format!("partner {name} is not configured"))
    }

    /// For what is written after a client was told: nobody waits for that, so all of it goes together.
    pub(crate) const fn after_telling(&self) -> &Statements {
        self.statements.on(Track::Share)
    }

    pub fn was_declared_dead(&self, worker: WorkerId) -> bool {
        self.life.worker() != worker
    }

    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Claims by name. `None`: refused, there is nothing to do here. Waits for Postgres for a while: to leave every message
    /// to the queue that is received in an outage would take all of them nearer to the dead letters.
    pub async fn claim(
        &self,
        no: CommandNo,
        lane: Lane,
        track: Track,
        first: Option<First>,
        slot: &mut Slot,
    ) -> Result<Option<Held>, Shared> {
        let until = Instant::now() + OUTLAST;
        let (mut worker, mut token) = (self.life.worker(), self.life.token());
        loop {
            let pass = self.company.together(slot).await;
            // The answer may have been lost alone: the same token claims the same row again.
            let started = Instant::now();
            let wish = Wish { claim: Claim { no, lane, token }, first: first.clone() };
            match self.statements.on(track).claim(wish).await {
                Ok(claimed) => {
                    failpoint::hit("claimed");
                    let held = claimed.map(|claimed| Held::new(claimed, started, pass, track));
                    held.iter().for_each(|held| self.overflow.saw(held));
                    return Ok(held);
                }
                Err(error) if matches!(*error, Error::Unavailable(_)) => {
                    drop(pass);
                    if !self.outlast(until).await {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
            // The heart may have a connection where nobody else gets one.
            pause(OUTLAST_PAUSE).await;
            if self.was_declared_dead(worker) {
                (worker, token) = (self.life.worker(), self.life.token());
            }
        }
    }

    /// Waits until the heart has found Postgres again. Answers whether it has.
    async fn outlast(&self, until: Instant) -> bool {
        self.intake.found_outage();
        let mut opening = self.intake.opening();
        let opened = self.stop.run_until_cancelled(opening.wait_for(|open| *open));
        let opened = tokio::time::timeout_at(until.into(), opened).await;
        opened.is_ok_and(|opened| opened.is_some_and(|opened| opened.is_ok()))
    }

    /// Carries a claim in a task of its own.
    pub fn spawn_carry(self: &Arc<Self>, held: Held, slot: Slot) {
        let engine = Arc::clone(self);
        self.tasks.spawn(async move {
            let _the_row_says_it: Verdict = engine.carry(held, slot).await;
        });
    }

    /// Carries a claim as far as it goes now. The verdict is for the message that led here, if one did.
    pub async fn carry(self: &Arc<Self>, held: Held, slot: Slot) -> Verdict {
        let (id, log) = (held.claimed.id, held.span.log());
        let carrying = async {
            match self.carry_admitted(held, slot).await {
                Ok(()) => Verdict::Delete,
                Err(error) => {
                    tracing::error!(command.id = %id, error = format!("{error:#}"), "could not carry a command further");
                    Verdict::Leave
                }
            }
        };
        carrying.instrument(log).await
    }

    async fn carry_admitted(self: &Arc<Self>, held: Held, slot: Slot) -> anyhow::Result<()> {
        let Some((held, slot)) = poison::admit(self, held, slot).await? else { return Ok(()) };
        match held.claimed.lane {
            Lane::Run => self.run(held, slot).await,
            Lane::Tell => self.tell(held, slot).await,
        }
    }

    async fn run(self: &Arc<Self>, held: Held, slot: Slot) -> anyhow::Result<()> {
        self.app.metrics.carrying.began(&held.claimed);
        let mut run = match Run::new(self, &held, slot) {
            Ok(run) => run,
            Err(error) => {
                let Held { claimed, track, .. } = held;
                self.leave_for_later(Run::unread(&claimed, poison::fault_wait(claimed.failures)), track).await;
                return Err(anyhow::Error::new(error).context("read the command"));
            }
        };
        let Held { pass, mut span, track, .. } = held;
        let handled = handlers::handle(&mut run).await;
        span.came_to(handled.as_ref().map_or_else(Stop::name, |outcome| outcome.status().name()));
        let owed = Owed { in_doubt: run.is_sending(), ..Owed::by(&run.claimed, &pass) };
        let written = match handled {
            Ok(outcome) | Err(Stop::End(outcome)) => self.finish(run, outcome, pass, span.log()).await,
            Err(Stop::Wait { after, why }) => self.wait(run, after, why).await,
            Err(Stop::Full { after, why }) if run.has_news() => self.wait(run, after, why).await,
            // It may come back often: nothing of that is worth a row.
            Err(Stop::Full { after, .. }) => {
                self.release(Note { trail: Vec::new(), ..run.take_note(after) }, track).await
            }
            Err(Stop::Lost) => {
                self.app.metrics.carrying.lost();
                Ok(())
            }
            Err(Stop::Fault(error)) => return self.fail(run, error, &pass).await,
        };
        if written.is_err() {
            span.fail("not_written");
        }
        // What could not be written is found out again, and nobody is to blame.
        if written.as_ref().is_err_and(is_outage) {
            self.put_back_after_outage(owed).await;
        }
        written
    }

    /// The handler could not go on.
    async fn fail(&self, mut run: Run<'_>, error: anyhow::Error, pass: &Pass) -> anyhow::Result<()> {
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

    async fn wait(&self, mut run: Run<'_>, after: Duration, why: String) -> anyhow::Result<()> {
        run.happened(Happening::Waiting { for_ms: after.as_millis() as u64, why });
        self.release(run.take_note(after), run.track).await
    }

    /// Not written means that the claim is in other hands.
    async fn release(&self, note: Note, track: Track) -> anyhow::Result<()> {
        let _written: bool = self.statements.on(track).wait(note).await.context("write the wait")?;
        Ok(())
    }

    /// It is nobody's fault: what is owed is still owed.
    async fn put_back_after_outage(&self, owed: Owed) {
        let Owed { claim, nudge, failures, alone, in_doubt } = owed;
        // Nothing else would slow down who finds it out again and again.
        let wait = if in_doubt { UNWRITTEN } else { poison::fault_wait(failures) };
        let back = PutBack { claim, nudge, wait, alone, in_doubt };
        if let Err(error) = persist_alone(|| wakeups::put_back(&self.app.pool, back)).await {
            tracing::debug!(%error, "could not put a claim back after an outage, it will lapse");
        }
    }

    /// Releases what a fault has left in hand, if that can be done cleanly.
    async fn leave_for_later(&self, release: Option<Note>, track: Track) {
        let Some(note) = release else { return };
        if let Err(error) = self.statements.on(track).wait(note).await {
            tracing::debug!(%error, "could not release a claim after a fault, it will lapse");
        }
    }

    /// Ends the run, and tells the client if there is room; else the relay finds what is owed.
    async fn finish(
        self: &Arc<Self>,
        mut run: Run<'_>,
        outcome: Outcome,
        pass: Arc<Pass>,
        log: tracing::Span,
    ) -> anyhow::Result<()> {
        let url = run.content.callback_url().or(run.claimed.client_callback_url.as_deref());
        let tell = Tell::of(url);
        let room = url.and_then(|url| self.room_to_tell(run.claimed.client, url));
        let finish = Finish {
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
        };
        let started = Instant::now();
        let step = run.begin("finish", None);
        let ending = self.statements.on(run.track).finish(finish.clone()).await;
        run.end(step, ending.as_ref().err().map(|_| spans::FAULT));
        let ending = ending.context("write the end")?;
        failpoint::hit("finished");
        if let Ending::Lost = ending {
            // Unless the claim is lost, somebody knocked in the last moment: look at that before it ends.
            let mut trail = finish.trail;
            let _did_not_finish = trail.pop();
            return self.release(Note { trail, ..run.take_note(Duration::ZERO) }, run.track).await;
        }
        self.app.metrics.carrying.ended(run.claimed.kind, &finish.outcome);
        let Some(slot) = room else { return Ok(()) };
        // The lane's row is fresh: it was inserted with our token.
        let claim = Claim { lane: Lane::Tell, ..run.claimed.claim() };
        let owed = Owed { claim, nudge: 0, failures: 0, alone: pass.is_alone(), in_doubt: false };
        let debt = match ending {
            Ending::Written(finished) if finished.telling => Debt::of_finished(&run, finish, finished, started, pass),
            Ending::Written(_) | Ending::Lost => return Ok(()),
            Ending::WrittenBefore => {
                let claimed = Claimed { lane: Lane::Tell, nudge: 0, tries: 0, ..run.claimed };
                Debt::Claimed(Box::new(Held::new(claimed, started, pass, run.track)))
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

    async fn tell(self: &Arc<Self>, mut held: Held, slot: Slot) -> anyhow::Result<()> {
        let _until_it_is_told: Span = std::mem::take(&mut held.span);
        self.settle(Owed::by(&held.claimed, &held.pass), Debt::Claimed(Box::new(held)), slot).await
    }

    async fn settle(&self, owed: Owed, debt: Debt, slot: Slot) -> anyhow::Result<()> {
        let settled = tell::settle(self, debt, slot).await;
        if settled.as_ref().is_err_and(is_outage) {
            self.put_back_after_outage(owed).await;
        }
        settled
    }

    /// Waits for everything that is still being carried. Nothing new may be started.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Whether Postgres was not there, or kept the row for somebody else.
fn is_outage(error: &anyhow::Error) -> bool {
    let passing = |cause: &(dyn std::error::Error + 'static)| {
        let direct = cause.downcast_ref::<holdfast_store::Error>();
        let shared = cause.downcast_ref::<Shared>().map(|shared| &**shared);
        direct.or(shared).is_some_and(holdfast_store::Error::is_passing)
    };
    error.chain().any(passing)
}
