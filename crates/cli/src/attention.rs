//! `holdfast attention`.

use crate::{By, Find, say};
use anyhow::{Context as _, ensure};
use clap::{Subcommand, ValueEnum};
use holdfast_app::{App, attention};
use holdfast_domain::{CommandId, Status};
use holdfast_store::attention::{self as store, Filter, Parked};
use uuid::Uuid;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists parked commands and open items, oldest first.
    List {
        #[command(flatten)]
        find: Find,
        /// The code of the reason, such as `settlement_timeout`.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Has commands carried on. Their partners are asked what stands there before anything is created again.
    Retry {
        ids: Vec<Uuid>,
        #[command(flatten)]
        find: Find,
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        by: By,
        /// Says what would be done, and does nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Ends a command as a person has found out that it ended; its client is told.
    Resolve {
        id: Uuid,
        #[arg(long = "as")]
        end: End,
        /// What partners had carried out of it was undone. A refund that failed while one of them had done its part gives
        /// back what it reserved only then.
        #[arg(long)]
        undone: bool,
        #[command(flatten)]
        by: By,
    },
    /// Closes an item.
    Close {
        item: i64,
        #[command(flatten)]
        by: By,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum End {
    Completed,
    Failed,
}

pub(crate) async fn run(app: &App, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { find, reason } => list(app, &filter(None, find, reason)).await,
        Command::Retry { ids, find, reason, by, dry_run } => {
            let all_of_these = find.is_narrow() || reason.is_some();
            ensure!(
                !ids.is_empty() || all_of_these,
                "name commands, or narrow them down: --reason, --kind, --older-than-s"
            );
            let ids = (!ids.is_empty()).then(|| ids.into_iter().map(CommandId).collect());
            retry(app, &filter(ids, find, reason), &by, dry_run).await
        }
        Command::Resolve { id, end, undone, by } => resolve(app, CommandId(id), end, undone, &by).await,
        Command::Close { item, by } => {
            let closed = store::close(&app.pool, item, by.operator()).await.context("close the item")?;
            ensure!(closed, "there is no open item {item}");
            say(format_args!("{item} is closed"));
            Ok(())
        }
    }
}

fn filter(ids: Option<Vec<CommandId>>, find: Find, reason: Option<String>) -> Filter {
    Filter { ids, kind: find.kind, reason, older_than: find.older_than(), limit: find.limit }
}

async fn list(app: &App, filter: &Filter) -> anyhow::Result<()> {
    for Parked { id, kind, reason, since, .. } in store::parked(&app.pool, filter).await.context("list")? {
        say(format_args!("{id}  {kind}  since {}  {}: {}", since.to_rfc3339(), reason.code, reason.detail));
    }
    for item in store::items(&app.pool, filter.limit).await.context("list items")? {
        let store::Item { no, command, kind, reason, since } = item;
        say(format_args!(
            "item {no}: {command}  {kind}  since {}  {}: {}",
            since.to_rfc3339(),
            reason.code,
            reason.detail
        ));
    }
    Ok(())
}

async fn retry(app: &App, filter: &Filter, by: &By, dry_run: bool) -> anyhow::Result<()> {
    let mut taken_up = 0;
    for parked in store::parked(&app.pool, filter).await.context("find them")? {
        if dry_run {
            say(format_args!("would carry on {}  {}", parked.id, parked.reason.code));
        } else if attention::retry(app, &parked, by.operator()).await? {
            taken_up += 1;
        } else {
            say(format_args!("{} is no longer parked", parked.id));
        }
    }
    say(format_args!("{taken_up} carried on"));
    Ok(())
}

async fn resolve(app: &App, id: CommandId, end: End, undone: bool, by: &By) -> anyhow::Result<()> {
    let end = match end {
        End::Completed => Status::Completed,
        End::Failed => Status::Failed,
    };
    let filter = Filter { ids: Some(vec![id]), limit: 1, ..Filter::default() };
    let parked = store::parked(&app.pool, &filter).await.context("find it")?.pop();
    let parked = parked.with_context(|| format!("{id} is not parked"))?;
    ensure!(attention::resolve(app, &parked, end, undone, by.operator()).await?, "{id} is no longer parked");
    say(format_args!("{id} is {end}"));
    Ok(())
}
