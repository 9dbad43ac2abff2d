//! `holdfast clients`.

use crate::output::{Format, Table, say};
use crate::{exit, keys};
use anyhow::{Context as _, ensure};
use clap::Subcommand;
use holdfast_app::{App, credentials};
use holdfast_domain::ClientNo;
use holdfast_store::clients;
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
    /// Lists all clients with the ids of their keys.
    List,
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

pub(crate) fn nobody(name: &str) -> anyhow::Error {
    exit::not_found(format!("there is no client named {name}"))
}

const fn state(disabled: bool) -> &'static str {
    if disabled { "disabled" } else { "active" }
}

async fn list(app: &App, format: Format) -> anyhow::Result<()> {
    let mut table = Table::new(&["client", "name", "state", "keys", "callback URL"]);
    for client in clients::list(&app.pool).await.context("list clients")? {
        let state = state(client.disabled);
        let value = json!({
            "client": client.no.0,
            "name": client.name,
            "state": state,
            "keys": client.keys,
            "callbackUrl": client.callback_url,
            "createdAt": client.created_at,
        });
        let url = client.callback_url.unwrap_or_default();
        let cells = [client.no.0.to_string(), client.name, state.to_owned(), client.keys.join(" "), url];
        table.push(cells, value);
    }
    format.list(table);
    Ok(())
}
