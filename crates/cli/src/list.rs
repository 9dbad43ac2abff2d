//! `holdfast list`: a client's commands, newest first.

use crate::filter::kind;
use crate::http::Api;
use crate::output::{Format, Table, member};
use crate::progress;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use holdfast_domain::Kind;
use serde_json::Value;

/// The most that the API gives at once.
const PAGE: usize = 200;

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    api: Api,
    /// `transaction`, `refund` or `order`.
    #[arg(value_parser = kind)]
    kind: Kind,
    /// Such as `completed` or `needs_attention`.
    #[arg(long)]
    status: Option<String>,
    /// Inclusive, such as 2026-11-21T10:15:00Z.
    #[arg(long, value_name = "TIME")]
    created_from: Option<DateTime<Utc>>,
    /// Exclusive.
    #[arg(long, value_name = "TIME")]
    created_before: Option<DateTime<Utc>>,
    /// What identifies it: the client's own id of it, or the idempotency key.
    #[arg(long)]
    key: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// All of them, however many there are.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl List {
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let parameters = [
            ("status", self.status.clone()),
            ("createdFrom", self.created_from.map(time)),
            ("createdBefore", self.created_before.map(time)),
            ("key", self.key.clone()),
        ];
        parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Follows the pages. In JSON each is printed as it comes; a table must know all of them.
pub(crate) async fn run(format: Format, list: List) -> anyhow::Result<()> {
    let client = list.api.connect()?;
    let path = format!("/api/v1/{}", list.kind.plural());
    let mut left = if list.all { usize::MAX } else { usize::try_from(list.limit).unwrap_or(usize::MAX) };
    let (mut table, mut cursor) = (new_table(), None);
    let bar = progress::count("commands");
    loop {
        let mut parameters = list.parameters();
        parameters.push(("limit", left.min(PAGE).to_string()));
        parameters.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page = client.query(&path, &parameters).await?;
        let commands = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        for command in commands.iter().take(left) {
            push(&mut table, list.kind, command);
        }
        left = left.saturating_sub(commands.len());
        bar.inc(commands.len() as u64);
        cursor = page["nextCursor"].as_str().map(str::to_owned).filter(|_| left > 0);
        if format.is_json() {
            let page = std::mem::replace(&mut table, new_table());
            bar.suspend(|| format.list(page));
        }
        if cursor.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    if !format.is_json() {
        format.list(table);
    }
    Ok(())
}

fn new_table() -> Table {
    Table::new(&["id", "status", "own id", "amount", "currency", "created", "finished", "reason"])
}

fn push(table: &mut Table, kind: Kind, command: &Value) {
    let (own, amount) = match kind {
        Kind::Transaction => ("transactionId", "amount"),
        Kind::Refund => ("refundId", "amount"),
        Kind::Order => ("orderId", "totalPrice"),
    };
    let cells = [
        member(command, "id"),
        member(command, "status"),
        member(command, own),
        member(command, amount),
        member(command, "currency"),
        member(command, "createdAt"),
        member(command, "finishedAt"),
        member(&command["reason"], "code"),
    ];
    table.push(cells, command.clone());
}
