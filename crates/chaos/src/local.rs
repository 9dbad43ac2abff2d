//! A stack of our own: Postgres and SQS behind gates, and the real binaries.

use crate::events::Services;
use anyhow::Context as _;
use holdfast_app::pause;
use holdfast_devstack::events::NAME;
use holdfast_devstack::gate::Gate;
use holdfast_devstack::postgres::Postgres;
use holdfast_devstack::settings::{self, REGION, Surroundings};
use holdfast_devstack::{binaries, queues, server, sqs as emulator};
use holdfast_queue::Clients;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Child;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Of each binary.
pub(crate) const INSTANCES: usize = 2;

/// Everything that takes minutes or hours in earnest.
const FASTER: &[(&str, &str)] = &[
    ("HOLDFAST__WORKER__LEASE_MS", "6000"),
    ("HOLDFAST__WORKER__OVERDUE_MS", "1000"),
    ("HOLDFAST__WORKER__RECEIVE_WAIT_MS", "2000"),
    ("HOLDFAST__DATABASE__STATEMENT_TIMEOUT_MS", "2000"),
    ("HOLDFAST__DATABASE__ACQUIRE_TIMEOUT_MS", "1000"),
    ("HOLDFAST__CALLBACKS__TIMEOUT_MS", "1000"),
    ("HOLDFAST__CALLBACKS__RETRY_AFTER_CAP_MS", "500"),
    ("HOLDFAST__API__DRAIN_MS", "1000"),
    ("RUST_LOG", "warn,aws=error"),
];

const FASTER_PARTNERS: &[(&str, &str)] = &[
    ("CREATE_TIMEOUT_MS", "1000"),
    ("LOOKUP_TIMEOUT_MS", "1000"),
    ("TRIES", "6"),
    ("TRY_DELAY_MS", "1500"),
    ("LOOKUP_RETRY_MS", "300"),
    ("POLL_CAP_MS", "500"),
    ("SETTLE_WITHIN_MS", "30000"),
    ("BREAKER_OPEN_MS", "500"),
    ("BREAKER_CAP_MS", "2000"),
];

/// One of the two binaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Api,
    Worker,
}

struct Running {
    binary: Binary,
    instance: usize,
    child: Child,
}

/// What faults can be done to.
pub(crate) struct Local {
    pub(crate) postgres: Postgres,
    pub(crate) postgres_gate: Gate,
    pub(crate) sqs_gate: Gate,
    pub(crate) api_urls: Vec<String>,
    /// Not through the gate.
    pub(crate) sqs: Clients,
    environment: BTreeMap<String, String>,
    home: PathBuf,
    children: Mutex<Vec<Running>>,
}

impl Local {
    /// Starts everything but the binaries.
    pub(crate) async fn start(home: &Path, partners_url: &str, stop: &CancellationToken) -> anyhow::Result<Self> {
        let postgres = Postgres::start_fresh(home, 54349).await?;
        holdfast_store::schema::ensure_database(&postgres.url("holdfast")).await.context("create the database")?;
        let postgres_gate = Gate::before(address(&postgres.url("holdfast"))?).await;
        let listener = server::bind(0).await?;
        let direct_sqs = format!("http://{}", listener.local_addr().context("read the port")?);
        tokio::spawn(emulator::serve(listener, stop.clone()));
        let sqs_gate = Gate::before(address(&direct_sqs)?).await;
        let sqs = queues::client(&direct_sqs, REGION).await;
        let queues = queues::create(&sqs, "").await?;
        let mut gated = Url::parse(&postgres.url("holdfast")).context("read the URL")?;
        gated.set_port(Some(postgres_gate.address.port())).ok().context("set the port")?;
        let mut environment = settings::environment(&Surroundings {
            database_url: gated.as_str(),
            sqs_url: &format!("http://{}", sqs_gate.address),
            sandbox_url: partners_url,
            api_port: 0,
            queues: &queues,
        });
        environment.extend(settings::unlimited());
        environment.extend(faster());
        Ok(Self {
            postgres,
            postgres_gate,
            sqs_gate,
            api_urls: free_urls().await?,
            sqs: Clients::from(sqs),
            environment,
            home: home.to_owned(),
            children: Mutex::new(Vec::new()),
        })
    }

    /// Starts Redis and what the order services stand on, and makes the workers publish to them. They reach SQS through the
    /// same gate.
    pub(crate) async fn start_services(&mut self) -> anyhow::Result<Services> {
        let sqs_url = format!("http://{}", self.sqs_gate.address);
        let services = Services::start(&self.home, &self.postgres.url("holdfast"), &sqs_url).await?;
        queues::create_events(&queues::client(&sqs_url, REGION).await, NAME).await?;
        self.environment.extend(services.sinks());
        Ok(services)
    }

