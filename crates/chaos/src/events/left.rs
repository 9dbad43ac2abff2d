//! What lies between Holdfast and the order services.

use super::Services;
use crate::world::World;
use anyhow::Context as _;
use holdfast_devstack::events::NAME;
use redis::aio::MultiplexedConnection;
use redis::cmd;
use redis::streams::StreamInfoGroupsReply;

/// What the order services call themselves.
const GROUP: &str = "order-service";

/// What is on its way, or in somebody's hands. `None`: nothing.
pub(super) async fn left_over(world: &World, services: &Services) -> anyhow::Result<Option<String>> {
    let mut redis = connect(&services.redis_url).await?;
    let groups: StreamInfoGroupsReply = cmd("XINFO").arg("GROUPS").arg(NAME).query_async(&mut redis).await?;
    let ours = groups.groups.into_iter().find(|group| group.name == GROUP).context("there is no group")?;
    let sqs = world.local()?.sqs.queue(NAME).counts().await.context("count what is in the queue")?;
    let in_queue = sqs.waiting + sqs.delayed + sqs.in_flight;
    let is_empty = ours.pending == 0 && ours.lag == Some(0) && in_queue == 0;
    let left = format!("{} pending, a lag of {:?}, {in_queue} in the queue", ours.pending, ours.lag);
    Ok((!is_empty).then_some(left))
}

pub(super) async fn dead_letters(redis_url: &str) -> anyhow::Result<u64> {
    let mut redis = connect(redis_url).await?;
    Ok(cmd("XLEN").arg(format!("{NAME}:dead:{GROUP}")).query_async(&mut redis).await?)
}

async fn connect(redis_url: &str) -> anyhow::Result<MultiplexedConnection> {
    let client = redis::Client::open(redis_url)?;
    client.get_multiplexed_async_connection().await.context("connect to redis")
}
