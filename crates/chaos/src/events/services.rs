//! The order services and the Redis between them and Holdfast. Two of each service, which share a database.

use crate::local::INSTANCES;
use anyhow::Context as _;
use holdfast_devstack::events::{BINARY, OrderService, over_redis, over_sqs, sinks};
use holdfast_devstack::redis::Redis;
use holdfast_devstack::{binaries, server};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Child;
use tokio::sync::Mutex;

/// What takes half a minute in earnest.
const FASTER: [(&str, &str); 2] = [("REDIS_IDLE_MS", "2000"), ("RUST_LOG", "warn,aws=error")];

pub(crate) struct Services {
    pub(crate) redis: Mutex<Redis>,
    pub(crate) redis_url: String,
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
}

impl Services {
    /// Starts Redis, and nothing else yet.
    pub(crate) async fn start(home: &Path, database_url: &str, sqs_url: &str) -> anyhow::Result<Self> {
        let redis = Redis::start_fresh(home, server::free_port(0).await?).await?;
        let redis_url = redis.url();
        let over_redis = over_redis(database_url, &redis_url, 0).await?;
        let over_sqs = over_sqs(database_url, sqs_url, 0).await?;
        let all = vec![Service::of(over_redis)?, Service::of(over_sqs)?];
        Ok(Self { redis: Mutex::new(redis), redis_url, all, home: home.to_owned() })
    }

    /// What makes the workers publish to them, from the first command on.
    pub(crate) fn sinks(&self) -> BTreeMap<String, String> {
        let mut sinks = sinks(&self.redis_url);
        for name in ["STREAM", "QUEUE"] {
            sinks.insert(format!("HOLDFAST__EVENTS__SINKS__{name}__FROM"), "beginning".to_owned());
        }
        sinks
    }

    /// Starts what does not run.
    pub(crate) async fn keep_running(&self) -> anyhow::Result<()> {
        for service in &self.all {
            for (no, process) in service.processes.lock().await.iter_mut().enumerate() {
                let running = process.child.as_mut().map(Child::try_wait).transpose().context("look after it")?;
                if running.is_none_or(|ended| ended.is_some()) {
                    let log = self.home.join(format!("{}-{no}.log", service.name));
                    process.child = Some(binaries::start(BINARY, &process.environment, &log)?);
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn crash_redis(&self, pause: Duration) -> anyhow::Result<()> {
        let mut redis = self.redis.lock().await;
        redis.crash().await?;
        holdfast_app::pause(pause).await;
        redis.recover().await
    }

    pub(crate) async fn heal(&self) -> anyhow::Result<()> {
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
    fn of(service: OrderService) -> anyhow::Result<Self> {
        let OrderService { name, database_url, mut environment, .. } = service;
        environment.extend(FASTER.map(|(name, value)| (name.to_owned(), value.to_owned())));
        // Nobody asks them anything: any port will do.
        environment.insert("LISTEN".to_owned(), "127.0.0.1:0".to_owned());
        let process = || Process { environment: environment.clone(), child: None };
        let pool = PgPool::connect_lazy(&database_url).context("read the URL of a database")?;
        Ok(Self { name, pool, processes: Mutex::new((0..INSTANCES).map(|_| process()).collect()) })
    }

    /// To one process, if it runs.
    pub(crate) async fn signal(&self, instance: usize, signal: Signal) {
        let processes = self.processes.lock().await;
        if let Some(pid) = processes[instance].child.as_ref().and_then(Child::id) {
            kill(Pid::from_raw(pid as i32), signal).ok();
        }
    }
}
