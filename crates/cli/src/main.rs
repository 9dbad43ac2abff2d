//! holdfast: what operators run. Speaks to the database; never to a running API or worker.

mod attention;
mod clients;
mod dlq;
mod restored;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use holdfast_app::{App, config};
use holdfast_domain::Kind;
use holdfast_store::operator::Operator;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Commands that need a person.
    #[command(subcommand)]
    Attention(attention::Command),
    /// Messages that nobody could act on.
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// Who may submit commands.
    #[command(subcommand)]
    Clients(clients::Command),
    /// After a restore from a backup, with no worker running: what is owed may have been sent since, and is doubted.
    Restored(restored::Restored),
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
        Command::Attention(command) => {
            app.check_schema().await?;
            attention::run(&app, command).await
        }
        Command::Dlq(command) => {
            app.check_schema().await?;
            dlq::run(&app, command).await
        }
        Command::Clients(command) => {
            app.check_schema().await?;
            clients::run(&app, command).await
        }
        Command::Restored(restored) => {
            app.check_schema().await?;
            restored::run(&app, restored).await
        }
    }
}

/// Which of many.
#[derive(Args, Clone, Copy)]
struct Find {
    /// `transaction`, `refund` or `order`.
    #[arg(long, value_parser = kind)]
    kind: Option<Kind>,
    /// Those that have been there for longer than this.
    #[arg(long)]
    older_than_s: Option<u64>,
    #[arg(long, default_value_t = 100)]
    limit: i64,
}

impl Find {
    const fn is_narrow(&self) -> bool {
        self.kind.is_some() || self.older_than_s.is_some()
    }

    fn older_than(&self) -> Option<Duration> {
        self.older_than_s.map(Duration::from_secs)
    }
}

fn kind(name: &str) -> Result<Kind, String> {
    let known = Kind::ALL.map(Kind::name).join(", ");
    Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| format!("known kinds: {known}"))
}

/// Who acts, and why: recorded with what is done.
#[derive(Args)]
struct By {
    /// Who you are.
    #[arg(long, env = "USER", default_value = "unknown")]
    by: String,
    /// Why this is done.
    #[arg(long)]
    why: String,
}

impl By {
    fn operator(&self) -> Operator<'_> {
        Operator { by: &self.by, why: &self.why }
    }
}

/// What a command prints for its caller.
#[expect(clippy::print_stdout, reason = "a command line tool prints its result")]
fn say(text: impl std::fmt::Display) {
    println!("{text}");
}
