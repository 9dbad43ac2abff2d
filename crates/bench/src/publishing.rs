//! What events for others cost: commands without any sink, and with two of them, in turn, because the machine is not the same
//! all the time.

use crate::cost::{Cost, Meter};
use crate::load::{self, Amount};
use crate::mock::Manners;
use crate::scenarios::{CONNECTIONS, Measured, PATIENCE, warm};
use crate::stack::Stack;
use anyhow::Context as _;
use holdfast_devstack::postgres::Postgres;
use holdfast_devstack::redis::Redis;
use holdfast_devstack::server;
use std::collections::BTreeMap;
use std::path::Path;

const PAIRS: usize = 5;
const COUNT: u64 = 20_000;

/// The usual one, if nobody has it.
const REDIS_PORT: u16 = 63791;

/// Who works on commands. Postgres too: what the publisher reads there is in it.
const COMMAND_PATH: [&str; 3] = ["api", "worker", "postgres"];

pub(crate) async fn measure(postgres: &Postgres, home: &Path, no: usize) -> anyhow::Result<Measured> {
    let mut redis = Redis::start_fresh(home, server::free_port(REDIS_PORT).await?).await?;
    let measured = pairs(postgres, home, no, &redis.url()).await;
    redis.stop().await.context("stop redis")?;
    measured
}

async fn pairs(postgres: &Postgres, home: &Path, no: usize, redis_url: &str) -> anyhow::Result<Measured> {
    let (mut added, mut publisher, mut last) = (Vec::new(), Vec::new(), None);
    let mut by_process = COMMAND_PATH.map(|_| Vec::new());
    for pair in 0..PAIRS {
        let without = run(postgres, home, &format!("bench_untold_{no}_{pair}"), None).await?;
        let with = run(postgres, home, &format!("bench_published_{no}_{pair}"), Some(redis_url)).await?;
        added.push(on_the_path(&with) - on_the_path(&without));
        for (added, name) in by_process.iter_mut().zip(COMMAND_PATH) {
            added.push(of(&with, name) - of(&without, name));
        }
        publisher.push(of(&with, "publisher"));
        last = Some(with);
    }
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[PAIRS / 2]
    };
    let spread =
        added.iter().copied().fold(f64::NEG_INFINITY, f64::max) - added.iter().copied().fold(f64::INFINITY, f64::min);
    let [api, worker, postgres] = by_process.map(middle);
    let figures = BTreeMap::from([
        ("added cpu ms", middle(added)),
        ("spread cpu ms", spread),
        ("added api ms", api),
        ("added worker ms", worker),
        ("added postgres ms", postgres),
        ("publisher cpu ms", middle(publisher)),
    ]);
    Ok(Measured::new(figures, last.context("there was a pair")?))
}

/// Until the last callback, and the last event.
async fn run(postgres: &Postgres, home: &Path, name: &str, redis_url: Option<&str>) -> anyhow::Result<Cost> {
    let mut stack = Stack::start(postgres, home, name).await.context("start the stack")?;
    sqlx::query("checkpoint").execute(&stack.pool).await.context("begin after a checkpoint")?;
    if let Some(redis_url) = redis_url {
        stack.start_publisher(redis_url).await?;
    }
    warm(&mut stack, 2_000).await?;
    stack.manners(Manners::default()).await?;
    stack.published(PATIENCE).await.context("publish what came first")?;
    let before = Meter::read(&stack).await?;
    load::closed(&stack.target, CONNECTIONS, Amount::Commands(COUNT)).await?;
    stack.completed(COUNT, PATIENCE).await?;
    stack.published(PATIENCE).await?;
    let cost = Meter::read(&stack).await?.since(&before, COUNT);
    stack.end().await?;
    Ok(cost)
}

fn on_the_path(cost: &Cost) -> f64 {
    COMMAND_PATH.iter().map(|name| of(cost, name)).sum()
}

fn of(cost: &Cost, name: &str) -> f64 {
    cost.cpu_ms.get(name).copied().unwrap_or_default()
}
