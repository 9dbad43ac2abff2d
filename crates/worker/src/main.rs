//! The binary: configuration, which queues, run loop.

use clap::{Parser, Subcommand};
use holdfast_app::trace::{self, LAST_SPANS};
use holdfast_app::{App, config, introspection, shutdown, telemetry};
use holdfast_worker::Source;
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Carries accepted commands to their end.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file; the environment overrides it.
    #[arg(long, env = "HOLDFAST_CONFIG", default_value = "holdfast.toml")]
    config: PathBuf,
    /// What this process works on, such as `transactions`; everything if not given.
    #[arg(long, env = "HOLDFAST_QUEUES", value_delimiter = ',', value_parser = source)]
    queues: Vec<Source>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Exits with 0 unless Postgres has not heard of this machine's workers for a while, for containers.
    Healthcheck,
}

fn source(name: &str) -> Result<Source, String> {
    let known = || Source::ALL.map(Source::name).join(", ");
    Source::ALL.into_iter().find(|source| source.name() == name).ok_or_else(|| format!("known queues: {}", known()))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let log_level = telemetry::init("info");
    let app = App::new(config::load(&arguments.config)?, "holdfast-worker").await?;
    if let Some(Command::Healthcheck) = arguments.command {
        return holdfast_worker::healthcheck(&app).await;
    }
    let sources = if arguments.queues.is_empty() { Source::ALL.to_vec() } else { arguments.queues };
    let tracer = trace::start("holdfast-worker")?;
    let app = App { tracer: tracer.clone(), ..app };
    let (stop, listen) = (shutdown::on_signal()?, app.config.worker.metrics_listen);
    tokio::spawn(introspection::serve(app.clone(), listen, log_level, stop.clone()));
    let ended = holdfast_worker::run(app, sources, stop).await;
    tracer.end(LAST_SPANS).await;
    ended
}
