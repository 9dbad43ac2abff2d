//! What is measured. Each run has an empty database and empty queues of its own.

use crate::cost::{Cost, Meter};
use crate::load::{self, Amount};
use crate::mock::{Manners, histogram, now_us};
use crate::parts;
use crate::publishing;
use crate::stack::Stack;
use anyhow::Context as _;
use clap::ValueEnum;
use holdfast_app::pause;
use holdfast_devstack::postgres::Postgres;
use sqlx::AssertSqlSafe;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Clients at once.
pub(crate) const CONNECTIONS: usize = 64;

/// Of the slow partner.
pub(crate) const PATIENCE_NEEDED: Manners = Manners { create_ms: 50, sink_ms: 20, lost_percent: 0 };

/// Before anything is measured: connections, caches, plans.
const WARM_UP: u64 = 2_000;

pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

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
    /// SQS takes 15 ms to answer.
    DistantQueue,
    /// 5 % of the commands get a 504 to their first creation.
    LostRequests,
    /// 200 commands a second: what SQS is asked.
    Calm,
    /// A worker alone on a queue of 100,000.
    DeepBacklog,
    /// One client has 50,000 commands queued and asks for fifty times its limit: what another one notices.
    Flood,
    /// Millions of commands are there already: what one costs then, to what it costs in an empty database.
    BigTable,
    /// Ten minutes at 500 commands a second: the last minute to the second one.
    Soak,
    /// 64 clients, with a worker, without sinks for events and with two of them.
    Publishing,
}

impl Scenario {
    /// Measured if nothing is named; the others take long.
    pub(crate) const fn is_usual(self) -> bool {
        !matches!(self, Self::BigTable | Self::Soak | Self::Flood | Self::Publishing)
    }
}

/// Figures by name, and what a command cost.
pub(crate) struct Measured {
    pub(crate) figures: BTreeMap<&'static str, f64>,
    pub(crate) cost: Cost,
    /// Of the machine, just before and after: that of the targets' machine is 1.
    pub(crate) pace: Option<f64>,
}

impl Measured {
    pub(crate) fn new(figures: impl Into<BTreeMap<&'static str, f64>>, cost: Cost) -> Self {
        Self { figures: figures.into(), cost, pace: None }
    }
}

pub(crate) async fn run(
    scenario: Scenario,
    postgres: &Postgres,
    home: &Path,
    no: usize,
    rows: u64,
) -> anyhow::Result<Measured> {
    if scenario == Scenario::BigTable {
        return big_table(postgres, home, no, rows).await;
    }
    if scenario == Scenario::Publishing {
        return publishing::measure(postgres, home, no).await;
    }
    let name = format!("bench_{}_{no}", scenario as u8);
    let mut stack = Stack::start(postgres, home, &name).await.context("start the stack")?;
    sqlx::query("checkpoint").execute(&stack.pool).await.context("begin after a checkpoint")?;
    let before = parts::pace(&stack).await?;
    let measured = match scenario {
        Scenario::Accept => accept(&mut stack).await,
        Scenario::Steady => at_rate(&mut stack, 500, Manners::default()).await,
        Scenario::Calm => at_rate(&mut stack, 200, Manners::default()).await,
        Scenario::LostRequests => at_rate(&mut stack, 200, Manners { lost_percent: 5, ..Manners::default() }).await,
        Scenario::EndToEnd => end_to_end(&mut stack, 30_000, Manners::default()).await,
        Scenario::SlowPartner => end_to_end(&mut stack, 20_000, PATIENCE_NEEDED).await,
        Scenario::DistantQueue => distant_queue(&mut stack).await,
        Scenario::Drain => drain(&mut stack, 30_000).await,
        Scenario::DeepBacklog => drain(&mut stack, 100_000).await,
        Scenario::Soak => soak(&mut stack).await,
        Scenario::Flood => flood(&mut stack).await,
        Scenario::BigTable | Scenario::Publishing => anyhow::bail!("it has stacks of its own"),
        Scenario::Idle => idle(&mut stack).await,
    };
    stack.rest().await?;
    let pace = f64::midpoint(before, parts::pace(&stack).await?);
    stack.end().await?;
    Ok(Measured { pace: Some(pace), ..measured? })
}

