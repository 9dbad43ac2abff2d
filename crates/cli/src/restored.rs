//! `holdfast restored`.

use crate::say;
use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use clap::Args;
use holdfast_app::App;
use holdfast_store::{wakeups, workers};
use std::time::Duration;

/// A worker that was heard of so lately still runs.
const RUNS: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct Restored {
    /// The time that the database went back to, such as 2026-11-21T10:15:00Z. If in doubt, an earlier one.
    #[arg(long)]
    to: DateTime<Utc>,
}

pub(crate) async fn run(app: &App, restored: Restored) -> anyhow::Result<()> {
    let now = app.pool.now().await.context("ask for the time")?;
    ensure!(restored.to <= now, "that time has not come: the database says {}", now.to_rfc3339());
    let runs = workers::is_beating(&app.pool, "", RUNS).await.context("look for workers")?;
    ensure!(!runs, "a worker runs on this database: stop all of them first, and wait for {} s", RUNS.as_secs());
    let doubted = wakeups::doubt(&app.pool, restored.to).await.context("mark what is owed")?;
    say(format_args!("{doubted} commands will be looked up at their partner before anything is sent"));
    Ok(())
}
