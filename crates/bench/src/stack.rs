//! One API, one worker, and everything that they talk to, each in a process of its own.

use crate::load::{OTHER, Target, WATCHED};
use crate::mock::{Manners, Seen};
use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use holdfast_app::credentials::create_client;
use holdfast_app::{App, config, pause};
use holdfast_devstack::postgres::Postgres;
use holdfast_devstack::settings::{self, REGION, Surroundings};
use holdfast_devstack::{binaries, events, queues, server};
use holdfast_store::event_sinks;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

pub(crate) struct Stack {
    pub(crate) target: Target,
    pub(crate) app: App,
    pub(crate) pool: PgPool,
    pub(crate) sqs_client: aws_sdk_sqs::Client,
    /// Where nobody listens.
    pub(crate) spare_queue: String,
    pub(crate) sqs: Child,
    pub(crate) mock: Child,
    pub(crate) api: Option<Child>,
    pub(crate) worker: Option<Child>,
    /// Of events for others.
    pub(crate) publisher: Option<Child>,
    sqs_calls: SocketAddr,
    pub(crate) mock_address: SocketAddr,
    environment: BTreeMap<String, String>,
    home: PathBuf,
}

impl Stack {
    /// With an empty database and empty queues; neither the API nor the worker runs.
    pub(crate) async fn start(postgres: &Postgres, home: &Path, name: &str) -> anyhow::Result<Self> {
        let url = postgres.url(name);
        holdfast_store::schema::ensure_database(&url).await.context("create the database")?;
        let (sqs_address, sqs_calls, mock_address, api) = (port().await?, port().await?, port().await?, port().await?);
        let sqs = role(home, &["sqs", &sqs_address.to_string(), &sqs_calls.to_string()])?;
        let mock = role(home, &["mock", &mock_address.to_string()])?;
        listening(sqs_address).await?;
        listening(mock_address).await?;
        let sqs_client = queues::client(&format!("http://{sqs_address}"), REGION).await;
        let queues = queues::create(&sqs_client, "").await?;
        let spare = sqs_client.create_queue().queue_name("spare").send().await.context("create a queue")?;
        let mut environment = settings::environment(&Surroundings {
            database_url: &url,
            sqs_url: &format!("http://{sqs_address}"),
            sandbox_url: &format!("http://{mock_address}"),
            api_port: api.port(),
            queues: &queues,
        });
        environment.insert("RUST_LOG".to_owned(), "warn".to_owned());
        environment.extend(settings::unlimited());
        // Six processes share the machine's cores: a second thread of one is taken from the others.
        let threads = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
        environment.insert("TOKIO_WORKER_THREADS".to_owned(), threads.to_string());
        let app = App::new(config::from_pairs(environment.clone())?, "holdfast-bench").await?;
        holdfast_store::schema::migrate(&app.pool).await.context("migrate")?;
        sqlx::query("create extension if not exists pg_stat_statements")
            .execute(app.pool.connections())
            .await
            .context("count")?;
        let sink = format!("http://{mock_address}/sink");
        let client =
            create_client(&app, &format!("bench {mock_address}"), Some(&sink)).await?.context("the name is free")?;
        Ok(Self {
            target: Target { api, api_key: client.api_key, mark: WATCHED },
            pool: app.pool.connections().clone(),
            app,
            sqs_client,
            spare_queue: spare.queue_url.context("it has a url")?,
            sqs,
            mock,
            api: None,
            worker: None,
            publisher: None,
            sqs_calls,
            mock_address,
            environment,
            home: home.to_owned(),
        })
    }

    pub(crate) async fn start_api(&mut self) -> anyhow::Result<()> {
        let mut api = binaries::start("holdfast-api", &self.environment, &self.home.join("api.log"))?;
        while send(self.target.api, "GET", "/readyz", "").await.is_err() {
            if let Some(status) = api.try_wait().context("look after the API")? {
                bail!("the API ended with {status}, its log: {}", self.home.join("api.log").display());
            }
            pause(Duration::from_millis(20)).await;
        }
        self.api = Some(api);
        Ok(())
    }

    pub(crate) fn start_worker(&mut self) -> anyhow::Result<()> {
        self.worker = Some(binaries::start("holdfast-worker", &self.environment, &self.home.join("worker.log"))?);
        Ok(())
    }

