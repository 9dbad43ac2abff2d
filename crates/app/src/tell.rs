//! Telling a client where its command stands: a lane of its own, so that a slow client holds up nobody.
//!
//! Level-triggered: the row says that something is owed, what is told is the state of now.

use crate::endpoint::{self, Secrets};
use crate::engine::{Engine, Held};
use crate::poison::Pass;
use crate::query::{self, Standing};
use crate::run::{MARGIN, Run, random};
use crate::throttle::Attempt;
use crate::trace::spans;
use crate::turnstile::Turn;
use crate::{failpoint, vault};
use anyhow::Context as _;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use holdfast_domain::chain::Hash;
use holdfast_domain::cloud_event::{CloudEvent, callback_id};
use holdfast_domain::resource::Resource;
use holdfast_domain::trail::{Answer, Entry, Happening};
use holdfast_domain::{ClientNo, Status, WorkerId, schedule};
use holdfast_partners::Exchange;
use holdfast_partners::callback::{Callback, Delivery};
use holdfast_queue::Slot;
use holdfast_store::clients;
use holdfast_store::wakeups::{self, Claimed, Finish, Finished, Hold, Told};
use holdfast_store::{commands, events};
use opentelemetry::trace::SpanKind;
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::Url;

/// A later attempt that finds no slot comes back after this.
const NO_SLOT: Duration = Duration::from_secs(2);

/// While a secret cannot be opened, because its key is missing, what is owed waits for this long.
const UNSIGNED: Duration = Duration::from_secs(60);

/// What is owed, as it came to us.
pub enum Debt {
    /// By the statement that ended the run: everything is at hand.
    Finished(Box<News>),
    /// By a claim: the state must be read.
    Claimed(Box<Held>),
}

/// What is to be told, under which claim.
pub struct News {
    hold: Hold,
    /// Seen at the claim: somebody who knocked since wants an attempt of its own.
    nudge: i32,
    /// While it is told.
    _pass: Arc<Pass>,
    /// Attempts made of this state, on the present schedule.
    tries: i16,
    /// Those in the trail: a resend begins the schedule anew.
    attempts: i16,
    /// What the row of this attempt follows there.
    previous: Hash,
    client: ClientNo,
    worker: WorkerId,
    resource: Resource,
    sequence: i32,
    /// The client's standing endpoint, where the command names none, as the claim has read it, and until when it was that.
    default_url: Option<String>,
    url_read: Instant,
    traceparent: Option<String>,
    /// When the claim was asked for.
    started: Instant,
    /// Postgres' time of it, which had passed then.
    claimed_at: DateTime<Utc>,
    claimed_from: Instant,
}

impl Debt {
    /// Which client is told, and whether that was tried before.
    fn whose(&self) -> (ClientNo, Attempt) {
        let (client, tries) = match self {
            Self::Finished(news) => (news.client, news.tries),
            Self::Claimed(held) => (held.claimed.client, held.claimed.tries),
        };
        (client, if tries > 0 { Attempt::Later } else { Attempt::First })
    }

    pub fn of_finished(run: &Run<'_>, finish: &Finish, finished: Finished, started: Instant, pass: Arc<Pass>) -> Self {
        let claimed = &run.claimed;
        // As the statement wrote it, or a later life: then nobody's claim is disturbed by one look too many.
        let worker = run.engine.life.worker();
        let standing = Standing {
            status: finish.outcome.status(),
            step: None,
            reason: finish.outcome.reason().cloned(),
            progress: finish.progress.clone(),
            finished_at: Some(finished.finished_at),
        };
        let content = (*run.content).clone();
        Self::Finished(Box::new(News {
            hold: finished.hold,
            nudge: 0,
            _pass: pass,
            tries: 0,
            attempts: 0,
            previous: finished.hash,
            client: claimed.client,
            worker,
            resource: query::represent(claimed.id, claimed.kind, content, claimed.created_at, standing),
            sequence: finished.sequence,
            default_url: claimed.client_callback_url.clone(),
            url_read: run.claimed_from(),
            traceparent: claimed.traceparent.clone(),
            started,
            claimed_at: finished.finished_at,
            claimed_from: Instant::now(),
        }))
    }
}

