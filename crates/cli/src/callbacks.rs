//! `holdfast callbacks`: what a client was told of its command, and telling it once more.

use crate::exit;
use crate::http::Api;
use crate::output::{Format, Table, member};
use crate::target;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

#[derive(Args)]
pub(crate) struct Callbacks {
    #[command(flatten)]
    api: Api,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists every state that was told or is owed, and how its last attempt went.
    List {
        /// KIND ID, KIND/ID, its path, or its id alone.
        #[arg(required = true, num_args = 1..=2, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Has the present state told once more, at once, on a schedule that begins anew.
    Resend {
        /// KIND ID, KIND/ID, its path, or its id alone.
        #[arg(required = true, num_args = 1..=2, value_name = "COMMAND")]
        command: Vec<String>,
        /// Which callback. The latest one, if none is named.
        #[arg(long, value_name = "ID")]
        callback: Option<String>,
    },
}

pub(crate) async fn run(format: Format, callbacks: Callbacks) -> anyhow::Result<()> {
    let client = callbacks.api.connect()?;
    match callbacks.command {
        Command::List { command } => {
            let path = client.locate(target::one(&command)?).await?;
            let told = client.get(&format!("{path}/callbacks")).await?;
            format.list(table(&told));
            Ok(())
        }
        Command::Resend { command, callback } => {
            let path = client.locate(target::one(&command)?).await?;
            let callback = match callback {
                Some(callback) => callback,
                None => latest(&client.get(&format!("{path}/callbacks")).await?)?,
            };
            let request = client.request(Method::POST, &format!("{path}/callbacks/{callback}/resend"));
            format.one(&client.send(request).await?.body);
            Ok(())
        }
    }
}

fn table(told: &Value) -> Table {
    let mut table = Table::new(&["callback", "type", "state", "attempts", "last attempt", "next attempt"]);
    for callback in told["data"].as_array().into_iter().flatten() {
        let attempts = callback["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
        let last = attempts.last().map_or_else(
            || "-".to_owned(),
            |last| format!("{} {} {}", member(last, "at"), member(last, "outcome"), member(last, "httpStatus")),
        );
        let cells = [
            member(callback, "id"),
            member(callback, "type"),
            member(callback, "state"),
            attempts.len().to_string(),
            last,
            member(callback, "nextAttemptAt"),
        ];
        table.push(cells, callback.clone());
    }
    table
}

/// The one of the highest state.
fn latest(told: &Value) -> anyhow::Result<String> {
    let callbacks = told["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let latest = callbacks.iter().max_by_key(|callback| callback["sequence"].as_i64());
    let id = latest.and_then(|callback| callback["id"].as_str());
    id.map(str::to_owned).ok_or_else(|| exit::not_found("its client was told nothing yet, and nothing is owed"))
}
