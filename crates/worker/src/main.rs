//! The binary: configuration, which queues, run loop.

use clap::Parser;
use holdfast_app::{App, config, shutdown, telemetry};
use holdfast_domain::Kind;
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Carries accepted commands to their end.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file; the environment overrides it.
    #[arg(long, env = "HOLDFAST_CONFIG", default_value = "holdfast.toml")]
    config: PathBuf,
    /// What this process works on, such as `transactions`; all kinds if not given.
    #[arg(long, env = "HOLDFAST_QUEUES", value_delimiter = ',', value_parser = kind)]
    queues: Vec<Kind>,
}

fn kind(name: &str) -> Result<Kind, String> {
    let known = Kind::ALL.map(Kind::plural).join(", ");
    Kind::ALL.into_iter().find(|kind| kind.plural() == name).ok_or_else(|| format!("known queues: {known}"))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    telemetry::init("info");
    let app = App::new(config::load(&arguments.config)?, "holdfast-worker").await?;
    let kinds = if arguments.queues.is_empty() { Kind::ALL.to_vec() } else { arguments.queues };
    holdfast_worker::run(app, kinds, shutdown::on_signal()?).await
}
