//! What is attacked: two APIs and two workers, Postgres and SQS behind gates, third parties and an inbox.

use crate::Arguments;
use crate::inbox::Inbox;
use crate::partner::Partners;
use anyhow::Context as _;
use aws_sdk_sqs::types::QueueAttributeName;
use holdfast_app::credentials::create_client;
use holdfast_app::{App, config, pause};
use holdfast_devstack::gate::Gate;
use holdfast_devstack::postgres::Postgres;
use holdfast_devstack::settings::{self, REGION, Surroundings};
use holdfast_devstack::{binaries, queues, server, sqs as emulator};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::PgPool;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Child;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use url::Url;

pub(crate) use holdfast_devstack::settings::WEBHOOK_SECRET;

/// Of each binary.
pub(crate) const INSTANCES: usize = 2;

/// Everything that takes minutes or hours in earnest.
const FASTER: &[(&str, &str)] = &[
    ("HOLDFAST__WORKER__LEASE_MS", "6000"),
    ("HOLDFAST__WORKER__HEARTBEAT_MS", "500"),
    ("HOLDFAST__WORKER__SILENCE_MS", "2500"),
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

pub(crate) struct World {
    pub(crate) partners: Partners,
    pub(crate) inbox: Inbox,
    /// Of the clients.
    pub(crate) api_keys: Vec<String>,
    pub(crate) api_urls: Vec<String>,
    pub(crate) postgres_gate: Gate,
    pub(crate) sqs_gate: Gate,
    /// Not through the gate.
    pub(crate) pool: PgPool,
    sqs: aws_sdk_sqs::Client,
    queues: HashMap<String, String>,
    pub(crate) postgres: Postgres,
    environment: BTreeMap<String, String>,
    home: PathBuf,
    children: Mutex<Vec<Running>>,
    stop: CancellationToken,
}

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

impl World {
    pub(crate) async fn start(home: &Path, arguments: &Arguments, stop: &CancellationToken) -> anyhow::Result<Self> {
        let postgres = Postgres::start_fresh(home, server::free_port(54349).await?).await?;
        holdfast_store::schema::ensure_database(&postgres.url("holdfast")).await.context("create the database")?;
        let postgres_gate = Gate::before(address(&postgres.url("holdfast"))?).await;
        let listener = server::bind(0).await?;
        let direct_sqs = format!("http://{}", listener.local_addr().context("read the port")?);
        tokio::spawn(emulator::serve(listener, stop.clone()));
        let sqs_gate = Gate::before(address(&direct_sqs)?).await;
        let sqs = queues::client(&direct_sqs, REGION).await;
        let queues = queues::create(&sqs, "").await?;
        let partners = Partners::new(arguments.seed, !arguments.zombies);
        let inbox = Inbox::new(arguments.seed);
        let partners_url =
            format!("http://{}", server::serve(server::bind(0).await?, partners.router(), stop.clone())?);
        let inbox_url = format!("http://{}", server::serve(server::bind(0).await?, inbox.router(), stop.clone())?);
        let api_urls = free_urls().await?;
        let mut gated = Url::parse(&postgres.url("holdfast")).context("read the URL")?;
        gated.set_port(Some(postgres_gate.address.port())).ok().context("set the port")?;
        let mut environment = settings::environment(&Surroundings {
            database_url: gated.as_str(),
            sqs_url: &format!("http://{}", sqs_gate.address),
            sandbox_url: &partners_url,
            api_port: 0,
            queues: &queues,
        });
        environment.extend(faster());
        let mut direct = environment.clone();
        direct.insert("DATABASE_URL".to_owned(), postgres.url("holdfast"));
        let app = App::new(config::from_pairs(direct)?, "holdfast-chaos").await?;
        holdfast_store::schema::migrate(&app.pool).await.context("migrate")?;
        let mut api_keys = Vec::new();
        for name in ["first", "second", "third"] {
            let url = format!("{inbox_url}/callbacks");
            let client = create_client(&app, name, Some(&url)).await?.context("the name is free")?;
            api_keys.push(client.api_key);
        }
        let world = Self {
            pool: app.pool.connections().clone(),
            partners,
            inbox,
            api_keys,
            api_urls,
            postgres_gate,
            sqs_gate,
            sqs,
            queues,
            postgres,
            environment,
            home: home.to_owned(),
            children: Mutex::new(Vec::new()),
            stop: stop.clone(),
        };
        world.keep_running().await?;
        world.wait_until_ready().await;
        Ok(world)
    }

    pub(crate) fn webhooks_url(&self) -> String {
        format!("{}/api/v1/webhooks", self.api_urls[0])
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
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

    pub(crate) async fn wait_until_ready(&self) {
        let client = reqwest::Client::builder().no_proxy().build().expect("a plain client");
        for url in &self.api_urls {
            let ready = format!("{url}/readyz");
            while !client.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
                pause(Duration::from_millis(50)).await;
            }
        }
    }

    /// Ends every fault.
    pub(crate) async fn heal(&self) -> anyhow::Result<()> {
        self.postgres_gate.open();
        self.sqs_gate.open();
        self.partners.be_nice();
        self.inbox.be_nice();
        for binary in [Binary::Api, Binary::Worker] {
            for instance in 0..INSTANCES {
                self.signal(binary, instance, Signal::SIGCONT).await;
            }
        }
        if sqlx::query("select 1").execute(&self.pool).await.is_err() {
            self.postgres.recover().await.ok();
        }
        self.keep_running().await?;
        self.wait_until_ready().await;
        Ok(())
    }

    /// Waits until nothing is owed and the journal is read. Answers whether that came to be.
    pub(crate) async fn settle(&self, patience: Duration) -> bool {
        let started = Instant::now();
        let mut quiet = 0;
        while started.elapsed() < patience && !self.is_stopping() {
            let owed = sqlx::query_scalar::<_, i64>("select count(*) from wakeups").fetch_one(&self.pool).await;
            // Journal entries may be invisible for their visibility timeout: what is accepted by queue has a row in the end.
            quiet = if owed.is_ok_and(|owed| owed == 0) { quiet + 1 } else { 0 };
            if quiet > 20 && self.journal_is_empty().await {
                return true;
            }
            self.keep_running().await.ok();
            pause(Duration::from_millis(100)).await;
        }
        false
    }

    /// Nothing waits there, and nothing is in anybody's hands.
    async fn journal_is_empty(&self) -> bool {
        let Some(name) = self.queues.get("journal") else { return false };
        let Ok(answer) = self.sqs.get_queue_url().queue_name(name).send().await else { return false };
        let request = self.sqs.get_queue_attributes().set_queue_url(answer.queue_url);
        let request = request.attribute_names(QueueAttributeName::ApproximateNumberOfMessages);
        let request = request.attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
        let counts = request.send().await.ok().and_then(|answer| answer.attributes);
        counts.is_some_and(|counts| counts.values().all(|count| count == "0"))
    }

    pub(crate) async fn end(&self) {
        let mut children = std::mem::take(&mut *self.children.lock().await);
        for running in &mut children {
            running.child.kill().await.ok();
        }
        self.pool.close().await;
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
