//! The binary: the whole stack on this machine, or its services for a command.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use holdfast_app::{shutdown, telemetry};
use holdfast_devstack::{apart, up};
use std::net::SocketAddr;
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
    Up(up::Wishes),
    /// Runs a command against a private Postgres and SQS, and exits with its status.
    Run {
        /// Creates the queues too, and gives the command all settings of the binaries.
        #[arg(long)]
        settings: bool,
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<String>,
    },
    /// Runs the third parties and the inbox for callbacks alone, for containers.
    Sandbox {
        #[arg(long, default_value = "127.0.0.1:8081")]
        listen: SocketAddr,
        #[arg(long, default_value = "127.0.0.1:8082")]
        inbox_listen: SocketAddr,
        /// Where the third parties send their webhooks.
        #[arg(long, default_value = "http://127.0.0.1:8080/api/v1/webhooks")]
        webhooks_url: String,
    },
    /// Shows one command of each kind at an API that runs already. Creates a client in its database the first time.
    Demo {
        #[arg(long, default_value = "http://127.0.0.1:8080")]
        api_url: String,
        #[arg(long, default_value = "http://127.0.0.1:8082")]
        inbox_url: String,
    },
    /// Exits with 0 if a sandbox listens.
    Healthcheck {
        #[arg(long, default_value = "127.0.0.1:8081")]
        listen: SocketAddr,
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
        Command::Up(wishes) => up::up(&home, wishes, &stop).await.map(|()| ExitCode::SUCCESS),
        Command::Sandbox { listen, inbox_listen, webhooks_url } => {
            apart::sandbox(&home, listen, inbox_listen, &webhooks_url, stop).await.map(|()| ExitCode::SUCCESS)
        }
        Command::Demo { api_url, inbox_url } => {
            apart::demo(&home, &api_url, &inbox_url).await.map(|()| ExitCode::SUCCESS)
        }
        Command::Healthcheck { listen } => apart::healthcheck(listen).await.map(|()| ExitCode::SUCCESS),
        Command::Run { settings, command } => {
            let status = up::run(&home, settings, &command, &stop).await?;
            Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
        }
    }
}
