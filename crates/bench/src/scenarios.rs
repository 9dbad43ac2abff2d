//! What is measured. Each run has an empty database and empty queues of its own.

use crate::cost::{Cost, Meter};
use crate::load::{self, Amount};
use crate::mock::{Manners, now_us};
use crate::stack::Stack;
use anyhow::Context as _;
use clap::ValueEnum;
use holdfast_app::pause;
use holdfast_devstack::postgres::Postgres;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Clients at once.
const CONNECTIONS: usize = 64;

/// Before anything is measured: connections, caches, plans.
const WARM_UP: u64 = 2_000;

const PATIENCE: Duration = Duration::from_secs(180);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scenario {
    /// 64 clients, no worker.
    Accept,
    /// 500 commands a second, with a worker.
    Steady,
    /// 64 clients, with a worker: until the last callback.
    EndToEnd,
    /// A worker alone on a full queue.
    Drain,
    /// One command at a time.
    Idle,
    /// The third party takes 50 ms, the sink 20 ms.
    SlowPartner,
    /// 5 % of the commands get a 504 to their first creation.
    LostRequests,
    /// 200 commands a second: what SQS is asked.
    Calm,
}

/// Figures by name, and what a command cost.
pub(crate) struct Measured {
    pub(crate) figures: BTreeMap<&'static str, f64>,
    pub(crate) cost: Cost,
}

pub(crate) async fn run(scenario: Scenario, postgres: &Postgres, home: &Path, no: usize) -> anyhow::Result<Measured> {
    let name = format!("bench_{}_{no}", scenario as u8);
    let mut stack = Stack::start(postgres, home, &name).await.context("start the stack")?;
    sqlx::query("checkpoint").execute(&stack.pool).await.context("begin after a checkpoint")?;
    let measured = match scenario {
        Scenario::Accept => accept(&mut stack).await,
        Scenario::Steady => at_rate(&mut stack, 500, Manners::default()).await,
        Scenario::Calm => at_rate(&mut stack, 200, Manners::default()).await,
        Scenario::LostRequests => at_rate(&mut stack, 200, Manners { lost_percent: 5, ..Manners::default() }).await,
        Scenario::EndToEnd => end_to_end(&mut stack, 30_000, Manners::default()).await,
        Scenario::SlowPartner => {
            end_to_end(&mut stack, 20_000, Manners { create_ms: 50, sink_ms: 20, ..Manners::default() }).await
        }
        Scenario::Drain => drain(&mut stack).await,
        Scenario::Idle => idle(&mut stack).await,
    };
    stack.end().await?;
    measured
}

async fn accept(stack: &mut Stack) -> anyhow::Result<Measured> {
    stack.start_api().await?;
    load::closed(&stack.target, CONNECTIONS, Amount::Commands(WARM_UP)).await?;
    let before = Meter::read(stack).await?;
    let load = load::closed(&stack.target, CONNECTIONS, Amount::For(Duration::from_secs(6))).await?;
    let cost = Meter::read(stack).await?.since(&before, load.accepted);
    let figures =
        BTreeMap::from([("accepted/s", load.per_second()), ("p50 ms", load.ms(0.5)), ("p99 ms", load.ms(0.99))]);
    Ok(Measured { figures, cost })
}

async fn warm(stack: &mut Stack, count: u64) -> anyhow::Result<()> {
    stack.start_api().await?;
    stack.start_worker()?;
    stack.manners(Manners::default()).await?;
    load::closed(&stack.target, CONNECTIONS, Amount::Commands(count)).await?;
    stack.completed(count, PATIENCE).await.context("warm up")?;
    Ok(())
}

async fn at_rate(stack: &mut Stack, per_second: u32, manners: Manners) -> anyhow::Result<Measured> {
    warm(stack, WARM_UP).await?;
    stack.manners(manners).await?;
    let before = Meter::read(stack).await?;
    let load = load::open(&stack.target, per_second, Duration::from_secs(10)).await?;
    let seen = stack.completed(load.accepted, PATIENCE).await?;
    let cost = Meter::read(stack).await?.since(&before, load.accepted);
    let figures = BTreeMap::from([
        ("p50 ms", load.ms(0.5)),
        ("p99 ms", load.ms(0.99)),
        ("callback p50 ms", seen.p50_us as f64 / 1_000.0),
        ("callback p99 ms", seen.p99_us as f64 / 1_000.0),
        ("sqs calls", cost.sqs_calls),
    ]);
    Ok(Measured { figures, cost })
}

async fn end_to_end(stack: &mut Stack, count: u64, manners: Manners) -> anyhow::Result<Measured> {
    warm(stack, WARM_UP).await?;
    stack.manners(manners).await?;
    let before = Meter::read(stack).await?;
    let started = now_us();
    load::closed(&stack.target, CONNECTIONS, Amount::Commands(count)).await?;
    let seen = stack.completed(count, PATIENCE).await?;
    let cost = Meter::read(stack).await?.since(&before, count);
    let took_s = seen.last_us.saturating_sub(started) as f64 / 1e6;
    let rss = |name: &str| cost.rss_mb.get(name).copied().unwrap_or_default();
    let figures = BTreeMap::from([
        ("completed/s", count as f64 / took_s),
        ("cpu ms", cost.ours_cpu_ms),
        ("sqs calls", cost.sqs_calls),
        ("api MB", rss("api")),
        ("worker MB", rss("worker")),
    ]);
    Ok(Measured { figures, cost })
}

async fn drain(stack: &mut Stack) -> anyhow::Result<Measured> {
    const COUNT: u64 = 30_000;
    stack.start_api().await?;
    stack.manners(Manners::default()).await?;
    load::closed(&stack.target, CONNECTIONS, Amount::Commands(COUNT)).await?;
    // What the API still publishes.
    pause(Duration::from_secs(1)).await;
    stack.start_worker()?;
    // From its first callback on: its start is not its speed.
    let first = stack.completed(1, PATIENCE).await?;
    let before = Meter::read(stack).await?;
    let seen = stack.completed(COUNT, PATIENCE).await?;
    let count = COUNT - first.completed;
    let cost = Meter::read(stack).await?.since(&before, count);
    let took_s = seen.last_us.saturating_sub(first.last_us) as f64 / 1e6;
    Ok(Measured { figures: BTreeMap::from([("completed/s", count as f64 / took_s)]), cost })
}

async fn idle(stack: &mut Stack) -> anyhow::Result<Measured> {
    const COUNT: u64 = 500;
    warm(stack, 200).await?;
    stack.manners(Manners::default()).await?;
    let before = Meter::read(stack).await?;
    let mut client = load::Client::connect(&stack.target).await?;
    for n in 0..COUNT {
        client.submit(n).await?;
        pause(Duration::from_millis(10)).await;
    }
    let seen = stack.completed(COUNT, PATIENCE).await?;
    let cost = Meter::read(stack).await?.since(&before, COUNT);
    let figures = BTreeMap::from([
        ("callback p50 ms", seen.p50_us as f64 / 1_000.0),
        ("callback p99 ms", seen.p99_us as f64 / 1_000.0),
    ]);
    Ok(Measured { figures, cost })
}
