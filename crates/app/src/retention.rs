//! Archiving: what ended long ago keeps its tombstone and loses its payload, a batch at a time and one process at a time,
//! slowly enough that nobody notices.

use crate::App;
use crate::config::Retention;
use crate::metrics::{Gauge, one};
use holdfast_domain::CommandId;
use holdfast_queue::backoff;
use holdfast_store::event_sinks::{self, Standing};
use holdfast_store::retention::{self, Batch, Done};
use holdfast_store::{Error, Pool};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Commands are looked at when their time has come if they ended within this after their acceptance, as most of them do.
/// The others are postponed, each by a row of its own.
const MOST_END_WITHIN: Duration = Duration::from_secs(3_600);

/// Who has the turn and says nothing for this long beyond its interval is replaced.
const SILENCE: Duration = Duration::from_secs(60);

/// Between looks through the small tables.
const SWEEP: Duration = Duration::from_secs(3_600);

/// Events are in the order of their transactions, which is that of their times only roughly.
const ROUGHLY: Duration = Duration::from_secs(86_400);

/// A session that is over is of use to nobody.
const SESSIONS: Duration = Duration::from_secs(86_400);

/// How old a command is when it is looked at first.
pub fn age(config: &Retention) -> Duration {
    config.archive_after_ms.get() + MOST_END_WITHIN
}

/// What came of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Commands whose payload is gone.
    pub archived: u64,
    /// Commands whose time has not come: unfinished, parked, ended too late, or still owed.
    pub postponed: u64,
    /// Nothing is left to look at for now.
    pub at_end: bool,
    /// Nothing was looked at: some sink has yet to get events as old as what would be taken away.
    pub waits_for_sinks: bool,
}

/// One batch along all commands, and one of those that were postponed. Safe beside others that do the same.
pub async fn step(app: &App, batch: u32) -> Result<Step, Error> {
    let (pool, config) = (&app.pool, &app.config.retention);
    let after = config.archive_after_ms.get();
    if let Some(sink) = behind(app, after).await? {
        tracing::warn!(sink, "payloads are kept for longer: a sink has yet to get events of that time");
        return Ok(Step { at_end: true, waits_for_sinks: true, ..Step::default() });
    }
    let stretch = retention::stretch(pool, age(config), batch.into()).await?;
    let ahead = match stretch.nos.is_empty() {
        true => None,
        false => Some(retention::archive(pool, &stretch, after).await?),
    };
    let late = retention::archive_postponed(pool, after, batch.into()).await?;
    let walked = match ahead {
        Some(Done::Batch(batch)) => batch,
        Some(Done::Overtaken) | None => Batch::default(),
    };
    let of_late = late.unwrap_or_default();
    let archived = walked.archived + of_late.archived;
    app.metrics.keeping.archived(archived);
    let (postponed, at_end) = (walked.postponed + of_late.postponed, ahead.is_none() && late.is_none());
    Ok(Step { archived, postponed, at_end, waits_for_sinks: false })
}

/// A sink so far behind that what is archived could be among what it has yet to get. All that is told of a command that ended
/// so long ago was written then or before: while the first event that a sink has yet to get is younger, it has all of that.
///
/// Looked at are those that are configured here, and those that somebody has published to lately, whoever it was. Of one
/// that has no place yet nobody knows what it will want.
async fn behind(app: &App, after: Duration) -> Result<Option<String>, Error> {
    let sinks = &app.config.events.sinks;
    let standing = event_sinks::standing(&app.pool, 1).await?;
    let has_place = |name: &String| standing.iter().any(|sink| sink.name == *name);
    if let Some(name) = sinks.keys().find(|name| !has_place(name)) {
        return Ok(Some(name.clone()));
    }
    let counts = |sink: &Standing| sink.is_in_use || sinks.contains_key(&sink.name);
    let is_behind = |sink: &Standing| sink.is_ahead || sink.lag > 0 && sink.oldest + ROUGHLY >= after;
    Ok(standing.into_iter().find(|sink| counts(sink) && is_behind(sink)).map(|sink| sink.name))
}

/// What was deleted of the small tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub letters: u64,
    pub items: u64,
    pub sessions: u64,
}

/// One batch of each.
pub async fn sweep(app: &App) -> Result<Swept, Error> {
    let (pool, config) = (&app.pool, &app.config.retention);
    let limit = config.batch.into();
    let (settled, kept) = (config.letters_after_ms.get(), config.unsettled_letters_after_ms.get());
    Ok(Swept {
        letters: retention::letters(pool, settled, kept, limit).await?,
        items: retention::items(pool, config.archive_after_ms.get(), limit).await?,
        sessions: retention::sessions(pool, SESSIONS, limit).await?,
    })
}