async fn accept(stack: &mut Stack) -> anyhow::Result<Measured> {
    stack.start_api().await?;
    load::closed(&stack.target, CONNECTIONS, Amount::Commands(WARM_UP)).await?;
    let before = Meter::read(stack).await?;
    let load = load::closed(&stack.target, CONNECTIONS, Amount::For(Duration::from_secs(6))).await?;
    let cost = Meter::read(stack).await?.since(&before, load.accepted);
    let figures = [("accepted/s", load.per_second()), ("p50 ms", load.ms(0.5)), ("p99 ms", load.ms(0.99))];
    Ok(Measured::new(figures, cost))
}

pub(crate) async fn warm(stack: &mut Stack, count: u64) -> anyhow::Result<()> {
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
    let figures = [
        ("p50 ms", load.ms(0.5)),
        ("p99 ms", load.ms(0.99)),
        ("callback p50 ms", seen.p50_us as f64 / 1_000.0),
        ("callback p99 ms", seen.p99_us as f64 / 1_000.0),
        ("sqs calls", cost.sqs_calls),
    ];
    Ok(Measured::new(figures, cost))
}

async fn end_to_end(stack: &mut Stack, count: u64, manners: Manners) -> anyhow::Result<Measured> {
    warm(stack, WARM_UP).await?;
    carry_on(stack, count, manners).await
}

/// As far as that of a region's, for somebody in it.
async fn distant_queue(stack: &mut Stack) -> anyhow::Result<Measured> {
    warm(stack, WARM_UP).await?;
    stack.sqs_distance(15).await?;
    carry_on(stack, 20_000, Manners::default()).await
}

async fn carry_on(stack: &Stack, count: u64, manners: Manners) -> anyhow::Result<Measured> {
    stack.manners(manners).await?;
    let before = Meter::read(stack).await?;
    let started = now_us();
    load::closed(&stack.target, CONNECTIONS, Amount::Commands(count)).await?;
    let seen = stack.completed(count, PATIENCE).await?;
    let cost = Meter::read(stack).await?.since(&before, count);
    let took_s = seen.last_us.saturating_sub(started) as f64 / 1e6;
    let rss = |name: &str| cost.rss_mb.get(name).copied().unwrap_or_default();
    let figures = [
        ("completed/s", count as f64 / took_s),
        ("cpu ms", cost.ours_cpu_ms),
        ("sqs calls", cost.sqs_calls),
        ("api MB", rss("api")),
        ("worker MB", rss("worker")),
    ];
    Ok(Measured::new(figures, cost))
}

async fn drain(stack: &mut Stack, all: u64) -> anyhow::Result<Measured> {
    stack.start_api().await?;
    stack.manners(Manners::default()).await?;
    load::closed(&stack.target, CONNECTIONS, Amount::Commands(all)).await?;
    // What the API still publishes.
    pause(Duration::from_secs(1)).await;
    stack.start_worker()?;
    // From its first callback on: its start is not its speed.
    let first = stack.completed(1, PATIENCE).await?;
    let before = Meter::read(stack).await?;
    let seen = stack.completed(all, PATIENCE).await?;
    let count = all - first.completed;
    let cost = Meter::read(stack).await?.since(&before, count);
    let took_s = seen.last_us.saturating_sub(first.last_us) as f64 / 1e6;
    Ok(Measured::new([("completed/s", count as f64 / took_s)], cost))
}

async fn idle(stack: &mut Stack) -> anyhow::Result<Measured> {
    const COUNT: u64 = 500;
    warm(stack, 200).await?;
    stack.manners(Manners::default()).await?;
    let before = Meter::read(stack).await?;
    let mut client = load::Client::connect(&stack.target).await?;
    let mut latencies = histogram();
    for n in 0..COUNT {
        let from = Instant::now();
        client.submit(n).await?;
        latencies.saturating_record(from.elapsed().as_micros() as u64);
        pause(Duration::from_millis(10)).await;
    }
    let seen = stack.completed(COUNT, PATIENCE).await?;
    let cost = Meter::read(stack).await?.since(&before, COUNT);
    let figures = [
        ("p50 ms", latencies.value_at_quantile(0.5) as f64 / 1_000.0),
        ("p99 ms", latencies.value_at_quantile(0.99) as f64 / 1_000.0),
        ("callback p50 ms", seen.p50_us as f64 / 1_000.0),
        ("callback p99 ms", seen.p99_us as f64 / 1_000.0),
    ];
    Ok(Measured::new(figures, cost))
}

