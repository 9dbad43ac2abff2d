//! The binary: configuration, schema check, server.

use anyhow::Context as _;
use clap::Parser;
use holdfast_api::{Server, State};
use holdfast_app::{App, config, shutdown, telemetry};
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Accepts transactions over HTTP and answers 202 with an id at once.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file; the environment overrides it.
    #[arg(long, env = "HOLDFAST_CONFIG", default_value = "holdfast.toml")]
    config: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    telemetry::init("info");
    let app = App::new(config::load(&arguments.config)?, "holdfast-api").await?;
    let stop = shutdown::on_signal()?;
    let state = State::start(app, stop.clone())?;
    let server = Server::bind(state).await.context("listen")?;
    server.run(stop).await
}
