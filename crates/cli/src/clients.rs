//! `holdfast clients`.

use crate::output::{Format, Table, say};
use crate::{exit, keys};
use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use holdfast_app::config::HIGHEST_RATE;
use holdfast_app::{App, credentials};
use holdfast_domain::ClientNo;
use holdfast_store::clients::{self, Rates};
use serde_json::json;
use std::time::Duration;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Creates a client and prints its API key and its callback secret, once: only a hash of the key is stored.
    Create {
        /// A name that is not taken.
        name: String,
        /// Where callbacks go when a command names no callbackUrl.
        #[arg(long)]
        callback_url: Option<String>,
        /// The number that it had in a database that was lost: the ids of its commands are computed with it.
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
        number: Option<i32>,
    },
    /// Prints a new API key, once, which may do what the old one may. Old ones expire after the overlap. A client has two
    /// live keys at most.
    #[command(visible_alias = "rotate-key")]
    Rotate {
        name: String,
        /// How long the old keys are still valid, in seconds.
        #[arg(long, default_value_t = 86_400)]
        overlap_s: u64,
    },
    /// Prints one more API key, once. A client has two live keys at most.
    AddKey(keys::Add),
    /// Shows what the keys of a client may do, how long, and when they were last used, to about a minute.
    Keys { name: String },
    /// Refuses this key for good, within 5 s.
    DisableKey { key_id: String },
    /// Refuses all keys of a client, within 5 s. What it has submitted goes on, and it is told.
    Disable { name: String },
    /// Takes that back.
    Enable { name: String },
    /// Sets how many requests a client may make of each process, within 5 s. What is not named stays as it is.
    Limit(Limit),
    /// Lists all clients with the ids of their keys.
    List,
}

#[derive(Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Wanted {
    /// Requests by POST in a second. 0: no limit.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=i64::from(HIGHEST_RATE)))]
    submissions_per_s: Option<u32>,
    /// All other requests.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=i64::from(HIGHEST_RATE)))]
    reads_per_s: Option<u32>,
    /// As many as are configured for all clients.
    #[arg(long, conflicts_with_all = ["submissions_per_s", "reads_per_s"])]
    default: bool,
}

#[derive(Args)]
pub(crate) struct Limit {
    name: String,
    #[command(flatten)]
    wanted: Wanted,
}

pub(crate) async fn run(app: &App, format: Format, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create { name, callback_url, number } => {
            create(app, &name, callback_url.as_deref(), number.map(ClientNo)).await
        }
        Command::Rotate { name, overlap_s } => keys::rotate(app, &name, Duration::from_secs(overlap_s)).await,
        Command::AddKey(add) => keys::add(app, add).await,
        Command::Keys { name } => keys::list(app, format, &name).await,
        Command::DisableKey { key_id } => keys::disable(app, format, &key_id).await,
        Command::Disable { name } => set_disabled(app, format, &name, true).await,
        Command::Enable { name } => set_disabled(app, format, &name, false).await,
        Command::Limit(Limit { name, wanted }) => limit(app, format, &name, wanted).await,
        Command::List => list(app, format).await,
    }
}

/// Prints JSON in any case: keys are for programs.
async fn create(app: &App, name: &str, callback_url: Option<&str>, no: Option<ClientNo>) -> anyhow::Result<()> {
    ensure!((1..=100).contains(&name.chars().count()), "a name has 1 to 100 characters");
    let created = match no {
        Some(no) => {
            let created = credentials::recreate_client(app, no, name, callback_url).await?;
            created.with_context(|| format!("there is a client named {name} or numbered {} already", no.0))?
        }
        None => {
            let created = credentials::create_client(app, name, callback_url).await?;
            created.with_context(|| format!("there is a client named {name} already"))?
        }
    };
    let shown = json!({
        "client": created.client.0,
        "name": name,
        "apiKey": created.api_key,
        "callbackSecret": created.callback_secret,
    });
    say(serde_json::to_string_pretty(&shown)?);
    Ok(())
}

async fn set_disabled(app: &App, format: Format, name: &str, disabled: bool) -> anyhow::Result<()> {
    let found = clients::set_disabled(&app.pool, name, disabled).await.context("change the client")?;
    if !found {
        return Err(nobody(name));
    }
    let state = state(disabled);
    format.each(format_args!("{name} is {state}"), &json!({ "name": name, "state": state }));
    Ok(())
}

async fn limit(app: &App, format: Format, name: &str, wanted: Wanted) -> anyhow::Result<()> {
    let Wanted { submissions_per_s, reads_per_s, default } = wanted;
    let found = match default {
        true => clients::clear_rates(&app.pool, name).await,
        false => clients::set_rates(&app.pool, name, Rates { submissions_per_s, reads_per_s }).await,
    };
    if !found.context("change the client")? {
        return Err(nobody(name));
    }
    format.each(format_args!("{name} is limited so within 5 s"), &json!({ "name": name, "state": "limited" }));
    Ok(())
}

/// A limit of its own, as a person reads it.
fn limits(rates: Rates) -> String {
    let show = |rate: Option<u32>| match rate {
        None => "default".to_owned(),
        Some(0) => "none".to_owned(),
        Some(rate) => format!("{rate}/s"),
    };
    match rates {
        Rates { submissions_per_s: None, reads_per_s: None } => String::new(),
        Rates { submissions_per_s, reads_per_s } => format!("{}, {}", show(submissions_per_s), show(reads_per_s)),
    }
}

pub(crate) fn nobody(name: &str) -> anyhow::Error {
    exit::not_found(format!("there is no client named {name}"))
}

const fn state(disabled: bool) -> &'static str {
    if disabled { "disabled" } else { "active" }
}

async fn list(app: &App, format: Format) -> anyhow::Result<()> {
    let mut table = Table::new(&["client", "name", "state", "limits", "keys", "callback URL"]);
    for client in clients::list(&app.pool).await.context("list clients")? {
        let state = state(client.disabled);
        let value = json!({
            "client": client.no.0,
            "name": client.name,
            "state": state,
            "submissionsPerS": client.rates.submissions_per_s,
            "readsPerS": client.rates.reads_per_s,
            "keys": client.keys,
            "callbackUrl": client.callback_url,
            "createdAt": client.created_at,
        });
        let url = client.callback_url.unwrap_or_default();
        let keys = client.keys.join(" ");
        let cells = [client.no.0.to_string(), client.name, state.to_owned(), limits(client.rates), keys, url];
        table.push(cells, value);
    }
    format.list(table);
    Ok(())
}