async fn soak(stack: &mut Stack) -> anyhow::Result<Measured> {
    const MINUTES: usize = 10;
    warm(stack, WARM_UP).await?;
    let before = Meter::read(stack).await?;
    let (mut minutes, mut accepted) = (Vec::new(), 0);
    for _ in 0..MINUTES {
        stack.manners(Manners::default()).await?;
        let load = load::open(&stack.target, 500, Duration::from_secs(60)).await?;
        let seen = stack.completed(load.accepted, PATIENCE).await?;
        accepted += load.accepted;
        let rss = Meter::read(stack).await?.rss_mb;
        let wakeups = "select pg_total_relation_size('wakeups')::float8 / 1048576";
        let wakeups: f64 = sqlx::query_scalar(wakeups).fetch_one(&stack.pool).await.context("measure the table")?;
        let rss = |name: &str| rss.get(name).copied().unwrap_or_default();
        minutes.push([load.ms(0.99), seen.p99_us as f64 / 1_000.0, rss("api"), rss("worker"), wakeups]);
    }
    let cost = Meter::read(stack).await?.since(&before, accepted);
    // The first minute still warms up.
    let (early, late) = (minutes[1], minutes[MINUTES - 1]);
    let names = ["p99 ms", "callback p99 ms", "api MB", "worker MB", "wakeups MB"];
    let mut figures: BTreeMap<_, _> = names.into_iter().zip(late).collect();
    let grown = |at: usize| late[at] / early[at];
    figures.extend([("api grown", grown(2)), ("worker grown", grown(3)), ("wakeups grown", grown(4))]);
    Ok(Measured::new(figures, cost))
}

/// The 99th percentiles of a client below its limit, beside nobody and beside a flood.
async fn flood(stack: &mut Stack) -> anyhow::Result<Measured> {
    const QUEUED: u64 = 50_000;
    const LIMIT: u32 = 200;
    const USUAL: u32 = 50;
    const TIME: Duration = Duration::from_secs(20);
    warm(stack, 200).await?;
    stack.manners(Manners::default()).await?;
    let alone = load::open(&stack.target, USUAL, TIME).await?;
    let told_alone = stack.completed(alone.accepted, PATIENCE).await?;
    let other = stack.another_client().await?;
    stack.stop_worker().await?;
    load::closed(&other, CONNECTIONS, Amount::Commands(QUEUED)).await.context("queue another client's commands")?;
    stack.restart_api("HOLDFAST__LIMITS__SUBMISSIONS_PER_S", &LIMIT.to_string()).await?;
    stack.manners(Manners::default()).await?;
    stack.start_worker()?;
    // How it starts, and finds out who else is there, is not what is measured.
    let early = load::open(&stack.target, USUAL, Duration::from_secs(3)).await?;
    stack.completed(early.accepted, PATIENCE).await?;
    stack.manners(Manners::default()).await?;
    let before = Meter::read(stack).await?;
    let (flood, beside) = tokio::join!(load::flood(&other, LIMIT * 50, TIME), load::open(&stack.target, USUAL, TIME));
    let ([taken, refused], beside) = (flood.context("flood")?, beside.context("submit beside a flood")?);
    let told_beside = stack.completed(beside.accepted, PATIENCE).await?;
    let cost = Meter::read(stack).await?.since(&before, beside.accepted);
    let left = "select count(*)::float8 from wakeups where lane = 0";
    let left: f64 = sqlx::query_scalar(left).fetch_one(&stack.pool).await.context("count what is left")?;
    let figures = [
        ("alone p99 ms", alone.ms(0.99)),
        ("beside p99 ms", beside.ms(0.99)),
        ("p99 ratio", beside.ms(0.99) / alone.ms(0.99)),
        ("alone callback p99 ms", told_alone.p99_us as f64 / 1_000.0),
        ("beside callback p99 ms", told_beside.p99_us as f64 / 1_000.0),
        ("callback p99 ratio", told_beside.p99_us as f64 / told_alone.p99_us as f64),
        ("flood accepted", taken as f64),
        ("flood refused", refused as f64),
        ("flood left", left),
    ];
    Ok(Measured::new(figures, cost))
}

