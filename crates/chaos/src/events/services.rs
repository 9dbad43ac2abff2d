//! The order services and the Redis between them and Holdfast. Two of each service, which share a database. They reach Redis
//! and their Postgres through gates of their own.

use crate::local::INSTANCES;
use anyhow::Context as _;
use holdfast_devstack::events::{BINARY, OrderService, over_redis, over_sqs, sinks};
use holdfast_devstack::gate::Gate;
use holdfast_devstack::redis::Redis;
use holdfast_devstack::{binaries, server};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Child;
use tokio::sync::Mutex;
use url::Url;

/// What takes half a minute in earnest. The log says what was delivered again.
const FASTER: [(&str, &str); 2] = [("REDIS_IDLE_MS", "2000"), ("RUST_LOG", "warn,aws=error,holdfast_consumer=debug")];

/// In the log of a service, of an event that had been delivered before.
const AGAIN: &str = "delivered again";

/// A service that cannot reach its database as it starts ends.
const STARTING: Duration = Duration::from_secs(10);

pub(crate) struct Services {
    pub(crate) redis: Mutex<Redis>,
    /// Not through the gate.
    pub(crate) redis_url: String,
    pub(crate) redis_gate: Gate,
    /// In front of the services' databases alone.
    pub(crate) postgres_gate: Gate,
    pub(crate) all: Vec<Service>,
    home: PathBuf,
}

/// Processes that share a database.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) pool: PgPool,
    processes: Mutex<Vec<Process>>,
}

struct Process {
    environment: BTreeMap<String, String>,
    child: Option<Child>,
    started: Instant,
    /// A fault has ended it, or may have.
    is_hit: bool,
    /// How often it has ended for no reason that we know.
    unasked: u64,
}

impl Services {
    /// Starts Redis, and nothing else yet.
    pub(crate) async fn start(home: &Path, database_url: &str, sqs_url: &str) -> anyhow::Result<Self> {
        let redis = Redis::start_fresh(home, server::free_port(0).await?).await?;
        let redis_gate = Gate::before(redis.address()).await;
        let postgres_gate = Gate::before(address(database_url)?).await;
        let gated = behind(database_url, &postgres_gate)?;
        let over_redis = over_redis(&gated, &behind(&redis.url(), &redis_gate)?, 0).await?;
        let over_sqs = over_sqs(&gated, sqs_url, 0).await?;
        let all = vec![Service::of(over_redis, database_url)?, Service::of(over_sqs, database_url)?];
        let redis_url = redis.url();
        Ok(Self { redis: Mutex::new(redis), redis_url, redis_gate, postgres_gate, all, home: home.to_owned() })
    }

    /// What makes the workers publish to them, from the first command on.
    pub(crate) fn sinks(&self) -> BTreeMap<String, String> {
        let mut sinks = sinks(&format!("redis://{}/0", self.redis_gate.address));
        for name in ["STREAM", "QUEUE"] {
            sinks.insert(format!("HOLDFAST__EVENTS__SINKS__{name}__FROM"), "beginning".to_owned());
        }
        sinks
    }

    /// Starts what does not run.
    pub(crate) async fn keep_running(&self) -> anyhow::Result<()> {
        for service in &self.all {
            for (no, process) in service.processes.lock().await.iter_mut().enumerate() {
                process.keep_running(&self.home.join(format!("{}-{no}.log", service.name)))?;
            }
        }
        Ok(())
    }

    /// Keeps the services from their databases for a while.
    pub(crate) async fn shut_postgres(&self, how: fn(&Gate), pause: Duration) {
        for service in &self.all {
            service.excuse_those_that_start().await;
        }
        how(&self.postgres_gate);
        holdfast_app::pause(pause).await;
        self.postgres_gate.open();
    }

    /// Keeps the services and the publisher from Redis for a while.
    pub(crate) async fn shut_redis(&self, how: fn(&Gate), pause: Duration) {
        how(&self.redis_gate);
        holdfast_app::pause(pause).await;
        self.redis_gate.open();
    }

