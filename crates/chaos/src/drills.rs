//! One fault at a time, measured: what clients see of an outage, how soon a killed worker's work goes on, and what a rolling
//! restart costs.

use crate::local::{Binary, INSTANCES};
use crate::world::World;
use anyhow::{Context as _, ensure};
use clap::{Subcommand, ValueEnum};
use holdfast_app::pause;
use nix::sys::signal::Signal;
use reqwest::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Load before and after what is measured.
const AROUND: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Drill {
    /// Takes something away for a minute, under 200 requests a second.
    Outage {
        #[arg(long)]
        of: What,
        #[arg(long, default_value_t = 60)]
        lasts_s: u64,
    },
    /// Kills one of two workers under load, and waits until others have what it had claimed.
    Kill,
    /// Restarts each process in turn, five times, under load.
    Deploy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    Postgres,
    Sqs,
    Both,
}

/// One request of the load, and its answer. 0: none.
#[derive(Clone, Copy, Debug)]
struct Request {
    at: Duration,
    took: Duration,
    status: u16,
}

/// Runs a drill, and answers what was measured.
pub(crate) async fn run(world: &World, drill: Drill) -> anyhow::Result<Value> {
    world.partners.be_nice();
    world.inbox.be_nice();
    match drill {
        Drill::Outage { of, lasts_s } => outage(world, of, Duration::from_secs(lasts_s)).await,
        Drill::Kill => kill(world).await,
        Drill::Deploy => deploy(world).await,
    }
}

async fn outage(world: &World, of: What, lasts: Duration) -> anyhow::Result<Value> {
    let load = Load::start(world, 200);
    pause(AROUND).await;
    let from = load.started.elapsed();
    if of != What::Sqs {
        world.local()?.postgres.crash().await?;
    }
    if of != What::Postgres {
        world.local()?.sqs_gate.close();
    }
    pause(lasts).await;
    let to = load.started.elapsed();
    if of != What::Sqs {
        world.local()?.postgres.recover().await?;
    }
    world.local()?.sqs_gate.open();
    pause(AROUND).await;
    let requests = load.stop().await;
    let settled = world.settle(Duration::from_secs(180)).await;
    let during: Vec<_> = requests.iter().filter(|request| request.at >= from && request.at < to).copied().collect();
    let after_a_second: Vec<_> =
        during.iter().filter(|request| request.at >= from + Duration::from_secs(1)).copied().collect();
    Ok(json!({
        "drill": format!("{of:?} down for {} s", lasts.as_secs()),
        "requests": requests.len(),
        "duringTheOutage": summary(&during),
        "afterItsFirstSecond": summary(&after_a_second),
        "before": summary(&requests.iter().filter(|request| request.at < from).copied().collect::<Vec<_>>()),
        "settled": settled,
        "inTheEnd": ends(world).await?,
    }))
}

async fn kill(world: &World) -> anyhow::Result<Value> {
    let load = Load::start(world, 100);
    pause(AROUND).await;
    // Something to be in the middle of.
    world.partners.be_slow(Duration::from_millis(600));
    pause(Duration::from_secs(2)).await;
    let pid = world.local()?.pid(Binary::Worker, 0).await.context("the worker runs")?;
    let worker: i64 = sqlx::query_scalar("select id from workers where name = $1")
        .bind(format!("pid {pid}"))
        .fetch_one(&world.pool)
        .await
        .context("find the worker")?;
    world.local()?.signal(Binary::Worker, 0, Signal::SIGKILL).await;
    let killed = Instant::now();
    let claimed: Vec<(i64, i64)> = sqlx::query_as("select no, token from wakeups where worker = $1")
        .bind(worker)
        .fetch_all(&world.pool)
        .await
        .context("look at what it had claimed")?;
    ensure!(!claimed.is_empty(), "it had claimed nothing");
    let (nos, tokens): (Vec<_>, Vec<_>) = claimed.iter().copied().unzip();
    let sql = "select count(*) from wakeups join unnest($1::bigint[], $2::bigint[]) k(no, token) using (no, token)";
    let mut went_on = BTreeMap::new();
    loop {
        let left: i64 = sqlx::query_scalar(sql).bind(&nos).bind(&tokens).fetch_one(&world.pool).await?;
        went_on.insert(killed.elapsed().as_millis() as u64, left);
        if left == 0 || killed.elapsed() > Duration::from_secs(60) {
            break;
        }
        pause(Duration::from_millis(20)).await;
    }
    let last_ms = killed.elapsed().as_millis() as u64;
    world.keep_running().await?;
    let requests = load.stop().await;
    world.partners.be_slow(Duration::ZERO);
    let settled = world.settle(Duration::from_secs(120)).await;
    Ok(json!({
        "drill": "one of two workers killed",
        "claimedByIt": claimed.len(),
        "allWentOnAfterMs": last_ms,
        "requests": summary(&requests),
        "settled": settled,
        "inTheEnd": ends(world).await?,
    }))
}

