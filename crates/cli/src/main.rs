//! holdfast: what clients and operators run. `submit`, `get`, `watch`, `list`, `events` and `callbacks` speak to an API as a
//! client; all else to the database and to SQS, with the configuration of the binaries, never to a running process.

mod attention;
mod audit;
mod callbacks;
mod clients;
mod dlq;
mod doctor;
mod events;
mod exit;
mod filter;
mod get;
mod http;
mod keys;
mod list;
mod locked;
mod operators;
mod output;
mod problem;
mod progress;
mod queues;
mod restored;
mod retention;
mod secrets;
mod sinks;
mod submit;
mod target;
mod watch;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use events::Events;
use holdfast_app::{App, config, telemetry};
use output::{Format, note, say};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Submits commands to Holdfast and watches them, as a client; operates Holdfast.
#[derive(Parser)]
#[command(name = "holdfast", version, after_help = exit::HELP)]
struct Arguments {
    /// Configuration file of operators; the environment overrides it.
    #[arg(long, env = "HOLDFAST_CONFIG", default_value = "holdfast.toml", global = true)]
    config: PathBuf,
    /// How results are printed.
    #[arg(long, short, value_enum, default_value_t = Format::Table, global = true)]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Client(ClientCommand),
    #[command(flatten)]
    Operator(OperatorCommand),
    /// Looks at database, queues, partners and work, and says what to do. Changes nothing.
    Doctor(doctor::Doctor),
    /// Prints what a shell needs to complete command lines.
    Completions { shell: Shell },
}

/// They need an API key and no configuration.
#[derive(Subcommand)]
enum ClientCommand {
    /// Submits a command. The same content under the same key again is the same command.
    #[command(after_help = exit::HELP)]
    Submit(submit::Submit),
    /// Shows where a command stands.
    Get(get::Get),
    /// Shows what happens to a command as it happens, or how many of several stand where, until all have ended.
    #[command(after_help = exit::HELP)]
    Watch(watch::Watch),
    /// Lists commands, newest first.
    List(list::List),
    /// Shows the audit trail of a command. With a word of its own, for operators: what others are told.
    Events(events::Events),
    /// What was told of a command, and telling it once more.
    Callbacks(callbacks::Callbacks),
}

/// They have the configuration of the binaries.
#[derive(Subcommand)]
enum OperatorCommand {
    /// Shows what lies in the queues and what is owed.
    Queues(queues::Queues),
    /// Messages that nobody could act on.
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// Commands that need a person.
    #[command(subcommand)]
    Attention(attention::Command),
    /// Whether the audit trails are as they were written.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Who may submit commands.
    #[command(subcommand)]
    Clients(clients::Command),
    /// Who may use the console.
    #[command(subcommand)]
    Operators(operators::Command),
    /// What is kept of secrets in the database.
    #[command(subcommand)]
    Secrets(secrets::Command),
    /// Brings the database schema to this binary's version. Safe to run several times, and from several machines.
    Migrate,
    /// Payloads of commands that ended long ago.
    #[command(subcommand)]
    Retention(retention::Command),
    /// After a restore from a backup, with no worker running: what is owed may have been sent since, and is doubted.
    Restored(restored::Restored),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(format_args!("error: {error:#}"));
            ExitCode::from(exit::status(&error))
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { config, output: format, command } = arguments;
    match command {
        Command::Client(ClientCommand::Events(Events { sinks: Some(command), .. })) => {
            sinks::run(&app(&config).await?, format, command).await
        }
        Command::Client(command) => as_client(format, command).await,
        Command::Operator(command) => as_operator(&config, format, command).await,
        Command::Doctor(doctor) => doctor::run(&config, format, doctor).await,
        Command::Completions { shell } => completions(shell),
    }
}

async fn as_client(format: Format, command: ClientCommand) -> anyhow::Result<()> {
    match command {
        ClientCommand::Submit(submit) => submit::run(format, submit).await,
        ClientCommand::Get(get) => get::run(format, get).await,
        ClientCommand::Watch(watch) => watch::run(format, watch).await,
        ClientCommand::List(list) => list::run(format, list).await,
        ClientCommand::Events(events) => events::run(format, events).await,
        ClientCommand::Callbacks(callbacks) => callbacks::run(format, callbacks).await,
    }
}

/// What operators have, with the schema of this binary.
async fn app(config: &Path) -> anyhow::Result<App> {
    let app = App::new(config::load(config)?, "holdfast").await?;
    app.check_schema().await?;
    Ok(app)
}

async fn as_operator(config: &Path, format: Format, command: OperatorCommand) -> anyhow::Result<()> {
    let app = match command {
        OperatorCommand::Migrate => App::new(config::load(config)?, "holdfast").await?,
        _ => app(config).await?,
    };
    match command {
        OperatorCommand::Queues(queues) => queues::run(&app, format, queues).await,
        OperatorCommand::Dlq(command) => dlq::run(&app, format, command).await,
        OperatorCommand::Attention(command) => attention::run(&app, format, command).await,
        OperatorCommand::Audit(command) => audit::run(&app, format, command).await,
        OperatorCommand::Clients(command) => clients::run(&app, format, command).await,
        OperatorCommand::Operators(command) => operators::run(&app, format, command).await,
        OperatorCommand::Secrets(command) => secrets::run(&app, format, command).await,
        OperatorCommand::Migrate => migrate(&app, format).await,
        OperatorCommand::Retention(command) => retention::run(&app, format, command).await,
        OperatorCommand::Restored(restored) => restored::run(&app, format, restored).await,
    }
}

/// Says what it waits for: somebody else's migration, or a lock.
async fn migrate(app: &App, format: Format) -> anyhow::Result<()> {
    telemetry::init("warn");
    holdfast_store::schema::migrate(&app.pool).await.context("migrate the schema")?;
    format.each("schema is up to date", &json!({ "schema": "up to date" }));
    Ok(())
}

fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "holdfast", &mut script);
    say(String::from_utf8(script).context("read what was generated")?.trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn each_shell_gets_completions() {
        use clap::ValueEnum as _;
        for &shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "holdfast", &mut script);
            assert!(String::from_utf8(script).expect("text").contains("attention"), "{shell}");
        }
    }
}
