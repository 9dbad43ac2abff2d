//! One test's stack.

use crate::{clock, eventually};
use aws_sdk_sqs::Client as SqsClient;
use holdfast_app::App;
use holdfast_app::config;
use holdfast_app::credentials::create_client;
use holdfast_devstack::inbox::{Delivery, Inbox};
use holdfast_devstack::sandbox::{Entry, Sandbox};
use holdfast_devstack::settings::{self, ORDER_PARTNER, REFUND_PARTNERS, REGION, Surroundings, WEBHOOK_SECRET};
use holdfast_devstack::webhooks::Webhooks;
use holdfast_devstack::{binaries, queues, server};
use holdfast_domain::Kind;
use holdfast_store::Pool;
use holdfast_store::pool::Limits;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, PgPool};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::process::Child;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

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
    client: Client,
    environment: BTreeMap<String, String>,
    logs: PathBuf,
    api: Option<Child>,
    workers: Vec<Child>,
    _servers: DropGuard,
}

/// What a 202 said.
#[derive(Clone, Debug)]
pub struct Submission {
    pub id: String,
    /// Path of the command.
    pub this: String,
}

impl Submission {
    fn kind(&self) -> Kind {
        let of_path = |kind: &Kind| self.this.contains(&format!("/{}/", kind.plural()));
        Kind::ALL.into_iter().find(of_path).expect("a path of some kind")
    }
}

#[expect(clippy::disallowed_methods, reason = "the services are named in the environment")]
fn service(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with `make test`"))
}

