//! The worker's centre: carries claimed rows as far as they go; `end` writes what came of it.

mod end;

use end::is_outage;

use crate::batch::{PACE, Pace, Shared};
use crate::heartbeat::Life;
use crate::intake::Intake;
use crate::materialise::Materialiser;
use crate::metrics;
use crate::overflow_limit::OverflowLimit;
use crate::partnership::{self, Partnership, Partnerships};
use crate::poison::{self, Company, Pass};
use crate::records::Records;
use crate::run::{Run, Stop};
use crate::statements::Statements;
use crate::throttle::Throttle;
use crate::trace::Span;
use crate::track::{PerTrack, Track};
use crate::{App, endpoint, failpoint, handlers, pause, query};
use anyhow::Context as _;
use holdfast_domain::content::Content;
use holdfast_domain::transaction::Transaction;
use holdfast_domain::{ClientNo, Command, CommandNo, Kind, Lane, WorkerId};
use holdfast_partners::callback::Deliverer;
use holdfast_partners::http_client::HttpClient;
use holdfast_queue::{Slot, Slots, Verdict};
use holdfast_store::Error;
use holdfast_store::wakeups::{Claim, Claimed, First, Note, Wish};
use moka::future::Cache;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// How long a message that was received is kept through an outage: with the last attempt to claim it, below its visibility
/// timeout.
const OUTLAST: Duration = Duration::from_secs(12);
const OUTLAST_PAUSE: Duration = Duration::from_millis(50);

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
    /// Of these, for rows that are due. There are many where messages are held back for long.
    pub due_slots: Slots,
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
    pub claimed: Box<Claimed>,
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
    pub fn new(claimed: Box<Claimed>, started: Instant, pass: Arc<Pass>, track: Track) -> Self {
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
        let (run_slots, most) = (Slots::new(config.worker.run_slots), config.worker.overflow_slots);
        let overflow = Arc::new(OverflowLimit::new(run_slots.at_most(most), most));
        let paces = PerTrack::new(|track| match track {
            Track::Share => Pace::new(PACE),
            Track::Overflow => overflow.pace().clone(),
        });
        let lease = config.worker.lease_ms.get();
        let engine = Arc::new(Self {
            statements: PerTrack::new(|track| Statements::start(&app, &life, lease, paces.on(track))),
            records: PerTrack::new(|track| Records::start(&app, paces.on(track))),
            materialiser: Materialiser::start(&app),
            deliverer: endpoint::deliverer(&app).context("build the client for callbacks")?,
            overflow,
            due_slots: run_slots.at_most((config.worker.run_slots / 4).max(1)),
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

    /// Whether whom commands of this kind go to first could do another one soon.
    pub(crate) fn has_room_at_partner(&self, kind: Kind) -> bool {
        let config = &self.app.config;
        let name = match kind {
            Kind::Transaction => Some(&*self.processor),
            Kind::Refund => config.refunds.partners.first().map(String::as_str),
            Kind::Order => config.orders.partner.as_deref(),
        };
        name.and_then(|name| self.partnerships.get(name)).is_none_or(|partnership| partnership.circuit.has_room())
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
                    if !Box::pin(self.outlast(until)).await {
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
        let Held { claimed, started, pass, mut span, track, content } = held;
        self.app.metrics.carrying.began(&claimed);
        let content = match content.map_or_else(|| query::read(claimed.kind, &claimed.body).map(Arc::new), Ok) {
            Ok(content) => content,
            Err(error) => {
                drop(slot);
                let released = Run::unread(&claimed, poison::fault_wait(claimed.failures));
                Box::pin(self.leave_for_later(released, track)).await;
                return Err(anyhow::Error::new(error).context("read the command"));
            }
        };
        let mut run = Run::new(self, claimed, content, slot, (started, track));
        let handled = handlers::handle(&mut run).await;
        span.came_to(handled.as_ref().map_or_else(Stop::name, |outcome| outcome.status().name()));
        let owed = Owed { in_doubt: run.is_sending(), ..Owed::by(&run.claimed, &pass) };
        let written = match handled {
            Ok(outcome) | Err(Stop::End(outcome)) => self.finish(run, outcome, pass, span.log()).await,
            Err(Stop::Wait { after, why }) => self.wait(run, after, why).await,
            Err(Stop::Full { after, why }) if run.has_news() => self.wait(run, after, why).await,
            // It may come back often: nothing of that is worth a row.
            Err(Stop::Full { after, .. }) => {
                Box::pin(self.release(Note { trail: Vec::new(), ..run.take_note(after) }, track)).await
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
            Box::pin(self.put_back_after_outage(owed)).await;
        }
        written
    }

    /// Waits for everything that is still being carried. Nothing new may be started.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
