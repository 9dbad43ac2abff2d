//! `holdfast retention`.

use crate::output::{Format, note, say};
use anyhow::Context as _;
use clap::Subcommand;
use holdfast_app::config::Retention;
use holdfast_app::retention::{Step, Swept, age, forget_words, step, sweep};
use holdfast_app::{App, pause};
use holdfast_store::retention::{Due, Standing, due, standing};
use serde_json::json;
use std::time::Duration;

/// Commands that are counted: with more, nobody needs to know how many.
const COUNTED: i64 = 100_000;

const DAY: u64 = 86_400;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// How far the archive is, and what could go there now.
    Status,
    /// Archives all whose time has come, as workers and APIs do by themselves.
    Run {
        /// Says what would be looked at, and does nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

pub(crate) async fn run(app: &App, format: Format, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Status => status(app, format).await,
        Command::Run { dry_run: true } => plan(app, format).await,
        Command::Run { dry_run: false } => archive(app, format).await,
    }
}

async fn status(app: &App, format: Format) -> anyhow::Result<()> {
    let config = &app.config.retention;
    let (Standing { position, next_accepted_at, lag, postponed }, due) = look(app, config).await?;
    let days = |time: Duration| time.as_secs() / DAY;
    format.one(&json!({
        "enabled": config.enabled,
        "archiveAfterDays": days(config.archive_after_ms.get()),
        "lettersAfterDays": days(config.letters_after_ms.get()),
        "unsettledLettersAfterDays": days(config.unsettled_letters_after_ms.get()),
        "position": position,
        "nextAcceptedAt": next_accepted_at,
        "lagS": lag.as_secs(),
        "due": due.ahead,
        "postponed": postponed,
        "postponedDue": due.postponed,
    }));
    Ok(())
}

async fn look(app: &App, config: &Retention) -> anyhow::Result<(Standing, Due)> {
    let standing = standing(&app.pool, age(config)).await.context("ask how far the archive is")?;
    let due = due(&app.pool, age(config), COUNTED).await.context("count what is due")?;
    Ok((standing, due))
}

async fn plan(app: &App, format: Format) -> anyhow::Result<()> {
    let (_, Due { ahead, postponed }) = look(app, &app.config.retention).await?;
    let more = if ahead == COUNTED { " or more" } else { "" };
    let text = format!("would look at {ahead}{more} commands, and at {postponed} that were postponed");
    format.each(text, &json!({ "done": "nothing", "due": ahead, "postponedDue": postponed }));
    Ok(())
}

/// Until nothing is left, at the pace of the processes that do it by themselves.
async fn archive(app: &App, format: Format) -> anyhow::Result<()> {
    let config = &app.config.retention;
    let (mut archived, mut postponed) = (0, 0);
    loop {
        let done: Step = step(app, config.batch).await.with_context(|| format!("archive, after {archived}"))?;
        archived += done.archived;
        postponed += done.postponed;
        if done.waits_for_sinks {
            note("commands are kept: a sink has yet to get events of their time (holdfast events sinks)");
        }
        if done.at_end {
            break;
        }
        pause(config.pause_ms.get()).await;
    }
    let mut last = forget_words(app, None).await?;
    while last.is_some() {
        last = forget_words(app, last).await?;
    }
    let Swept { letters, items, sessions } = sweep_all(app).await.context("delete what was settled long ago")?;
    if format.is_json() {
        format.one(&json!({
            "archived": archived, "postponed": postponed, "letters": letters, "items": items, "sessions": sessions,
        }));
        return Ok(());
    }
    say(format_args!("{archived} commands archived, {postponed} to be looked at again"));
    say(format_args!("{letters} letters, {items} closed items and {sessions} sessions deleted"));
    Ok(())
}

async fn sweep_all(app: &App) -> anyhow::Result<Swept> {
    let mut all = Swept::default();
    loop {
        let swept = sweep(app).await?;
        if swept == Swept::default() {
            return Ok(all);
        }
        all.letters += swept.letters;
        all.items += swept.items;
        all.sessions += swept.sessions;
    }
}
