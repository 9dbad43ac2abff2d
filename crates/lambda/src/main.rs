//! The binary: configuration, then one invocation after the other.

use anyhow::Context as _;
use holdfast_app::{App, config, telemetry, trace};
use holdfast_lambda::secrets;
use std::path::Path;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init("info");
    let tracer = trace::start("holdfast-lambda")?;
    let secrets = secrets::fetch(&config::secret_references()?).await.context("fetch secrets")?;
    let app = App::new(config::load_with(Path::new("holdfast.toml"), secrets)?, "holdfast-lambda").await?;
    holdfast_lambda::run(App { tracer, ..app }).await
}
