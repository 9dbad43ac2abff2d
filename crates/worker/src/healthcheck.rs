//! What a container runtime asks: is the worker of this machine alive?

use anyhow::{Context as _, bail};
use holdfast_app::App;
use holdfast_store::{Error, workers};
use std::time::Duration;

/// Longer than any other worker waits before it declares one dead: then it has begun another life by itself.
const SILENCE: Duration = Duration::from_secs(15);

/// An error, if Postgres answers and has heard nothing from here. While it is down nobody can tell, and whoever waits for
/// it must not be killed.
pub async fn healthcheck(app: &App) -> anyhow::Result<()> {
    match workers::is_beating(&app.pool, &format!("{}:", host()), SILENCE).await {
        Ok(true) | Err(Error::Unavailable(_) | Error::ReadOnly) => Ok(()),
        Ok(false) => bail!("no worker of this machine has proved to be alive for {} s", SILENCE.as_secs()),
        Err(error) => Err(error).context("look for the workers"),
    }
}

/// Each container has a name of its own, and few processes.
pub(crate) fn name() -> String {
    format!("{}:{}", host(), std::process::id())
}

fn host() -> String {
    let name = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|_unknown| "unknown".to_owned())
}