/// Deletes what partners said of commands that are not there, a stretch at a time and then from the beginning again. Answers
/// where the next one begins.
pub async fn forget_words(app: &App, after: Option<CommandId>) -> Result<Option<CommandId>, Error> {
    let config = &app.config.retention;
    let words = retention::words(&app.pool, after, age(config), config.batch.into()).await?;
    if words.deleted > 0 {
        tracing::info!(count = words.deleted, "words of partners about no command are no longer kept");
    }
    Ok(words.last)
}

/// What this process has seen, while it has the turn.
type Seen = Arc<RwLock<Vec<Gauge>>>;

/// Archives until `stop`, whenever it is this process's turn.
pub async fn run(app: App, stop: CancellationToken) {
    if !app.config.retention.enabled {
        return;
    }
    let seen = Seen::default();
    app.metrics.sample({
        let seen = Arc::clone(&seen);
        move || seen.read().unwrap_or_else(PoisonError::into_inner).clone()
    });
    let mut archivist = Archivist::new(app);
    while !stop.is_cancelled() {
        let Turn { gauges, wait } = archivist.turn().await;
        if let Some(gauges) = gauges {
            *seen.write().unwrap_or_else(PoisonError::into_inner) = gauges;
        }
        stop.run_until_cancelled(backoff::sleep(wait)).await;
    }
}

struct Archivist {
    app: App,
    process: i64,
    /// Smaller after a failure: one that takes too long must not be tried again as it is.
    batch: u32,
    swept: Option<Instant>,
    /// Where the look through partners' words stands.
    words: Option<CommandId>,
    told: Option<Instant>,
}

/// What came of a turn, and how long until the next.
struct Turn {
    /// `None`: what was told before still holds.
    gauges: Option<Vec<Gauge>>,
    wait: Duration,
}

impl Archivist {
    fn new(app: App) -> Self {
        let process = i64::from(getrandom::u32().unwrap_or_default()) << 32 | i64::from(std::process::id());
        Self { batch: app.config.retention.batch, app, process, swept: None, words: None, told: None }
    }

    async fn turn(&mut self) -> Turn {
        let config = &self.app.config.retention;
        let (pause, interval, whole) = (config.pause_ms.get(), config.interval_ms.get(), config.batch);
        match retention::lead(&self.app.pool, self.process, interval + SILENCE).await {
            Ok(true) => {}
            Ok(false) => return Turn { gauges: Some(Vec::new()), wait: interval },
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "could not ask whose turn it is to archive");
                return Turn { gauges: Some(Vec::new()), wait: interval };
            }
        }
        let wait = match self.work().await {
            Ok(step) => {
                self.batch = whole;
                if step.at_end { interval } else { pause }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not archive what ended long ago");
                self.batch = (self.batch / 2).max(1);
                interval
            }
        };
        // Not after each batch: what was postponed is counted.
        let is_time = wait == interval || self.told.is_none_or(|told| told.elapsed() >= interval);
        let gauges = if is_time { self.look().await } else { None };
        Turn { gauges, wait }
    }

    async fn work(&mut self) -> Result<Step, Error> {
        if self.swept.is_none_or(|swept| swept.elapsed() >= SWEEP) {
            self.swept = Some(Instant::now());
            said(sweep(&self.app).await?);
        }
        self.words = forget_words(&self.app, self.words).await?;
        let step = step(&self.app, self.batch).await?;
        if step.archived > 0 {
            tracing::info!(archived = step.archived, postponed = step.postponed, "payloads are no longer kept");
        }
        Ok(step)
    }

    async fn look(&mut self) -> Option<Vec<Gauge>> {
        self.told = Some(Instant::now());
        gauges(&self.app.pool, &self.app.config.retention).await.ok()
    }
}

fn said(swept: Swept) {
    let Swept { letters, items, sessions } = swept;
    if swept != Swept::default() {
        tracing::info!(letters, items, sessions, "what was settled long ago is no longer kept");
    }
}

async fn gauges(pool: &Pool, config: &Retention) -> Result<Vec<Gauge>, Error> {
    let standing = retention::standing(pool, age(config)).await?;
    Ok(vec![
        one(
            "holdfast_retention_lag_seconds",
            "For how long the oldest command could have been archived that has not been looked at",
            standing.lag.as_secs_f64(),
        ),
        one(
            "holdfast_retention_postponed",
            "Commands that had not ended, or were still owed, when their payload could first have been taken away",
            standing.postponed as f64,
        ),
    ])
}