/// Makes one attempt, and writes what came of it.
pub async fn settle(engine: &Engine, debt: Debt, slot: Slot) -> anyhow::Result<()> {
    let (client, attempt) = debt.whose();
    let share = match engine.throttle.share(client, attempt).await {
        Ok(share) => share,
        Err(wait) => return postpone(engine, debt, schedule::jittered(wait, random())).await,
    };
    let news = match debt {
        Debt::Finished(news) => *news,
        Debt::Claimed(held) => match read(engine, *held).await? {
            Some(news) => news,
            None => return Ok(()),
        },
    };
    let settled = try_to_tell(engine, &news, share).await;
    drop(slot);
    settled
}

/// The client has its share of the slots already: others are told meanwhile. No attempt was made.
async fn postpone(engine: &Engine, debt: Debt, wait: Duration) -> anyhow::Result<()> {
    match debt {
        Debt::Finished(news) => again(engine, Told { wait, ..news.untold() }).await,
        Debt::Claimed(held) => put_back_for(engine, &held.claimed, wait).await,
    }
}

/// The state of now. `None`: the client need not be told of it, the debt is void.
async fn read(engine: &Engine, held: Held) -> anyhow::Result<Option<News>> {
    let Held { claimed, started, pass, .. } = held;
    let claimed_from = Instant::now();
    let hold = Hold { no: claimed.no, token: claimed.token };
    let current = commands::current(&engine.app.pool, claimed.client, claimed.kind, claimed.id).await;
    let current = current.context("read the state")?.context("the command of a wakeup exists")?;
    let sequence = match current.status {
        Status::Completed | Status::Failed | Status::Cancelled | Status::NeedsAttention => current.sequence,
        // The run goes on and counts; what is owed is the state of this sequence.
        Status::Pending => claimed.sequence,
        Status::Accepted | Status::Processing => {
            give_up(engine, Told { sequence: claimed.sequence, ..nothing_done(&claimed, Duration::ZERO) }).await?;
            return Ok(None);
        }
    };
    let standing = Standing {
        status: current.status,
        step: current.step,
        reason: current.reason,
        progress: current.progress,
        finished_at: current.finished_at,
    };
    let content = query::read(claimed.kind, &claimed.body).context("read the command")?;
    let attempts = events::attempts(&engine.app.pool, claimed.no, sequence).await.context("read the trail")?;
    Ok(Some(News {
        hold,
        nudge: claimed.nudge,
        _pass: pass,
        // Those of an earlier state are no tries of this one.
        tries: if sequence == claimed.sequence { claimed.tries } else { 0 },
        attempts: attempts.made,
        previous: attempts.last.unwrap_or(claimed.anchor),
        client: claimed.client,
        worker: claimed.worker,
        resource: query::represent(claimed.id, claimed.kind, content, claimed.created_at, standing),
        sequence,
        default_url: claimed.client_callback_url,
        url_read: claimed_from,
        traceparent: claimed.traceparent,
        started,
        claimed_at: claimed.claimed_at,
        claimed_from,
    }))
}

