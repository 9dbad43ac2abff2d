//! One test's stack.

use crate::surroundings::{app, database, free_port, logs, redirected, service, unique_name};
use crate::{RuntimeApi, clock, eventually};
use aws_sdk_sqs::Client as SqsClient;
use holdfast_app::App;
use holdfast_app::credentials::create_client;
use holdfast_devstack::inbox::Inbox;
use holdfast_devstack::sandbox::Sandbox;
use holdfast_devstack::settings::{self, REGION, Surroundings, WEBHOOK_SECRET};
use holdfast_devstack::webhooks::Webhooks;
use holdfast_devstack::{binaries, queues, server};
use holdfast_domain::Kind;
use reqwest::Client;
use sqlx::PgPool;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::Child;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

/// How long a binary may take to end once it is asked to …
const PATIENCE: Duration = Duration::from_secs(60);

/// … and how long it would wait for what is under way: longer than that, so that what never ends is seen.
const ENDLESS: &str = "3600000";

/// How long the API waits for Postgres where that is not kept from answering: no pause of a busy machine is an outage.
const UNHURRIED: &str = "20000";

/// How a stack differs from the usual.
#[derive(Default)]
pub struct Options {
    /// More environment for the binaries.
    pub environment: Vec<(&'static str, String)>,
    /// A partner of the test's own, in place of the sandbox.
    pub partner: Option<axum::Router>,
    /// SQS is reached at this address.
    pub sqs_url: Option<String>,
    /// The binaries reach Postgres at this address; the test itself does so directly.
    pub database_address: Option<SocketAddr>,
}

pub struct Stack {
    pub api_url: String,
    pub api_key: String,
    /// `whsec_…`
    pub callback_secret: String,
    pub inbox_url: String,
    pub pool: PgPool,
    pub sandbox: Sandbox,
    /// As the partners send them.
    pub webhooks: Webhooks,
    pub inbox: Inbox,
    pub sqs: SqsClient,
    /// Queue names by their key in `terraform/queues.json`.
    pub queues: HashMap<String, String>,
    pub app: App,
    pub(crate) client: Client,
    pub(crate) environment: BTreeMap<String, String>,
    /// Reached directly.
    pub(crate) database_url: String,
    pub(crate) logs: PathBuf,
    api: Option<Child>,
    workers: Vec<Child>,
    _servers: DropGuard,
}

impl Stack {
    /// A stack with API and worker.
    pub async fn start() -> Self {
        let mut stack = Self::with(Options::default()).await;
        stack.start_worker();
        stack
    }

