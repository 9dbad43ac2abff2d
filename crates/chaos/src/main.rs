//! The program that tries to break the promise: it runs the real binaries, attacks everything that they stand on, heals it,
//! and then looks from the outside whether a command was lost, doubled or left untold.

mod check;
mod clients;
mod drills;
mod events;
mod faults;
mod inbox;
mod local;
mod partner;
mod report;
mod world;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use holdfast_app::{shutdown, telemetry};
use holdfast_devstack::settings::WEBHOOK_SECRET;
use holdfast_devstack::webhooks::Webhooks;
use holdfast_partners::signature::read_secret;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use world::{Deployed, World};

/// Runs the stack under faults, heals it, and checks what became of every command.
#[derive(Clone, Debug, Parser)]
#[command(version)]
struct Arguments {
    /// How many commands clients submit.
    #[arg(long, env = "COMMANDS", default_value_t = 20_000)]
    commands: u32,
    /// Of everything that is drawn: the same seed makes the same faults at the same times.
    #[arg(long, env = "SEED", default_value_t = 1)]
    seed: u64,
    /// For how long commands are submitted and faults happen.
    #[arg(long, env = "SECONDS", default_value_t = 600)]
    seconds: u64,
    /// Longest time for everything to end after the healing.
    #[arg(long, default_value_t = 180)]
    heal_seconds: u64,
    /// Processes are stopped past their lease and go on too. No fence stops a request that such a one had begun: partners
    /// must then know a key again. Without this they do not, and each creation that arrives is an effect.
    #[arg(long, env = "ZOMBIES", value_parser = clap::builder::FalseyValueParser::new())]
    zombies: bool,
    /// Where logs and data are kept, and the report is written.
    #[arg(long, default_value = "target/chaos")]
    home: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

/// In place of everything at once, on a stack of its own.
#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Submits to a stack that runs already. Only partners and the inbox fail.
    Deployed(Deployed),
    /// Publishes events to a Redis and a queue, kills these, the workers and the services that consume, and checks what the
    /// services have then. `--seconds 30 --commands 3000 events`.
    Events,
    #[command(flatten)]
    Drill(drills::Drill),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    telemetry::init("error");
    let stop = shutdown::on_signal()?;
    std::fs::create_dir_all(&arguments.home).context("create the home folder")?;
    let home = arguments.home.canonicalize().context("find the home folder")?;
    let world = match &arguments.command {
        Some(Command::Deployed(deployed)) => World::join(&arguments, deployed, &stop).await,
        Some(Command::Drill(_) | Command::Events) | None => World::start(&home, &arguments, &stop).await,
    };
    let world = world.context("start the world")?;
    if let Some(Command::Drill(drill)) = arguments.command {
        let measured = drills::run(&world, drill).await;
        world.end().await;
        report::print(&measured?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if matches!(arguments.command, Some(Command::Events)) {
        let tested = events::run(&world, &arguments, &home).await;
        world.end().await;
        let (report, is_clean) = tested?;
        report::print(&report)?;
        return Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let tested = run(&world, &arguments).await;
    world.end().await;
    let report = tested?;
    report.write(&home.join("report.json"))?;
    report.print();
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(world: &World, arguments: &Arguments) -> anyhow::Result<report::Report> {
    let time = Duration::from_secs(arguments.seconds);
    if let Some(secret) = webhook_secret(arguments)? {
        world.partners.send_webhooks(Webhooks::new(&world.webhooks_url(), &secret));
    }
    let (submitted, faults) =
        tokio::join!(clients::submit(world, arguments, time), faults::attack(world, arguments, time));
    let faults = faults?;
    world.heal().await.context("heal the world")?;
    let settled = world.settle(Duration::from_secs(arguments.heal_seconds)).await;
    check::check(world, arguments, submitted, faults, settled).await
}

/// What partners sign with. `None`: they send no webhooks.
fn webhook_secret(arguments: &Arguments) -> anyhow::Result<Option<Vec<u8>>> {
    match &arguments.command {
        Some(Command::Deployed(deployed)) => {
            let secret = deployed.webhook_secret.as_deref();
            let read = |shown| read_secret(shown).context("the webhook secret must be whsec_ and base64");
            secret.map(read).transpose()
        }
        Some(Command::Drill(_) | Command::Events) | None => Ok(Some(WEBHOOK_SECRET.to_vec())),
    }
}