async fn try_to_tell(engine: &Engine, news: &News, share: Turn) -> anyhow::Result<()> {
    let secrets = match secrets(engine, news.client).await {
        // Nobody may be told what nobody can verify. No attempt was made, so the schedule stands.
        Err(error) if error.is::<vault::Error>() => return put_off(engine, news, &error).await,
        secrets => secrets?,
    };
    let Some(secrets) = secrets else { return give_up(engine, news.untold()).await };
    let url = news.url(&secrets).and_then(|url| Url::parse(url).ok());
    let Some(url) = url else { return give_up(engine, news.untold()).await };
    let entry = match engine.throttle.enter(news.client, &url).await {
        Ok(entry) => entry,
        Err(wait) => return again(engine, Told { wait: schedule::jittered(wait, random()), ..news.untold() }).await,
    };
    if news.started.elapsed() + engine.deliverer.timeout() + MARGIN > engine.lease()
        || engine.was_declared_dead(news.worker)
    {
        return again(engine, news.untold()).await;
    }
    let id = callback_id(news.resource.id, news.resource.status, news.sequence);
    let body = body(news, &id).context("write the callback")?;
    let timestamp = news.now().timestamp();
    let parent = news.traceparent.as_deref();
    let span = engine.app.tracer.part(parent, SpanKind::Client, || spans::callback(&url, news.attempt()));
    let own = span.traceparent();
    let traceparent = own.as_deref().or(parent);
    failpoint::hit("before_callback");
    let callback = Callback { url: &url, secrets: &secrets.keys, id: &id, timestamp, body, traceparent };
    let (exchange, excerpt) = engine.deliverer.deliver(callback).await;
    entry.leave(exchange.took);
    share.leave(exchange.took);
    span.called(exchange.http_status);
    failpoint::hit("after_callback");
    conclude(engine, news, id, exchange, excerpt).await
}

async fn put_off(engine: &Engine, news: &News, error: &anyhow::Error) -> anyhow::Result<()> {
    let (client, error) = (news.client.0, format!("{error:#}"));
    tracing::error!(client.no = client, command.id = %news.resource.id, error, "could not sign a callback, it waits");
    engine.app.metrics.carrying.unsigned();
    again(engine, Told { wait: schedule::jittered(UNSIGNED, random()), ..news.untold() }).await
}

/// CloudEvents, structured mode: the same resource that `GET` answers.
fn body(news: &News, id: &str) -> serde_json::Result<Vec<u8>> {
    let resource = &news.resource;
    let kind = resource.event_type();
    let mut event = CloudEvent::new(id.to_owned(), kind, resource.id.to_string(), resource);
    event.time = resource.finished_at;
    event.sequence = Some(news.sequence.to_string());
    serde_json::to_vec(&event)
}

/// What the attempt means for the debt.
async fn conclude(
    engine: &Engine,
    news: &News,
    id: String,
    exchange: Exchange<Delivery>,
    excerpt: Option<String>,
) -> anyhow::Result<()> {
    let status = news.resource.status;
    let (callback_id, attempt, answer) = (id.clone(), news.attempt() as u16, describe(&exchange));
    let attempted = Happening::CallbackAttempted { callback_id, attempt, status, answer, excerpt };
    engine.app.metrics.carrying.happened(&attempted);
    let mut trail = vec![news.entry(attempted)];
    let config = &engine.app.config.callbacks;
    let given_up = match exchange.outcome {
        Delivery::Delivered => {
            return give_up(engine, Told { nudge: None, ..news.told(trail, Duration::ZERO) }).await;
        }
        Delivery::Gone => "the endpoint answered 410",
        Delivery::Refused { .. } | Delivery::Unreachable(_) => {
            match config.schedule_ms.get(usize::try_from(news.tries).unwrap_or_default()) {
                Some(wait) => {
                    let wait = wait.get().max(wished(&exchange.outcome).min(config.retry_after_cap_ms.get()));
                    return again(engine, news.told(trail, schedule::jittered(wait, random()))).await;
                }
                None => "the schedule has ended",
            }
        }
    };
    tracing::warn!(command.id = %news.resource.id, %status, given_up, "gave up telling a client");
    let over = Happening::CallbackGivenUp { callback_id: id, why: given_up.to_owned() };
    engine.app.metrics.carrying.happened(&over);
    trail.push(news.entry(over));
    give_up(engine, news.told(trail, Duration::ZERO)).await
}

/// How long the endpoint wants to be left alone.
fn wished(delivery: &Delivery) -> Duration {
    match delivery {
        Delivery::Refused { retry_after } => retry_after.unwrap_or_default(),
        Delivery::Delivered | Delivery::Gone | Delivery::Unreachable(_) => Duration::ZERO,
    }
}

/// Gives a claim back for which there is no slot.
pub async fn put_back(engine: &Engine, claimed: &Claimed) -> anyhow::Result<()> {
    put_back_for(engine, claimed, schedule::jittered(NO_SLOT, random())).await
}