    /// In a process of its own, to Redis and to a queue.
    pub(crate) async fn start_publisher(&mut self, redis_url: &str) -> anyhow::Result<()> {
        queues::create_events(&self.sqs_client, events::NAME).await?;
        let mut environment = self.environment.clone();
        environment.extend(events::sinks(redis_url));
        environment.insert("HOLDFAST_QUEUES".to_owned(), "events".to_owned());
        self.publisher = Some(binaries::start("holdfast-worker", &environment, &self.home.join("publisher.log"))?);
        while event_sinks::standing(&self.app.pool, 1).await?.iter().filter(|sink| sink.is_held).count() < 2 {
            pause(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Until the sinks have everything, if there are any.
    pub(crate) async fn published(&self, patience: Duration) -> anyhow::Result<()> {
        let wait = async {
            while event_sinks::standing(&self.app.pool, 1).await?.iter().any(|sink| sink.lag > 0) {
                pause(Duration::from_millis(200)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(patience, wait).await.context("the sinks do not catch up")?
    }

    /// With a setting that is another from now on.
    pub(crate) async fn restart_api(&mut self, name: &str, value: &str) -> anyhow::Result<()> {
        let mut api = self.api.take().context("the API runs")?;
        binaries::stop(&mut api, Duration::from_secs(30)).await?;
        self.environment.insert(name.to_owned(), value.to_owned());
        self.start_api().await
    }

    pub(crate) async fn stop_worker(&mut self) -> anyhow::Result<()> {
        let mut worker = self.worker.take().context("the worker runs")?;
        binaries::stop(&mut worker, Duration::from_secs(30)).await.map(drop)
    }

    /// A client beside the one that is looked at, told at the same place.
    pub(crate) async fn another_client(&self) -> anyhow::Result<Target> {
        let sink = format!("http://{}/sink", self.mock_address);
        let client = create_client(&self.app, "another", Some(&sink)).await?.context("the name is free")?;
        Ok(Target { api: self.target.api, api_key: client.api_key, mark: OTHER })
    }

    pub(crate) async fn manners(&self, manners: Manners) -> anyhow::Result<()> {
        send(self.mock_address, "PUT", "/manners", &serde_json::to_string(&manners)?).await.map(drop)
    }

    pub(crate) async fn seen(&self) -> anyhow::Result<Seen> {
        request(self.mock_address, "GET", "/seen", "").await
    }

    /// Until the sink knows of so many completed commands.
    pub(crate) async fn completed(&self, count: u64, patience: Duration) -> anyhow::Result<Seen> {
        let wait = async {
            loop {
                let seen = self.seen().await?;
                if seen.completed >= count {
                    return anyhow::Ok(seen);
                }
                pause(Duration::from_millis(50)).await;
            }
        };
        match tokio::time::timeout(patience, wait).await {
            Ok(seen) => seen,
            Err(_elapsed) => anyhow::bail!("{} of {count} are completed", self.seen().await?.completed),
        }
    }

    /// Requests to SQS by operation.
    pub(crate) async fn sqs_calls(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        request(self.sqs_calls, "GET", "/", "").await
    }

    /// How long SQS takes to answer, beside what it needs.
    pub(crate) async fn sqs_distance(&self, ms: u64) -> anyhow::Result<()> {
        send(self.sqs_calls, "PUT", "/distance", &ms.to_string()).await.map(drop)
    }

    /// Ends what is measured, and leaves what it talks to.
    pub(crate) async fn rest(&mut self) -> anyhow::Result<()> {
        for mut child in [self.publisher.take(), self.worker.take(), self.api.take()].into_iter().flatten() {
            binaries::stop(&mut child, Duration::from_secs(10)).await?;
        }
        Ok(())
    }

    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.rest().await?;
        // Its connections are kept by the app: they close with it.
        drop((self.pool, self.app));
        self.sqs.kill().await.context("end the emulator")?;
        self.mock.kill().await.context("end the mock")
    }
}

/// This program in another role.
fn role(home: &Path, arguments: &[&str]) -> anyhow::Result<Child> {
    let log = std::fs::File::options().create(true).append(true).open(home.join("roles.log")).context("open a log")?;
    let program = std::env::current_exe().context("find this program")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0).kill_on_drop(true);
    command.spawn().context("start a role")
}

async fn port() -> anyhow::Result<SocketAddr> {
    Ok(SocketAddr::from(([127, 0, 0, 1], server::quiet_port().await?)))
}

async fn listening(address: SocketAddr) -> anyhow::Result<()> {
    for _ in 0..500 {
        if TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        pause(Duration::from_millis(20)).await;
    }
    bail!("nobody listens on {address}")
}

async fn request<T: DeserializeOwned>(address: SocketAddr, method: &str, path: &str, body: &str) -> anyhow::Result<T> {
    let answer = send(address, method, path, body).await?;
    serde_json::from_slice(&answer).context("read the answer")
}

async fn send(address: SocketAddr, method: &str, path: &str, body: &str) -> anyhow::Result<Bytes> {
    let stream = TcpStream::connect(address).await.context("connect")?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.context("speak HTTP")?;
    tokio::spawn(connection);
    let body = Full::new(Bytes::from(body.to_owned()));
    let request = Request::builder().method(method).uri(path).header("host", address.to_string()).body(body)?;
    let response = sender.send_request(request).await.context("no answer")?;
    ensure!(response.status().is_success(), "{method} {path}: {}", response.status());
    Ok(response.into_body().collect().await.context("no body")?.to_bytes())
}
