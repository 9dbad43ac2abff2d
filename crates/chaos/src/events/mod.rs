//! Attacks what is between a command and those who build on its events: Redis, the queue, the workers that publish, the
//! order services. Then all of it is healed, and everybody must have every event, once, and in order.

mod check;
mod faults;
mod left;
mod services;

pub(crate) use services::Services;

use crate::world::World;
use crate::{Arguments, clients};
use anyhow::Context as _;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// Answers the report, and whether every promise was kept.
pub(crate) async fn run(world: &World, arguments: &Arguments, home: &Path) -> anyhow::Result<(Value, bool)> {
    // Partners and clients have their own attacks.
    world.partners.be_nice();
    world.inbox.be_nice();
    let services = world.services()?;
    let time = Duration::from_secs(arguments.seconds);
    let (submitted, faults) =
        tokio::join!(clients::submit(world, arguments, time), faults::attack(world, services, arguments, time));
    let faults = faults?;
    world.heal().await.context("heal the world")?;
    services.heal().await.context("heal what consumes")?;
    let patience = Duration::from_secs(arguments.heal_seconds);
    let settled = world.settle(patience).await;
    let report = check::check(world, services, &submitted, arguments).await?;
    let is_clean = settled && report.is_clean();
    let mut report = serde_json::to_value(report).context("write the report")?;
    report["seed"] = arguments.seed.into();
    report["settled"] = settled.into();
    report["faults"] = serde_json::to_value(faults).context("write the faults")?;
    let text = serde_json::to_vec_pretty(&report).context("write the report")?;
    std::fs::write(home.join("events.json"), text).context("keep the report")?;
    Ok((report, is_clean))
}
