//! `holdfast restored`.

use crate::output::{Format, say};
use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use clap::Args;
use holdfast_app::App;
use holdfast_app::cancel::{self, Cancelled};
use holdfast_domain::CommandId;
use holdfast_store::{clients, commands, wakeups, workers};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// A worker that was heard of so lately still runs.
const RUNS: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct Restored {
    /// The time that the database went back to, such as 2026-11-21T10:15:00Z. If in doubt, an earlier one.
    #[arg(long)]
    to: DateTime<Utc>,
    /// A command that its client has cancelled since, with success. May be given several times.
    #[arg(long)]
    cancelled: Vec<Uuid>,
}

pub(crate) async fn run(app: &App, format: Format, restored: Restored) -> anyhow::Result<()> {
    let now = app.pool.now().await.context("ask for the time")?;
    ensure!(restored.to <= now, "that time has not come: the database says {}", now.to_rfc3339());
    let runs = workers::is_beating(&app.pool, "", RUNS).await.context("look for workers")?;
    ensure!(!runs, "a worker runs on this database: stop all of them first, and wait for {} s", RUNS.as_secs());
    for id in restored.cancelled {
        cancel_again(app, format, CommandId(id)).await.with_context(|| format!("cancel {id}"))?;
    }
    let doubted = wakeups::doubt(&app.pool, restored.to).await.context("mark what is owed")?;
    let next = clients::leave_gap(&app.pool).await.context("leave a gap in the numbers of clients")?;
    if format.is_json() {
        format.one(&json!({ "doubted": doubted, "nextClient": next }));
        return Ok(());
    }
    say(format_args!("new clients are numbered from {next} on; give those that are missing their own (--number)"));
    say(format_args!("{doubted} commands will be looked up at their partner before anything is sent"));
    Ok(())
}

/// Nothing was sent before its client was told so, and nothing can have been sent after.
async fn cancel_again(app: &App, format: Format, id: CommandId) -> anyhow::Result<()> {
    let known = commands::existing(&app.pool, &[id]).await?;
    // Accepted after the backup, it comes back, if at all, when its client submits it again.
    let Some(known) = known.first() else {
        format.each(format_args!("{id}: it is not there"), &json!({ "id": id, "done": "nothing" }));
        return Ok(());
    };
    match cancel::cancel(app, known.client, known.kind, id).await? {
        Cancelled::Done(_) => format.each(format_args!("{id}: cancelled"), &json!({ "id": id, "done": "cancelled" })),
        Cancelled::Refused(why) => anyhow::bail!(why),
        Cancelled::Archived(tombstone) => anyhow::bail!("{tombstone}"),
        Cancelled::Nothing => anyhow::bail!("its id was not computed with this server key"),
    }
    Ok(())
}
