//! `holdfast attention`.

use crate::exit;
use crate::filter::{By, Find};
use crate::locked::{is_locked, none_left};
use crate::output::{Format, Table};
use crate::progress;
use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{Subcommand, ValueEnum};
use holdfast_app::{App, attention};
use holdfast_domain::status::Reason;
use holdfast_domain::{CommandId, Kind, Status};
use holdfast_store::attention::{self as store, Filter, Parked};
use serde_json::json;
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

pub(crate) async fn run(app: &App, format: Format, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { find, reason } => list(app, format, &filter(None, find, reason)).await,
        Command::Retry { ids, find, reason, by, dry_run } => {
            if ids.is_empty() && !find.is_narrow() && reason.is_none() {
                return Err(exit::usage("name commands, or narrow them down: --reason, --kind, --older-than-s"));
            }
            let ids = (!ids.is_empty()).then(|| ids.into_iter().map(CommandId).collect());
            retry(app, format, &filter(ids, find, reason), &by, dry_run).await
        }
        Command::Resolve { id, end, undone, by } => resolve(app, format, CommandId(id), end, undone, &by).await,
        Command::Close { item, by } => {
            let closed = store::close(&app.pool, item, by.operator()).await.context("close the item")?;
            if !closed {
                return Err(exit::not_found(format!("there is no open item {item}")));
            }
            format.each(format_args!("{item} is closed"), &json!({ "item": item, "done": "closed" }));
            Ok(())
        }
    }
}

fn filter(ids: Option<Vec<CommandId>>, find: Find, reason: Option<String>) -> Filter {
    Filter { ids, kind: find.kind, reason, older_than: find.older_than(), limit: find.limit }
}

async fn list(app: &App, format: Format, filter: &Filter) -> anyhow::Result<()> {
    let mut table = Table::new(&["item", "command", "kind", "since", "reason", "detail"]);
    let mut push = |item: Option<i64>, command: CommandId, kind: Kind, since: DateTime<Utc>, reason: Reason| {
        let cells = [
            item.map_or("-".to_owned(), |item| item.to_string()),
            command.to_string(),
            format!("{kind}"),
            since.to_rfc3339(),
            reason.code.clone(),
            reason.detail.clone(),
        ];
        let value = json!({ "item": item, "id": command, "kind": kind, "since": since, "reason": reason });
        table.push(cells, value);
    };
    for Parked { id, kind, reason, since, .. } in store::parked(&app.pool, filter).await.context("list")? {
        push(None, id, kind, since, reason);
    }
    for item in store::items(&app.pool, filter.limit).await.context("list items")? {
        push(Some(item.no), item.command, item.kind, item.since, item.reason);
    }
    format.list(table);
    Ok(())
}

async fn retry(app: &App, format: Format, filter: &Filter, by: &By, dry_run: bool) -> anyhow::Result<()> {
    let parked = store::parked(&app.pool, filter).await.context("find them")?;
    let bar = progress::bar("carried on", parked.len());
    let (mut taken_up, mut locked) = (0, 0);
    for parked in parked {
        let id = parked.id;
        let (done, said) = if dry_run {
            ("nothing", format!("would carry on {id}  {}", parked.reason.code))
        } else {
            match attention::retry(app, &parked, by.operator()).await {
                Ok(true) => ("carried_on", String::new()),
                Ok(false) => ("nothing", format!("{id} is no longer parked")),
                Err(error) if is_locked(&error) => ("locked", format!("left, its row is locked: {id}")),
                Err(error) => return Err(error.context(format!("{taken_up} carried on, then {id}"))),
            }
        };
        taken_up += usize::from(done == "carried_on");
        locked += usize::from(done == "locked");
        if format.is_json() || !said.is_empty() {
            bar.suspend(|| format.each(said, &json!({ "id": id, "done": done, "reason": parked.reason })));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    format.summary(format_args!("{taken_up} carried on"));
    none_left(locked)
}

async fn resolve(app: &App, format: Format, id: CommandId, end: End, undone: bool, by: &By) -> anyhow::Result<()> {
    let end = match end {
        End::Completed => Status::Completed,
        End::Failed => Status::Failed,
    };
    let filter = Filter { ids: Some(vec![id]), limit: 1, ..Filter::default() };
    let parked = store::parked(&app.pool, &filter).await.context("find it")?.pop();
    let parked = parked.ok_or_else(|| exit::not_found(format!("{id} is not parked")))?;
    let resolved = attention::resolve(app, &parked, end, undone, by.operator()).await?;
    anyhow::ensure!(resolved, "{id} is no longer parked");
    format.each(format_args!("{id} is {end}"), &json!({ "id": id, "status": end }));
    Ok(())
}