    /// How often each service was given what had been delivered before.
    pub(crate) fn redeliveries(&self) -> anyhow::Result<BTreeMap<&'static str, usize>> {
        let of = |service: &Service| -> anyhow::Result<_> {
            let mut count = 0;
            for no in 0..INSTANCES {
                let log = self.home.join(format!("{}-{no}.log", service.name));
                count += fs::read_to_string(log).context("read a log")?.matches(AGAIN).count();
            }
            Ok((service.name, count))
        };
        self.all.iter().map(of).collect()
    }

    pub(crate) async fn crash_redis(&self, pause: Duration) -> anyhow::Result<()> {
        let mut redis = self.redis.lock().await;
        redis.crash().await?;
        holdfast_app::pause(pause).await;
        redis.recover().await
    }

    pub(crate) async fn heal(&self) -> anyhow::Result<()> {
        self.redis_gate.open();
        self.postgres_gate.open();
        self.keep_running().await
    }

    pub(crate) async fn end(&self) {
        for service in &self.all {
            service.processes.lock().await.clear();
        }
        if let Err(error) = self.redis.lock().await.stop().await {
            tracing::error!(error = format!("{error:#}"), "could not stop redis");
        }
    }
}

impl Service {
    /// Its database is looked at directly, on this server.
    fn of(service: OrderService, server_url: &str) -> anyhow::Result<Self> {
        let OrderService { name, mut environment, .. } = service;
        environment.extend(FASTER.map(|(name, value)| (name.to_owned(), value.to_owned())));
        // Nobody asks them anything: any port will do.
        environment.insert("LISTEN".to_owned(), "127.0.0.1:0".to_owned());
        let process = || Process::of(environment.clone());
        let mut database_url: Url = server_url.parse().context("read the URL of a database")?;
        database_url.set_path(name);
        let pool = PgPool::connect_lazy(database_url.as_str()).context("read the URL of a database")?;
        Ok(Self { name, pool, processes: Mutex::new((0..INSTANCES).map(|_| process()).collect()) })
    }

    /// To one process, if it runs.
    pub(crate) async fn signal(&self, instance: usize, signal: Signal) {
        let process = &mut self.processes.lock().await[instance];
        if let Some(pid) = process.child.as_ref().and_then(Child::id) {
            process.is_hit |= matches!(signal, Signal::SIGKILL | Signal::SIGTERM);
            kill(Pid::from_raw(pid as i32), signal).ok();
        }
    }

    /// How often its processes have ended for no reason that we know.
    pub(crate) async fn unasked_ends(&self) -> u64 {
        self.processes.lock().await.iter().map(|process| process.unasked).sum()
    }

    async fn excuse_those_that_start(&self) {
        for process in self.processes.lock().await.iter_mut() {
            process.is_hit |= process.started.elapsed() < STARTING;
        }
    }
}

impl Process {
    fn of(environment: BTreeMap<String, String>) -> Self {
        Self { environment, child: None, started: Instant::now(), is_hit: false, unasked: 0 }
    }

    fn keep_running(&mut self, log: &Path) -> anyhow::Result<()> {
        if let Some(child) = &mut self.child {
            if child.try_wait().context("look after it")?.is_none() {
                return Ok(());
            }
            self.unasked += u64::from(!self.is_hit);
        }
        self.child = Some(binaries::start(BINARY, &self.environment, log)?);
        (self.started, self.is_hit) = (Instant::now(), false);
        Ok(())
    }
}

fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let url: Url = url.parse().context("read a URL")?;
    let found = url.socket_addrs(|| None).context("resolve it")?;
    found.into_iter().next().context("it has an address")
}

fn behind(url: &str, gate: &Gate) -> anyhow::Result<String> {
    let mut url: Url = url.parse().context("read a URL")?;
    url.set_ip_host(gate.address.ip()).ok().context("set the host")?;
    url.set_port(Some(gate.address.port())).ok().context("set the port")?;
    Ok(url.into())
}
