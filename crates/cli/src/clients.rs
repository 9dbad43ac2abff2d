//! `holdfast clients`.

use crate::say;
use anyhow::{Context as _, ensure};
use clap::Subcommand;
use holdfast_app::{App, credentials};
use holdfast_store::clients;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Creates a client and prints its API key and its callback secret, once: only a hash of the key is stored.
    Create {
        /// A name that is not taken.
        name: String,
        /// Where callbacks go when a command names no callbackUrl.
        #[arg(long)]
        callback_url: Option<String>,
    },
    /// Lists all clients with the ids of their keys.
    List,
}

pub(crate) async fn run(app: &App, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create { name, callback_url } => create(app, &name, callback_url.as_deref()).await,
        Command::List => list(app).await,
    }
}

async fn create(app: &App, name: &str, callback_url: Option<&str>) -> anyhow::Result<()> {
    ensure!((1..=100).contains(&name.chars().count()), "a name has 1 to 100 characters");
    let created = credentials::create_client(app, name, callback_url).await?;
    let created = created.with_context(|| format!("there is a client named {name} already"))?;
    let shown = serde_json::json!({
        "client": created.client.0,
        "name": name,
        "apiKey": created.api_key,
        "callbackSecret": created.callback_secret,
    });
    say(serde_json::to_string_pretty(&shown)?);
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
