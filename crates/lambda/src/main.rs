//! The binary: configuration, then one invocation after the other.

use holdfast_app::{App, config, telemetry};
use std::path::Path;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init("info");
    // A function has no file of its own: everything is in the environment.
    let app = App::new(config::load(Path::new("holdfast.toml"))?, "holdfast-lambda").await?;
    holdfast_lambda::run(app).await
}
