//! Events of a stretch of time once more, to one sink, with the same ids. Where the publisher is stays as it is.

use super::{connect, event};
use crate::App;
use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use holdfast_domain::event::Event;
use holdfast_domain::{CommandNo, Kind};
use holdfast_sinks::Sink;
use holdfast_store::outbox::{self, Stretch};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// All commands up to this one are done with.
    pub upto: CommandNo,
    /// Events of this step.
    pub events: u64,
}

impl Replay {
    pub async fn begin(app: App, wanted: Wanted) -> anyhow::Result<Self> {
        let sink = connect(&app.config, &wanted.sink).await?;
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
        let events: Vec<Event> = written.into_iter().filter(|row| sink.wants(row.kind)).map(event).collect();
        if !dry_run && !events.is_empty() {
            self.sink
                .publish_and_await(&events)
                .await
                .with_context(|| format!("publish (go on with --after {})", self.after.0))?;
        }
        self.after = upto;
        Ok(Some(Progress { upto, events: events.len() as u64 }))
    }
}