    /// As the binaries have it, but past the gate of Postgres.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let mut environment = self.environment.clone();
        environment.insert("DATABASE_URL".to_owned(), self.postgres.url("holdfast"));
        environment
    }

    /// Starts what does not run.
    pub(crate) async fn keep_running(&self) -> anyhow::Result<()> {
        let mut children = self.children.lock().await;
        children.retain_mut(|running| running.child.try_wait().is_ok_and(|ended| ended.is_none()));
        for binary in [Binary::Api, Binary::Worker] {
            for instance in 0..INSTANCES {
                if !children.iter().any(|running| running.binary == binary && running.instance == instance) {
                    let child = self.spawn(binary, instance)?;
                    children.push(Running { binary, instance, child });
                }
            }
        }
        Ok(())
    }

    fn spawn(&self, binary: Binary, instance: usize) -> anyhow::Result<Child> {
        let name = match binary {
            Binary::Api => "holdfast-api",
            Binary::Worker => "holdfast-worker",
        };
        let mut environment = self.environment.clone();
        let listen = self.api_urls[instance].trim_start_matches("http://").to_owned();
        environment.insert("HOLDFAST__API__LISTEN".to_owned(), listen);
        binaries::start(name, &environment, &self.home.join(format!("{name}-{instance}.log")))
    }

    pub(crate) async fn pid(&self, binary: Binary, instance: usize) -> Option<u32> {
        let children = self.children.lock().await;
        let running = children.iter().find(|running| running.binary == binary && running.instance == instance)?;
        running.child.id()
    }

    /// Waits until a process that was asked to has ended.
    pub(crate) async fn wait_for_end(&self, binary: Binary, instance: usize) {
        loop {
            let mut children = self.children.lock().await;
            let mut others = children.iter_mut();
            let running = others.find(|running| running.binary == binary && running.instance == instance);
            if running.is_none_or(|running| running.child.try_wait().is_ok_and(|ended| ended.is_some())) {
                return;
            }
            drop(children);
            pause(Duration::from_millis(20)).await;
        }
    }

    /// Sends a signal to one process, if it runs.
    pub(crate) async fn signal(&self, binary: Binary, instance: usize, signal: Signal) {
        let children = self.children.lock().await;
        let running = children.iter().find(|running| running.binary == binary && running.instance == instance);
        if let Some(pid) = running.and_then(|running| running.child.id()) {
            kill(Pid::from_raw(pid as i32), signal).ok();
        }
    }

    /// Ends every fault, and starts again what died of one.
    pub(crate) async fn heal(&self, pool: &PgPool) -> anyhow::Result<()> {
        self.postgres_gate.open();
        self.sqs_gate.open();
        for binary in [Binary::Api, Binary::Worker] {
            for instance in 0..INSTANCES {
                self.signal(binary, instance, Signal::SIGCONT).await;
            }
        }
        if sqlx::query("select 1").execute(pool).await.is_err() {
            self.postgres.recover().await.ok();
        }
        self.keep_running().await
    }

    pub(crate) async fn end(&self) {
        let mut children = std::mem::take(&mut *self.children.lock().await);
        for running in &mut children {
            running.child.kill().await.ok();
        }
        if let Err(error) = self.postgres.stop().await {
            tracing::error!(error = format!("{error:#}"), "could not stop postgres");
        }
    }
}

async fn free_urls() -> anyhow::Result<Vec<String>> {
    let mut urls = Vec::new();
    for instance in 0..INSTANCES {
        // Below the ports that the system gives out by itself: a killed API must find its own free again.
        let wanted = 18_000 + (std::process::id() * 7 + instance as u32 * 3_001) % 9_000;
        urls.push(format!("http://127.0.0.1:{}", server::free_port(wanted as u16).await?));
    }
    Ok(urls)
}

fn faster() -> impl Iterator<Item = (String, String)> {
    let schedule = vec!["300"; 60].join(",");
    let fixed = FASTER.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let partners = settings::REFUND_PARTNERS.into_iter().chain([settings::ORDER_PARTNER, "processor"]);
    let partners = partners.flat_map(|partner| {
        let name = move |key: &str| format!("HOLDFAST__PARTNERS__{}__{key}", partner.to_uppercase());
        let fixed = FASTER_PARTNERS.iter().map(move |(key, value)| (name(key), (*value).to_owned()));
        // They do not know a key again: the first creation after a doubt must not follow at once.
        fixed.chain([(name("IDEMPOTENT"), "false".to_owned())])
    });
    fixed.chain(partners).chain([("HOLDFAST__CALLBACKS__SCHEDULE_MS".to_owned(), schedule)])
}

fn address(url: &str) -> anyhow::Result<std::net::SocketAddr> {
    let url = Url::parse(url).context("read the URL")?;
    url.socket_addrs(|| None).context("resolve it")?.first().copied().context("it has no address")
}
