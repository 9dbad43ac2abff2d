//! `holdfast clients`.

use crate::say;
use anyhow::{Context as _, ensure};
use clap::Subcommand;
use holdfast_app::{App, credentials};
use holdfast_domain::ClientNo;
use holdfast_store::clients;
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
    /// Prints a new API key, once. The old ones expire after the overlap.
    Rotate {
        name: String,
        /// How long the old keys are still valid, in seconds.
        #[arg(long, default_value_t = 86_400)]
        overlap_s: u64,
    },
    /// Refuses all keys of a client, within 5 s. What it has submitted goes on, and it is told.
    Disable { name: String },
    /// Takes that back.
    Enable { name: String },
    /// Lists all clients with the ids of their keys.
    List,
}

pub(crate) async fn run(app: &App, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create { name, callback_url, number } => {
            create(app, &name, callback_url.as_deref(), number.map(ClientNo)).await
        }
        Command::Rotate { name, overlap_s } => rotate(app, &name, Duration::from_secs(overlap_s)).await,
        Command::Disable { name } => set_disabled(app, &name, true).await,
        Command::Enable { name } => set_disabled(app, &name, false).await,
        Command::List => list(app).await,
    }
}

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
    let shown = serde_json::json!({
        "client": created.client.0,
        "name": name,
        "apiKey": created.api_key,
        "callbackSecret": created.callback_secret,
    });
    say(serde_json::to_string_pretty(&shown)?);
    Ok(())
}

async fn rotate(app: &App, name: &str, overlap: Duration) -> anyhow::Result<()> {
    let api_key = credentials::rotate_key(app, name, overlap).await?;
    let api_key = api_key.with_context(|| format!("there is no client named {name}"))?;
    say(serde_json::to_string_pretty(&serde_json::json!({ "name": name, "apiKey": api_key }))?);
    Ok(())
}

async fn set_disabled(app: &App, name: &str, disabled: bool) -> anyhow::Result<()> {
    let found = clients::set_disabled(&app.pool, name, disabled).await.context("change the client")?;
    ensure!(found, "there is no client named {name}");
    say(format_args!("{name} is {}", if disabled { "disabled" } else { "active" }));
    Ok(())
}

async fn list(app: &App) -> anyhow::Result<()> {
    say(format_args!("{:>6}  {:<24}  {:<8}  {:<16}  callback URL", "client", "name", "state", "keys"));
    for client in clients::list(&app.pool).await.context("list clients")? {
        let state = if client.disabled { "disabled" } else { "active" };
        let url = client.callback_url.unwrap_or_default();
        say(format_args!("{:>6}  {:<24}  {state:<8}  {:<16}  {url}", client.no.0, client.name, client.keys.join(" ")));
    }
    Ok(())
}
