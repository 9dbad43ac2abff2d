//! Events of a stretch of time once more, to one sink, with the same ids. Where the publisher is stays as it is. What the sink
//! refuses, or this version cannot read, is left out and told: all the others get there.

use super::connect;
use super::portion::{id, told};
use crate::App;
use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use holdfast_domain::event::Event;
use holdfast_domain::{CommandNo, Kind};
use holdfast_sinks::{Failure, Sink};
use holdfast_store::outbox::{self, Found, Stretch};
use std::sync::Arc;
use std::time::Duration;

/// Commands that are looked at in one statement.
const BATCH: i64 = 200;

/// What is replayed.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub sink: String,
    /// Inclusive.
    pub from: DateTime<Utc>,
    /// Exclusive.
    pub to: DateTime<Utc>,
    pub kind: Option<Kind>,
    /// Commands are looked at that were accepted so long before, too, and so long after: numbers grow with time only roughly.
    pub around: Duration,
    /// Nothing up to this command.
    pub after: Option<CommandNo>,
    /// Nothing is sent.
    pub dry_run: bool,
}

/// A replay under way.
pub struct Replay {
    app: App,
    wanted: Wanted,
    sink: Arc<dyn Sink>,
    after: CommandNo,
    last: CommandNo,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// All commands up to this one are done with.
    pub upto: CommandNo,
    /// Events of this step.
    pub events: u64,
    /// What was left out of them.
    pub left_out: Vec<LeftOut>,
}

/// An event that did not go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    pub id: String,
    pub why: String,
}

impl Replay {
    pub async fn begin(app: App, wanted: Wanted) -> anyhow::Result<Self> {
        let id = format!("{:016x}", getrandom::u64().context("draw an id")?);
        let sink = connect(&app.config, &wanted.sink, Some(id)).await?;
        let around = TimeDelta::from_std(wanted.around).context("read how long around")?;
        let find = async |time| outbox::before(&app.pool, time).await.context("find the commands of that time");
        let first = find(wanted.from - around).await?;
        let last = find(wanted.to + around).await?;
        let after = wanted.after.map_or(first, |after| CommandNo(after.0.max(first.0)));
        Ok(Self { app, wanted, sink, after, last })
    }

    /// The next commands. `None`: that was all.
    pub async fn step(&mut self) -> anyhow::Result<Option<Progress>> {
        let pool = &self.app.pool;
        let nos = outbox::numbers(pool, self.after, self.last, BATCH).await.context("read commands")?;
        let Some(&upto) = nos.last() else { return Ok(None) };
        let Wanted { from, to, kind, dry_run, .. } = self.wanted;
        let written = outbox::written(pool, &nos, Stretch { from, to, kind }).await.context("read what was written")?;
        let sink = &self.app.config.events.sinks[&self.wanted.sink];
        let wanted: Vec<Found> = written.into_iter().filter(|row| sink.wants(row.kind)).collect();
        let mut left_out: Vec<LeftOut> = wanted.iter().filter(|row| row.written.is_none()).map(unreadable).collect();
        let events: Vec<Event> = wanted.into_iter().filter_map(|row| told(row.written?)).collect();
        let mut count = events.len();
        if !dry_run && !events.is_empty() {
            let refused = publish(&*self.sink, &events).await;
            let refused = refused.with_context(|| format!("publish (go on with --after {})", self.after.0))?;
            count -= refused.len();
            left_out.extend(refused);
        }
        self.after = upto;
        Ok(Some(Progress { upto, events: count as u64, left_out }))
    }
}

/// All of them at once. If one is refused, one by one: what is not goes there whatever comes before it.
async fn publish(sink: &dyn Sink, events: &[Event]) -> Result<Vec<LeftOut>, Failure> {
    let mut refused = Vec::new();
    let Err(failure) = sink.publish_and_await(events).await else { return Ok(refused) };
    if matches!(failure, Failure::Unavailable(_)) {
        return Err(failure);
    }
    for event in events {
        match sink.publish_and_await(std::slice::from_ref(event)).await {
            Ok(()) => {}
            Err(Failure::Refused { id, why }) => refused.push(LeftOut { id, why }),
            Err(failure @ Failure::Unavailable(_)) => return Err(failure),
        }
    }
    Ok(refused)
}

fn unreadable(row: &Found) -> LeftOut {
    LeftOut { id: id(row), why: "this version cannot read it: a newer one has written it".to_owned() }
}
