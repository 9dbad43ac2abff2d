//! The binary: the whole stack on this machine, or its services for a command.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use holdfast_app::{shutdown, telemetry};
use holdfast_devstack::up;
use std::path::PathBuf;
use std::process::ExitCode;

/// Everything that Holdfast needs, on one machine, for development.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where data, logs and settings are kept.
    #[arg(long, default_value = ".devstack")]
    home: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the stack in the foreground until Ctrl-C, and shows one command of each kind going all the way.
    Up {
        /// Begins with empty data.
        #[arg(long)]
        fresh: bool,
    },
    /// Runs a command against a private Postgres and SQS, and exits with its status.
    Run {
        /// Creates the queues too, and gives the command all settings of the binaries.
        #[arg(long)]
        settings: bool,
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<String>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    telemetry::init("warn");
    let stop = shutdown::on_signal()?;
    std::fs::create_dir_all(&arguments.home).context("create the home folder")?;
    let home = arguments.home.canonicalize().context("find the home folder")?;
    match arguments.command {
        Command::Up { fresh: false } => up::up(&home, &stop).await.map(|()| ExitCode::SUCCESS),
        Command::Up { fresh: true } => up::up_fresh(&home, &stop).await.map(|()| ExitCode::SUCCESS),
        Command::Run { settings, command } => {
            let status = up::run(&home, settings, &command, &stop).await?;
            Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
        }
    }
}
