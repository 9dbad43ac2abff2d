//! The binary: configuration, schema check, server.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use holdfast_api::{Server, State};
use holdfast_app::trace::{self, LAST_SPANS};
use holdfast_app::{App, config, introspection, shutdown, telemetry};
use std::io::Write as _;
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Accepts transactions over HTTP and answers 202 with an id at once.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file; the environment overrides it.
    #[arg(long, env = "HOLDFAST_CONFIG", default_value = "holdfast.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Exits with 0 if the API of this configuration lives, for containers.
    Healthcheck,
    /// Prints what this API takes and answers, as an OpenAPI document.
    Openapi,
    /// Prints what other services are told, as an AsyncAPI document.
    Asyncapi,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let document = match arguments.command {
        Some(Command::Openapi) => Some(holdfast_api::openapi::json()),
        Some(Command::Asyncapi) => Some(holdfast_api::openapi::asyncapi::yaml()),
        Some(Command::Healthcheck) | None => None,
    };
    if let Some(document) = document {
        return std::io::stdout().write_all(document.as_bytes()).context("print the document");
    }
    let config = config::load(&arguments.config)?;
    if let Some(Command::Healthcheck) = arguments.command {
        return holdfast_api::healthcheck(config.api.listen).await;
    }
    let log_level = telemetry::init("info");
    let tracer = trace::start("holdfast-api")?;
    let app = App { tracer: tracer.clone(), ..App::new(config, "holdfast-api").await? };
    let stop = shutdown::on_signal()?;
    let listen = app.config.api.metrics_listen;
    tokio::spawn(introspection::serve(app.clone(), listen, log_level, stop.clone()));
    let state = State::start(app, stop.clone())?;
    let server = Server::bind(state).await.context("listen")?;
    let ended = server.run(stop).await;
    tracer.end(LAST_SPANS).await;
    ended
}