async fn put_back_for(engine: &Engine, claimed: &Claimed, wait: Duration) -> anyhow::Result<()> {
    let back = wakeups::PutBack { claim: claimed.claim(), nudge: claimed.nudge, wait, alone: false, in_doubt: false };
    wakeups::put_back(&engine.app.pool, back).await.context("put a debt back")
}

/// No attempt was made.
const fn nothing_done(claimed: &Claimed, wait: Duration) -> Told {
    let hold = Hold { no: claimed.no, token: claimed.token };
    let Claimed { sequence, anchor, .. } = *claimed;
    Told { hold, nudge: None, sequence, attempt: 0, previous: anchor, tries: 0, trail: Vec::new(), wait }
}

/// Ends the debt, unless a later state came meanwhile, or somebody wants it told again: then that is owed at once.
pub(crate) async fn give_up(engine: &Engine, told: Told) -> anyhow::Result<()> {
    let ended = engine.after_telling().told(told.clone()).await.context("write that the client was told")?;
    failpoint::hit("told");
    match ended {
        true => Ok(()),
        false => again(engine, Told { wait: Duration::ZERO, ..told }).await,
    }
}

/// Not written means that the claim is in other hands.
async fn again(engine: &Engine, told: Told) -> anyhow::Result<()> {
    let _written: bool = engine.after_telling().tell_again(told).await.context("write the next attempt")?;
    Ok(())
}

/// Opened, and remembered for some seconds. `None`: there is no such client.
async fn secrets(engine: &Engine, client: ClientNo) -> anyhow::Result<Option<Arc<Secrets>>> {
    if let Some(secrets) = engine.secrets.get(&client).await {
        return Ok(Some(secrets));
    }
    let read = Instant::now();
    let endpoint = clients::callback_endpoint(&engine.app.pool, client).await.context("read the callback endpoint")?;
    let Some(endpoint) = endpoint else { return Ok(None) };
    let keys = endpoint::open(&engine.app.vault, &endpoint).await?;
    let secrets = Arc::new(Secrets { keys, url: endpoint.callback_url, read });
    engine.secrets.insert(client, Arc::clone(&secrets)).await;
    Ok(Some(secrets))
}

impl News {
    fn now(&self) -> DateTime<Utc> {
        let now = self.claimed_at + TimeDelta::from_std(self.claimed_from.elapsed()).unwrap_or_default();
        now.trunc_subsecs(6)
    }

    /// What the command says, else what was read last: a run may be an hour old, and its client have another endpoint now.
    fn url<'a>(&'a self, secrets: &'a Secrets) -> Option<&'a str> {
        let standing = if secrets.read > self.url_read { &secrets.url } else { &self.default_url };
        self.resource.content.callback_url().or(standing.as_deref())
    }

    fn entry(&self, what: Happening) -> Entry {
        Entry::new(self.now(), what)
    }

    fn told(&self, trail: Vec<Entry>, wait: Duration) -> Told {
        let Self { hold, nudge, sequence, tries, previous, .. } = *self;
        Told {
            hold,
            nudge: Some(nudge),
            sequence,
            attempt: self.attempt(),
            previous,
            tries: tries.saturating_add(1),
            trail,
            wait,
        }
    }

    /// No attempt was made.
    fn untold(&self) -> Told {
        Told { attempt: 0, tries: 0, ..self.told(Vec::new(), Duration::ZERO) }
    }

    const fn attempt(&self) -> i16 {
        self.attempts.saturating_add(1)
    }
}

pub(crate) fn describe(exchange: &Exchange<Delivery>) -> Answer {
    let (outcome, detail) = match &exchange.outcome {
        Delivery::Delivered => ("delivered", None),
        Delivery::Gone => ("gone", None),
        Delivery::Refused { .. } => ("refused", None),
        Delivery::Unreachable(why) => ("unreachable", Some(why.clone())),
    };
    let took_ms = exchange.took.as_millis() as u64;
    Answer { outcome: outcome.to_owned(), http_status: exchange.http_status, detail, took_ms }
}