/// What a command costs beside so many, and in an empty database: in turn, because the machine is not the same all the time.
async fn big_table(postgres: &Postgres, home: &Path, no: usize, rows: u64) -> anyhow::Result<Measured> {
    const PAIRS: usize = 5;
    let full = format!("bench_full_{rows}");
    fill(postgres, home, &full, rows).await.context("fill a database")?;
    let (mut cpu, mut wal, mut at_first) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = None;
    for pair in 0..PAIRS {
        let (_, empty) = some(postgres, home, &format!("bench_empty_{no}_{pair}"), 0).await?;
        let (first, full) = some(postgres, home, &full, rows / 20).await?;
        cpu.push(full.cpu_ms["postgres"] / empty.cpu_ms["postgres"]);
        wal.push(full.wal_bytes / empty.wal_bytes);
        at_first.push(first.wal_bytes / empty.wal_bytes);
        last = Some(full);
    }
    let middle = |mut ratios: Vec<f64>| {
        ratios.sort_by(f64::total_cmp);
        ratios[PAIRS / 2]
    };
    let figures =
        [("cpu ratio", middle(cpu)), ("wal ratio", middle(wal)), ("wal ratio after a checkpoint", middle(at_first))];
    Ok(Measured::new(figures, last.context("there was a pair")?))
}

/// What some commands cost right after a checkpoint, and what they cost when `between` others have come since. After a
/// checkpoint the first change of each page is written with the whole page, and ids fall on any page of their index: that is
/// over when each has been changed once, minutes before the next checkpoint.
async fn some(postgres: &Postgres, home: &Path, name: &str, between: u64) -> anyhow::Result<(Cost, Cost)> {
    const COUNT: u64 = 10_000;
    let mut stack = Stack::start(postgres, home, name).await.context("start the stack")?;
    sqlx::query("checkpoint").execute(&stack.pool).await.context("begin after a checkpoint")?;
    let first = end_to_end(&mut stack, COUNT, Manners::default()).await.context("measure after a checkpoint")?.cost;
    let others = format!(
        "set statement_timeout = 0; set lock_timeout = 0;
         insert into commands (id, client, kind, key, fingerprint, body)
         select gen_random_uuid(), 1, 1, 'between ' || n, decode(repeat('00', 32), 'hex'), '{{}}'
           from generate_series(1, {between}) n"
    );
    sqlx::raw_sql(AssertSqlSafe(others)).execute(&stack.pool).await.context("have others come")?;
    let later = carry_on(&stack, COUNT, Manners::default()).await.context("measure later")?.cost;
    stack.end().await?;
    Ok((first, later))
}

/// Commands that have ended, in a time before ours.
async fn fill(postgres: &Postgres, home: &Path, name: &str, rows: u64) -> anyhow::Result<()> {
    let stack = Stack::start(postgres, home, name).await?;
    let there: i64 =
        sqlx::query_scalar("select count(*) from (select from commands limit 1) c").fetch_one(&stack.pool).await?;
    if there == 0 {
        let sql = format!(
            r#"insert into commands (id, client, kind, key, fingerprint, body, created_at)
               select gen_random_uuid(), 1, 1, n::text, decode(repeat('00', 32), 'hex'),
                      '{{"transactionId": "' || n || '", "amount": "1.00", "currency": "EUR"}}',
                      now() - interval '1 year' + make_interval(secs => n)
                 from generate_series(1, {rows}) n;
               insert into transactions (no, client, amount, currency, partner)
               select no, 1, 100, 'EUR', 'processor' from commands;
               insert into outcomes (no, status, progress, sequence, client, kind, created_at, finished_at)
               select no, 'completed', '{{"partners": []}}', 1, client, kind, created_at, created_at from commands;
               insert into events (no, sequence, data)
               select no, 1, '[{{"type": "finished", "status": "completed"}}]' from commands;
               insert into events (no, sequence, attempt, data)
               select no, 1, 1, '[{{"type": "callback_attempted"}}]' from commands"#
        );
        let mut connection = stack.pool.acquire().await?;
        for statement in ["set statement_timeout = 0", "set lock_timeout = 0"].into_iter().chain(sql.split(';')) {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await?;
        }
        sqlx::query("vacuum analyze").execute(&mut *connection).await?;
    }
    stack.end().await
}
