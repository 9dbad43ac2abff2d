//! holdfast: what operators run. Speaks to the database; never to a running API or worker.

mod clients;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use holdfast_app::{App, config};
use std::path::PathBuf;

/// Operates Holdfast.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file; the environment overrides it.
    #[arg(long, env = "HOLDFAST_CONFIG", default_value = "holdfast.toml", global = true)]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Brings the database schema to this binary's version. Safe to run several times, and from several machines.
    Migrate,
    /// Who may submit commands.
    #[command(subcommand)]
    Clients(clients::Command),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let app = App::new(config::load(&arguments.config)?, "holdfast").await?;
    match arguments.command {
        Command::Migrate => {
            holdfast_store::schema::migrate(&app.pool).await.context("migrate the schema")?;
            say("schema is up to date");
            Ok(())
        }
        Command::Clients(command) => {
            app.check_schema().await?;
            clients::run(&app, command).await
        }
    }
}

/// What a command prints for its caller.
#[expect(clippy::print_stdout, reason = "a command line tool prints its result")]
fn say(text: impl std::fmt::Display) {
    println!("{text}");
}
