//! `holdfast events sinks`, `skip` and `replay`: what others are told.

use crate::exit;
use crate::filter::{By, kind};
use crate::output::{Format, Table};
use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use holdfast_app::App;
use holdfast_app::events::replay::{LeftOut, Progress, Replay, Wanted};
use holdfast_domain::{CommandNo, Kind};
use holdfast_store::event_sinks::{self, Standing};
use serde_json::{Value, json};
use std::time::Duration;

/// Events that are counted for a sink: with more, nobody needs to know how many.
const COUNTED: i64 = 100_000;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists the sinks: how far each is, what it has yet to get, and why it fails.
    Sinks,
    /// Leaves out the event that a sink refuses. That sink will never have it.
    Skip {
        sink: String,
        /// The event that it refuses, as `holdfast events sinks` shows it: its command and its sequence.
        event: String,
        #[command(flatten)]
        by: By,
    },
    /// Sends the events of a stretch of time to one sink once more, with the same ids.
    Replay(Stretch),
}

#[derive(Args)]
pub(crate) struct Stretch {
    /// As it is configured.
    #[arg(long)]
    sink: String,
    /// Inclusive, such as 2026-11-21T10:15:00Z.
    #[arg(long)]
    from: DateTime<Utc>,
    /// Exclusive.
    #[arg(long)]
    to: DateTime<Utc>,
    /// Only commands of this kind.
    #[arg(long, value_parser = kind)]
    kind: Option<Kind>,
    /// Commands are looked at that were accepted so long before or after, too: parked ones may have changed long after they
    /// were accepted, and what came while Postgres was down was written later.
    #[arg(long, default_value_t = 7)]
    around_days: u32,
    /// Goes on behind this command, as an earlier run has said.
    #[arg(long)]
    after: Option<i64>,
    /// Says how many there are, and sends nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(app: &App, format: Format, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Sinks => list(app, format).await,
        Command::Skip { sink, event, by } => skip(app, format, &sink, &event, &by).await,
        Command::Replay(stretch) => replay(app, format, stretch).await,
    }
}

async fn list(app: &App, format: Format) -> anyhow::Result<()> {
    let standing = event_sinks::standing(&app.pool, COUNTED).await.context("ask how far the sinks are")?;
    let mut table = Table::new(&["sink", "type", "lag", "oldest", "published", "publisher", "what is wrong"]);
    for (name, sink) in &app.config.events.sinks {
        let kind = sink.settings().map_or("", |settings| settings.name());
        match standing.iter().find(|standing| standing.name == *name) {
            Some(standing) => table.push(row(standing, kind), value(standing, Some(kind))),
            None => {
                let words = [name, kind, "", "", "never", "none", "it has no place yet: no worker has seen it"];
                table.push(words.map(str::to_owned), json!({ "name": name, "type": kind, "position": null }));
            }
        }
    }
    let gone = |standing: &&Standing| !app.config.events.sinks.contains_key(&standing.name);
    for standing in standing.iter().filter(gone) {
        table.push(row(standing, "gone"), value(standing, None));
    }
    format.list(table);
    Ok(())
}

fn row(standing: &Standing, kind: &str) -> [String; 7] {
    [
        standing.name.clone(),
        kind.to_owned(),
        standing.lag.to_string(),
        format!("{} s", standing.oldest.as_secs()),
        standing.published_at.map_or_else(|| "never".to_owned(), |at| at.to_rfc3339()),
        if standing.is_held { "yes" } else { "none" }.to_owned(),
        wrong(standing).unwrap_or_default(),
    ]
}

/// What an operator must know, in a sentence.
pub(crate) fn wrong(standing: &Standing) -> Option<String> {
    if standing.is_ahead {
        return Some(
            "its place is one of another server's transactions: see docs/events.md, After a restore".to_owned(),
        );
    }
    let error = standing.error.clone()?;
    Some(match &standing.refused {
        Some(id) => format!("held up by {id}: {error}"),
        None => format!("failed {} times: {error}", standing.failures),
    })
}

fn value(standing: &Standing, kind: Option<&str>) -> Value {
    json!({
        "name": standing.name,
        "type": kind,
        "position": standing.position.to_string(),
        "isAhead": standing.is_ahead,
        "hasPublisher": standing.is_held,
        "lag": standing.lag,
        "oldestS": standing.oldest.as_secs(),
        "startedAt": standing.started_at,
        "publishedAt": standing.published_at,
        "failures": standing.failures,
        "error": standing.error,
        "failedAt": standing.failed_at,
        "refused": standing.refused,
        "skipped": standing.skipped,
    })
}

async fn skip(app: &App, format: Format, sink: &str, event: &str, by: &By) -> anyhow::Result<()> {
    let skipped = event_sinks::skip(&app.pool, sink, event, by.operator()).await.context("note what is left out")?;
    ensure!(
        skipped,
        exit::not_found(format!("{sink} does not refuse {event}: `holdfast events sinks` shows what it does"))
    );
    format.each(format_args!("{event} will be left out of {sink}"), &json!({ "sink": sink, "skipped": event }));
    Ok(())
}

async fn replay(app: &App, format: Format, stretch: Stretch) -> anyhow::Result<()> {
    let Stretch { sink, from, to, kind, around_days, after, dry_run } = stretch;
    ensure!(from < to, exit::usage("--from must be before --to"));
    ensure!(app.config.events.sinks.contains_key(&sink), exit::not_found(format!("there is no events.sinks.{sink}")));
    let around = Duration::from_secs(u64::from(around_days) * 86_400);
    let after = after.map(CommandNo);
    let wanted = Wanted { sink, from, to, kind, around, after, dry_run };
    let mut replay = Replay::begin(app.clone(), wanted).await?;
    let (mut all, mut missing) = (0, 0);
    while let Some(Progress { upto, events, left_out }) = replay.step().await? {
        all += events;
        missing += left_out.len();
        for LeftOut { id, why } in left_out {
            format.each(format_args!("{id} is left out: {why}"), &json!({ "leftOut": id, "why": why }));
        }
        if events > 0 {
            let text = format_args!("{all} events, up to command {upto} (--after {upto} goes on there)", upto = upto.0)
                .to_string();
            format.each(text, &json!({ "upto": upto.0, "events": all, "done": false }));
        }
    }
    let verb = if dry_run { "would be sent" } else { "sent" };
    format.each(
        format_args!("{all} events {verb}, {missing} left out"),
        &json!({ "events": all, "leftOut": missing, "done": !dry_run }),
    );
    ensure!(missing == 0, "not all of it is there: {missing} events were left out");
    Ok(())
}