/// Unique in this run and, by the process id, among runs on the same services.
fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("t{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A port for a binary that is yet to bind it. Below those that the system gives out by itself: one of these could be
/// taken by a connection in between.
async fn port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let offset = (std::process::id() * 97 + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let wanted = 20_000 + offset as u16;
        if server::free_port(wanted).await.expect("find a free port") == wanted {
            return wanted;
        }
    }
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
        let api_port = port().await;
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
        let faster = [("HOLDFAST__WORKER__RECEIVE_WAIT_MS", "2000"), ("RUST_LOG", "info,aws=warn")];
        environment.extend(faster.map(|(name, value)| (name.to_owned(), value.to_owned())));
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

    fn spawn(&self, name: &str, more: &[(&str, &str)]) -> Child {
        let mut environment = self.environment.clone();
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        binaries::start(name, &environment, &self.logs.join(format!("{name}.log"))).expect("start a binary")
    }

    /// SIGTERM, and the exit status.
    pub async fn stop_api(&mut self) {
        let mut api = self.api.take().expect("the API runs");
        binaries::stop(&mut api, Duration::from_secs(30)).await.expect("stop the API");
    }

    /// SIGTERM to every worker.
    pub async fn stop_workers(&mut self) {
        for mut worker in self.workers.drain(..) {
            binaries::stop(&mut worker, Duration::from_secs(30)).await.expect("stop a worker");
        }
    }

    /// SIGKILL to every worker.
    pub async fn kill_workers(&mut self) {
        for mut worker in self.workers.drain(..) {
            worker.kill().await.expect("kill a worker");
        }
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

    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().expect("a method");
        self.client.request(method, format!("{}{path}", self.api_url)).bearer_auth(&self.api_key)
    }

    /// Submits a transaction as it is.
    pub async fn post(&self, body: &Value) -> Response {
        self.post_as(Kind::Transaction, body).await
    }

    pub async fn post_as(&self, kind: Kind, body: &Value) -> Response {
        let path = format!("/api/v1/{}", kind.plural());
        self.request("POST", &path).json(body).send().await.expect("an answer")
    }

    /// Submits a valid command of this kind with callbacks to the inbox.
    pub async fn submit_as(&self, kind: Kind, key: &str, amount: &str) -> Submission {
        let mut body = match kind {
            Kind::Transaction => json!({ "transactionId": key, "amount": amount, "currency": "EUR" }),
            Kind::Refund => {
                json!({ "refundId": key, "originalReference": "a sale", "amount": amount, "currency": "EUR" })
            }
            Kind::Order => json!({
                "orderId": key, "userId": "u", "productName": "tea", "quantity": 1, "totalPrice": amount,
            }),
        };
        body["callbackUrl"] = format!("{}/callbacks", self.inbox_url).into();
        Self::submission(self.post_as(kind, &body).await).await
    }

    /// A refund of this transaction.
    pub async fn refund(&self, key: &str, transaction: &str, amount: Option<&str>) -> Submission {
        let body = json!({ "refundId": key, "transactionId": transaction, "amount": amount });
        Self::submission(self.post_as(Kind::Refund, &body).await).await
    }

    /// Submits a valid transaction with callbacks to the inbox.
    pub async fn submit(&self, key: &str, amount: &str) -> Submission {
        self.submit_as(Kind::Transaction, key, amount).await
    }

    /// As a client does that takes a 503 at its word.
    pub async fn submit_until_accepted(&self, body: &Value) -> Submission {
        let accepted = eventually("it is accepted", || async {
            let response = self.post(body).await;
            (response.status() != StatusCode::SERVICE_UNAVAILABLE).then_some(response)
        });
        Self::submission(accepted.await).await
    }

    pub async fn submit_body(&self, body: &Value) -> Submission {
        Self::submission(self.post(body).await).await
    }

    async fn submission(response: reqwest::Response) -> Submission {
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        let body: Value = response.json().await.expect("a body");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        Submission { id: text(&body["id"]), this: text(&body["links"]["self"]) }
    }

    pub async fn get(&self, path: &str) -> Value {
        let response = self.request("GET", path).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.expect("a body")
    }

    /// The command once its status is settled, and its client told: nothing is owed any more.
    pub async fn settled(&self, submission: &Submission) -> Value {
        let what = format!("{} is settled and told (logs: {})", submission.id, self.logs.display());
        eventually(&what, || async {
            let owed = sqlx::query_scalar::<_, i64>(
                "select count(*) from wakeups join commands using (no) where id = $1::uuid",
            );
            let owed = owed.bind(&submission.id).fetch_one(&self.pool).await.ok()?;
            (owed == 0).then_some(())
        })
        .await;
        self.get(&submission.this).await
    }

    /// Like [`Self::settled`], but moves the clock whenever nothing is due before later.
    pub async fn settled_in_time(&self, submission: &Submission) -> Value {
        let what = format!("{} is settled and told (logs: {})", submission.id, self.logs.display());
        eventually(&what, || async {
            let owed = clock::advance_if_idle(&self.pool, &submission.id, Duration::from_secs(30)).await.ok()?;
            (owed == 0).then_some(())
        })
        .await;
        self.get(&submission.this).await
    }

    /// Entries of the audit trail, in order.
    pub async fn trail(&self, submission: &Submission) -> Vec<Value> {
        let trail = self.get(&format!("{}/events", submission.this)).await;
        trail["data"].as_array().expect("a list").clone()
    }

    /// What the partner's book says.
    pub fn at_partner(&self, submission: &Submission) -> Entry {
        self.sandbox.entry(&submission.id).unwrap_or_default()
    }

    /// What the book of each partner says that takes part in this kind.
    pub fn at_partners(&self, kind: Kind, submission: &Submission) -> Vec<Entry> {
        at_partners(&self.sandbox, kind, submission)
    }

    /// What the client was told of the end.
    pub fn told(&self, submission: &Submission) -> Vec<Delivery> {
        let mut deliveries = self.inbox.about(&submission.id);
        deliveries.retain(|delivery| delivery.kind != format!("{}.pending", submission.kind()));
        deliveries
    }

    /// What the client was told while it was not yet decided.
    pub fn told_pending(&self, submission: &Submission) -> Vec<Delivery> {
        let mut deliveries = self.inbox.about(&submission.id);
        deliveries.retain(|delivery| delivery.kind == format!("{}.pending", submission.kind()));
        deliveries
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

/// The same at a sandbox of the test's own.
pub fn at_partners(sandbox: &Sandbox, kind: Kind, submission: &Submission) -> Vec<Entry> {
    let at = |partner: &str| sandbox.entry_at(partner, &submission.id).unwrap_or_default();
    match kind {
        Kind::Transaction => vec![sandbox.entry(&submission.id).unwrap_or_default()],
        Kind::Refund => REFUND_PARTNERS.into_iter().map(at).collect(),
        Kind::Order => vec![at(ORDER_PARTNER)],
    }
}

/// A database of the test's own, on the server that the environment names.
async fn database(name: &str) -> String {
    let server = service("DATABASE_URL");
    let mut connection = PgConnection::connect(&server).await.expect("connect to postgres");
    let sql = format!("create database \"{name}\"");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.expect("create a database");
    let mut url = Url::parse(&server).expect("DATABASE_URL is a URL");
    url.set_path(name);
    url.into()
}

fn redirected(database_url: &str, address: SocketAddr) -> String {
    let mut url = Url::parse(database_url).expect("a URL");
    url.set_ip_host(address.ip()).expect("a host");
    url.set_port(Some(address.port())).expect("a port");
    url.into()
}

/// A migrated database of the test's own, for tests of single statements.
pub async fn database_alone() -> Pool {
    let url = database(&unique_name()).await;
    let limits = Limits {
        connections: 60,
        acquire_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(30),
    };
    let pool = Pool::lazy(&url, "holdfast-test", limits).expect("a URL");
    holdfast_store::schema::migrate(&pool).await.expect("migrate");
    pool
}

/// A connection to the server's own database, for what a test does to its own one from outside.
pub async fn admin() -> PgPool {
    PgPool::connect(&service("DATABASE_URL")).await.expect("connect to postgres")
}

/// The same configuration that the binaries read, for looking behind the scenes.
async fn app(environment: &BTreeMap<String, String>, database_url: &str) -> App {
    let mut environment = environment.clone();
    // How soon a binary gives up is its own affair.
    environment.retain(|name, _| !name.starts_with("HOLDFAST__DATABASE__"));
    environment.insert("DATABASE_URL".to_owned(), database_url.to_owned());
    let config = config::from_pairs(environment).expect("valid configuration");
    App::new(config, "holdfast-test").await.expect("an app")
}

/// Where the binaries of this test log.
fn logs(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("find this program");
    let target = this.ancestors().nth(3).expect("target/debug/deps").to_owned();
    let logs = target.join("test-logs").join(name);
    std::fs::create_dir_all(&logs).expect("create the folder of logs");
    logs
}