async fn deploy(world: &World) -> anyhow::Result<Value> {
    let load = Load::start(world, 100);
    pause(Duration::from_secs(3)).await;
    let mut restarts = 0;
    for _ in 0..5 {
        for binary in [Binary::Api, Binary::Worker] {
            for instance in 0..INSTANCES {
                world.local()?.signal(binary, instance, Signal::SIGTERM).await;
                world.local()?.wait_for_end(binary, instance).await;
                world.keep_running().await?;
                world.wait_until_ready().await;
                // Whoever spreads requests looks every 100 ms.
                pause(Duration::from_millis(300)).await;
                restarts += 1;
            }
        }
    }
    pause(Duration::from_secs(3)).await;
    let requests = load.stop().await;
    let settled = world.settle(Duration::from_secs(120)).await;
    let letters: i64 = sqlx::query_scalar("select count(*) from dead_letters").fetch_one(&world.pool).await?;
    let sql = "select count(*) from outcomes o, jsonb_array_elements(o.progress -> 'partners') p where (p ->> 'tries')::int > 1";
    let tries: i64 = sqlx::query_scalar(sql).fetch_one(&world.pool).await?;
    Ok(json!({
        "drill": "rolling restart",
        "restarts": restarts,
        "requests": summary(&requests),
        "deadLetters": letters,
        "commandsWithMoreThanOneTry": tries,
        "settled": settled,
        "inTheEnd": ends(world).await?,
    }))
}

fn summary(requests: &[Request]) -> Value {
    let mut took: Vec<_> = requests.iter().map(|request| request.took.as_secs_f64() * 1_000.0).collect();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| {
        took.get(((took.len() as f64 - 1.0) * share).round() as usize).map(|ms| (ms * 10.0).round() / 10.0)
    };
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    requests.iter().for_each(|request| *statuses.entry(request.status).or_insert(0) += 1);
    let accepted = statuses.get(&202).copied().unwrap_or_default();
    json!({
        "requests": requests.len(),
        "statuses": statuses,
        "acceptedPercent": 100.0 * accepted as f64 / requests.len().max(1) as f64,
        "p50Ms": at(0.5),
        "p99Ms": at(0.99),
        "maxMs": at(1.0),
    })
}

/// Statuses of all commands, and the most effects that any of them has.
async fn ends(world: &World) -> anyhow::Result<Value> {
    let sql = "select coalesce(o.status, 'open') as status, count(*) from commands c left join outcomes o on o.no = c.no group by 1";
    let ends: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(&world.pool).await.context("count the ends")?;
    let statuses: BTreeMap<_, _> = ends.into_iter().collect();
    Ok(json!({ "statuses": statuses, "mostEffects": world.partners.most_effects() }))
}

/// Transactions at a steady rate, at whichever API is ready.
struct Load {
    started: Instant,
    stop: CancellationToken,
    requests: tokio::task::JoinHandle<Vec<Request>>,
}

impl Load {
    fn start(world: &World, per_second: u32) -> Self {
        let (started, stop) = (Instant::now(), CancellationToken::new());
        let ready = Arc::new(Mutex::new(world.api_urls.clone()));
        tokio::spawn(stop.clone().run_until_cancelled_owned(look(world.api_urls.clone(), Arc::clone(&ready))));
        let api_key = world.api_keys[0].clone();
        let requests = tokio::spawn(generate(started, stop.clone(), ready, api_key, per_second));
        Self { started, stop, requests }
    }

    async fn stop(self) -> Vec<Request> {
        self.stop.cancel();
        self.requests.await.unwrap_or_default()
    }
}

/// As a load balancer does.
async fn look(urls: Vec<String>, ready: Arc<Mutex<Vec<String>>>) {
    let client = Client::builder().no_proxy().timeout(Duration::from_secs(1)).build().expect("a plain client");
    loop {
        let mut answered = Vec::new();
        for url in &urls {
            if client.get(format!("{url}/readyz")).send().await.is_ok_and(|answer| answer.status().is_success()) {
                answered.push(url.clone());
            }
        }
        if !answered.is_empty() {
            *ready.lock().await = answered;
        }
        pause(Duration::from_millis(100)).await;
    }
}

async fn generate(
    started: Instant,
    stop: CancellationToken,
    ready: Arc<Mutex<Vec<String>>>,
    api_key: String,
    per_second: u32,
) -> Vec<Request> {
    let client = Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a plain client");
    let (mut under_way, next) = (JoinSet::new(), Arc::new(AtomicU32::new(0)));
    while !stop.is_cancelled() {
        let n = next.fetch_add(1, Ordering::Relaxed);
        pause((Duration::from_secs(1) / per_second * n).saturating_sub(started.elapsed())).await;
        let url = {
            let ready = ready.lock().await;
            ready[n as usize % ready.len()].clone()
        };
        let body = json!({ "transactionId": format!("d{n}"), "amount": "1.00", "currency": "EUR" });
        let request = client.post(format!("{url}/api/v1/transactions")).bearer_auth(&api_key).json(&body);
        under_way.spawn(async move {
            let at = started.elapsed();
            let status = request.send().await.map_or(0, |answer| answer.status().as_u16());
            Request { at, took: started.elapsed() - at, status }
        });
    }
    under_way.join_all().await
}