    /// A stack with an API and no worker.
    pub async fn with(options: Options) -> Self {
        let name = unique_name();
        let database_url = database(&name).await;
        let stop = CancellationToken::new();
        let (sandbox, inbox) = (Sandbox::default(), Inbox::default());
        let partner = options.partner.unwrap_or_else(|| sandbox.router());
        let serve = async |router| {
            let listener = server::bind(0).await.expect("bind a free port");
            format!("http://{}", server::serve(listener, router, stop.clone()).expect("serve"))
        };
        let (sandbox_url, inbox_url) = (serve(partner).await, serve(inbox.router()).await);
        let direct = service("AWS_ENDPOINT_URL_SQS");
        let sqs = queues::client(&direct, REGION).await;
        let queues = queues::create(&sqs, &format!("{name}-")).await.expect("create the queues");
        let api_port = free_port().await;
        let api_url = format!("http://127.0.0.1:{api_port}");
        let webhooks_url = format!("{api_url}/api/v1/webhooks");
        sandbox.send_webhooks(&webhooks_url, WEBHOOK_SECRET);
        let direct_database_url = database_url.clone();
        let database_url = match options.database_address {
            Some(address) => redirected(&database_url, address),
            None => database_url,
        };
        let mut environment = settings::environment(&Surroundings {
            database_url: &database_url,
            sqs_url: options.sqs_url.as_deref().unwrap_or(&direct),
            sandbox_url: &sandbox_url,
            api_port,
            queues: &queues,
        });
        let faster = [
            ("HOLDFAST__WORKER__RECEIVE_WAIT_MS", "2000"),
            ("HOLDFAST__API__GRACE_MS", ENDLESS),
            ("HOLDFAST__WORKER__GRACE_MS", ENDLESS),
            ("RUST_LOG", "info,aws=warn"),
        ];
        environment.extend(settings::unlimited());
        environment.extend(faster.map(|(name, value)| (name.to_owned(), value.to_owned())));
        if options.database_address.is_none() {
            let waits = ["API__ACCEPT_TIMEOUT_MS", "DATABASE__ACQUIRE_TIMEOUT_MS", "DATABASE__STATEMENT_TIMEOUT_MS"];
            environment.extend(waits.map(|name| (format!("HOLDFAST__{name}"), UNHURRIED.to_owned())));
        }
        environment.extend(options.environment.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let app = app(&environment, &direct_database_url).await;
        holdfast_store::schema::migrate(&app.pool).await.expect("migrate");
        let client = create_client(&app, "test", None).await.expect("create a client").expect("the name is free");
        let logs = logs(&name);
        let mut stack = Self {
            api_url,
            webhooks: Webhooks::new(&webhooks_url, WEBHOOK_SECRET),
            api_key: client.api_key,
            callback_secret: client.callback_secret,
            inbox_url,
            pool: app.pool.connections().clone(),
            sandbox,
            inbox,
            sqs,
            queues,
            app,
            client: Client::builder().no_proxy().build().expect("build a client"),
            environment,
            database_url: direct_database_url,
            logs,
            api: None,
            workers: Vec::new(),
            _servers: stop.drop_guard(),
        };
        stack.start_api(&[]).await;
        stack
    }

    /// Starts the API, with more environment, and waits until it is ready.
    pub async fn start_api(&mut self, more: &[(&str, &str)]) {
        self.api = Some(self.spawn("holdfast-api", more));
        let ready = format!("{}/readyz", self.api_url);
        eventually("the API is ready", || async {
            let response = self.client.get(&ready).send().await.ok()?;
            response.status().is_success().then_some(())
        })
        .await;
    }

    pub fn start_worker(&mut self) {
        self.start_worker_with(&[]);
    }

    pub fn start_worker_with(&mut self, more: &[(&str, &str)]) {
        let worker = self.spawn("holdfast-worker", more);
        self.workers.push(worker);
    }

    /// The worker's handlers as a function of this runtime. It is killed with the workers.
    pub fn start_lambda(&mut self, runtime: &RuntimeApi) {
        self.start_lambda_with(runtime, &[]);
    }

    pub fn start_lambda_with(&mut self, runtime: &RuntimeApi, more: &[(&str, &str)]) {
        let address = runtime.address().to_string();
        let of_the_service = [
            ("AWS_LAMBDA_RUNTIME_API", &*address),
            ("AWS_LAMBDA_FUNCTION_NAME", "holdfast"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ];
        let function = self.spawn("holdfast-lambda", &[&of_the_service, more].concat());
        self.workers.push(function);
    }

    fn spawn(&self, name: &str, more: &[(&str, &str)]) -> Child {
        let mut environment = self.environment.clone();
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        binaries::start(name, &environment, &self.logs.join(format!("{name}.log"))).expect("start a binary")
    }

    /// SIGTERM. It ends when nothing is under way any more: its grace period is no help, see [`ENDLESS`].
    pub async fn stop_api(&mut self) {
        let mut api = self.api.take().expect("the API runs");
        assert!(binaries::stop(&mut api, PATIENCE).await.expect("stop the API"), "the API does not end by itself");
    }

    /// SIGTERM to every worker. They too end by themselves.
    pub async fn stop_workers(&mut self) {
        for mut worker in self.workers.drain(..) {
            assert!(binaries::stop(&mut worker, PATIENCE).await.expect("stop a worker"), "it does not end by itself");
        }
    }

    /// SIGKILL to every worker.
    pub async fn kill_workers(&mut self) {
        for mut worker in self.workers.drain(..) {
            worker.kill().await.expect("kill a worker");
        }
    }

    /// Whether the only worker still runs.
    pub fn worker_runs(&mut self) -> bool {
        let worker = self.workers.first_mut().expect("there is a worker");
        worker.try_wait().expect("ask for it").is_none()
    }

    /// Waits until the only worker has died by itself, and says whether a signal ended it.
    pub async fn worker_died(&mut self) -> bool {
        let mut worker = self.workers.pop().expect("a worker runs");
        let ended = tokio::time::timeout(Duration::from_secs(60), worker.wait()).await.expect("the worker dies");
        ended.expect("wait for the worker").code().is_none()
    }

    /// The same for the API.
    pub async fn api_died(&mut self) -> bool {
        let mut api = self.api.take().expect("the API runs");
        let ended = tokio::time::timeout(Duration::from_secs(60), api.wait()).await.expect("the API dies");
        ended.expect("wait for the API").code().is_none()
    }

    /// Moves the database's clock.
    pub async fn advance(&self, by: Duration) {
        clock::advance(&self.pool, by).await;
    }

    /// Whether a binary ends well, with the settings of this stack.
    pub async fn succeeds(&self, name: &str, arguments: &[&str]) -> bool {
        self.start_with(name, arguments).wait().await.expect("wait for it").success()
    }

    /// Starts a binary with arguments. It is killed when the handle is dropped.
    pub fn start_with(&self, name: &str, arguments: &[&str]) -> Child {
        let mut command = tokio::process::Command::new(binaries::path(name).expect("it is built"));
        command.args(arguments).envs(&self.environment).current_dir(&self.logs).kill_on_drop(true);
        command.stdout(std::process::Stdio::null()).spawn().expect("start it")
    }

    /// What an operator sees.
    pub async fn cli(&self, arguments: &[&str]) -> String {
        binaries::cli(&self.environment, arguments).await.expect("the command works")
    }

    /// A setting of the binaries.
    pub fn setting(&self, name: &str) -> &str {
        &self.environment[name]
    }

    /// What a binary has logged.
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.logs.join(format!("{name}.log"))).expect("a log")
    }

    /// Where the SQS of this test run listens, for a gate in front of it.
    pub fn sqs_address() -> SocketAddr {
        let url = Url::parse(&service("AWS_ENDPOINT_URL_SQS")).expect("a URL");
        url.socket_addrs(|| None).expect("an address")[0]
    }

    /// Where its Postgres listens.
    pub fn postgres_address() -> SocketAddr {
        let url = Url::parse(&service("DATABASE_URL")).expect("a URL");
        url.socket_addrs(|| Some(5432)).expect("an address")[0]
    }

    /// Sends a raw message to the queue of this kind.
    pub async fn send_message(&self, kind: Kind, body: &str) {
        let url = self.queue_url(kind.plural()).await;
        self.sqs.send_message().queue_url(url).message_body(body).send().await.expect("send");
    }

    pub async fn queue_url(&self, key: &str) -> String {
        let answer = self.sqs.get_queue_url().queue_name(&self.queues[key]).send().await.expect("the queue exists");
        answer.queue_url.expect("a queue has a URL")
    }
}
