//! The one typed configuration of all binaries: `holdfast.toml`, overridden by the environment.
//!
//! Every key can be set as `HOLDFAST__SECTION__KEY`. Names that are standard elsewhere work too: `DATABASE_URL`,
//! `AWS_REGION`, `AWS_ENDPOINT_URL_SQS`, `RUST_LOG`; AWS credentials come from the SDK's own chain. An unknown key is an
//! error, because a misspelt timeout is an outage later.

use anyhow::Context as _;
use holdfast_domain::Kind;
use holdfast_domain::money::Currency;
use holdfast_domain::schedule::Polling;
use holdfast_store::pool::Limits;
use secrecy::SecretString;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use url::Url;

/// A duration in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub struct Millis(u64);

impl Millis {
    pub const fn get(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `postgres://…`. Also `DATABASE_URL`.
    pub database_url: SecretString,
    /// 32 bytes or more in base64. Command ids are computed with it: never rotate it, never lose it.
    pub server_key: SecretString,
    #[serde(default)]
    pub database: Database,
    #[serde(default)]
    pub sqs: Sqs,
    #[serde(default)]
    pub queues: QueueNames,
    #[serde(default)]
    pub api: Api,
    #[serde(default)]
    pub worker: Worker,
    #[serde(default)]
    pub callbacks: Callbacks,
    /// Third parties by name.
    #[serde(default)]
    pub partners: BTreeMap<String, Partner>,
    /// Which partner takes transactions.
    #[serde(default)]
    pub transactions: Transactions,
    #[serde(default)]
    pub refunds: Refunds,
    #[serde(default)]
    pub orders: Orders,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// Connections per process.
    pub connections: u32,
    /// How long a request waits for a connection before Postgres counts as down.
    pub acquire_timeout_ms: Millis,
    /// Postgres itself ends a statement that takes longer.
    pub statement_timeout_ms: Millis,
}

impl Default for Database {
    fn default() -> Self {
        Self { connections: 10, acquire_timeout_ms: Millis(2_000), statement_timeout_ms: Millis(5_000) }
    }
}

impl Database {
    pub const fn limits(&self) -> Limits {
        Limits {
            connections: self.connections,
            acquire_timeout: self.acquire_timeout_ms.get(),
            statement_timeout: self.statement_timeout_ms.get(),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sqs {
    /// Also `AWS_REGION`.
    pub region: Option<String>,
    /// Another address than AWS's own. Also `AWS_ENDPOINT_URL_SQS`.
    pub endpoint_url: Option<String>,
}

/// Names of the queues; `terraform/queues.json` describes them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueNames {
    pub transactions: String,
    pub refunds: String,
    pub orders: String,
}

impl Default for QueueNames {
    fn default() -> Self {
        let name = |kind: Kind| format!("holdfast-{}", kind.plural());
        Self { transactions: name(Kind::Transaction), refunds: name(Kind::Refund), orders: name(Kind::Order) }
    }
}

impl QueueNames {
    pub fn of(&self, kind: Kind) -> &str {
        match kind {
            Kind::Transaction => &self.transactions,
            Kind::Refund => &self.refunds,
            Kind::Order => &self.orders,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// A new command that no worker has claimed after this long is looked at by the relay.
    pub publish_within_ms: Millis,
    /// How often the state of all commands that somebody waits for is read.
    pub wait_poll_ms: Millis,
    /// After SIGTERM, how long requests under way may take.
    pub grace_ms: Millis,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            publish_within_ms: Millis(2_000),
            wait_poll_ms: Millis(25),
            grace_ms: Millis(20_000),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Worker {
    /// Commands worked on at once. Those that wait for a partner's decision do not count.
    pub run_slots: usize,
    /// Callbacks delivered at once.
    pub tell_slots: usize,
    /// Receives under way at once, per queue.
    pub pollers: usize,
    /// How long a receive waits for messages, at most 20 s.
    pub receive_wait_ms: Millis,
    /// How long a claim stands. Below the queue's visibility timeout plus what a redelivery may cost.
    pub lease_ms: Millis,
    /// How often due wakeups are looked for.
    pub relay_interval_ms: Millis,
    /// Wakeups overdue by this much are published, whoever they are for.
    pub overdue_ms: Millis,
    /// How often the worker proves that it is alive.
    pub heartbeat_ms: Millis,
    /// A worker silent for this long is declared dead, and what it had claimed becomes due.
    pub silence_ms: Millis,
    /// After SIGTERM, how long handlers may take.
    pub grace_ms: Millis,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            run_slots: 256,
            tell_slots: 128,
            pollers: 2,
            receive_wait_ms: Millis(20_000),
            lease_ms: Millis(30_000),
            relay_interval_ms: Millis(250),
            overdue_ms: Millis(5_000),
            heartbeat_ms: Millis(1_000),
            silence_ms: Millis(4_000),
            grace_ms: Millis(60_000),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Callbacks {
    /// Total deadline of an attempt, the answer's body included.
    pub timeout_ms: Millis,
    /// The wait after each failed attempt, ± 20 %. One attempt more than there are waits. In the environment: `5000,300000`.
    pub schedule_ms: Vec<Millis>,
    /// How long an old secret signs beside the new one.
    pub secret_overlap_ms: Millis,
}

impl Default for Callbacks {
    fn default() -> Self {
        // 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, 12 h, 12 h, 24 h: eleven attempts over 75 h.
        let schedule_s = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000, 43_200, 43_200, 86_400];
        Self {
            timeout_ms: Millis(10_000),
            schedule_ms: schedule_s.map(|s| Millis(s * 1_000)).to_vec(),
            secret_overlap_ms: Millis(86_400_000),
        }
    }
}

/// A third party that speaks the generic partner contract.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partner {
    pub base_url: Url,
    /// A whole header, such as `Authorization: Bearer …`.
    pub auth_header: Option<SecretString>,
    #[serde(default = "ms::<10_000>")]
    pub create_timeout_ms: Millis,
    #[serde(default = "ms::<5_000>")]
    pub lookup_timeout_ms: Millis,
    /// Creations that may be made for one command.
    #[serde(default = "three")]
    pub tries: u16,
    /// Between two of them.
    #[serde(default = "ms::<120_000>")]
    pub try_delay_ms: Millis,
    /// It dedupes by our key, so that the first creation after "unknown, then not found" may follow at once.
    #[serde(default = "yes")]
    pub idempotent: bool,
    /// It has no keys: after an unknown outcome only lookups, then a person decides.
    #[serde(default)]
    pub at_most_once: bool,
    /// Look it up before the first creation too.
    #[serde(default)]
    pub lookup_first: bool,
    /// How long it remembers a key. After that a creation could be a second one.
    #[serde(default = "ms::<72_000_000>")]
    pub key_lifetime_ms: Millis,
    /// Between lookups that fail.
    #[serde(default = "ms::<5_000>")]
    pub lookup_retry_ms: Millis,
    /// Status requests: at once, then after this …
    #[serde(default = "ms::<200>")]
    pub poll_first_ms: Millis,
    /// … then after this, doubling …
    #[serde(default = "ms::<10>")]
    pub poll_step_ms: Millis,
    /// … up to this.
    #[serde(default = "ms::<30_000>")]
    pub poll_cap_ms: Millis,
    /// A status that is not final after this long needs attention.
    #[serde(default = "ms::<900_000>")]
    pub settle_within_ms: Millis,
    /// Of its webhooks: `whsec_…`, or any text where `webhook_header` is set. Without one it sends none.
    pub webhook_secret: Option<SecretString>,
    /// Valid too, while it changes over to the other.
    pub webhook_previous_secret: Option<SecretString>,
    /// The header of its signature, where it does not follow Standard Webhooks.
    pub webhook_header: Option<String>,
    /// The header of its timestamp, which is signed before the body, as `timestamp.body`.
    pub webhook_timestamp_header: Option<String>,
    /// How far the timestamp of a webhook may be from now.
    #[serde(default = "ms::<300_000>")]
    pub webhook_tolerance_ms: Millis,
    /// Requests under way at once, per process.
    #[serde(default = "sixty_four")]
    pub concurrency: usize,
    /// Requests in a row without a usable answer that open the breaker: then nobody asks, and no try is burnt.
    #[serde(default = "ten")]
    pub breaker_failures: u32,
    /// How long it stays open; doubles while the probe fails …
    #[serde(default = "ms::<5_000>")]
    pub breaker_open_ms: Millis,
    /// … up to this.
    #[serde(default = "ms::<30_000>")]
    pub breaker_cap_ms: Millis,
}

impl Partner {
    pub const fn polling(&self) -> Polling {
        Polling { first: self.poll_first_ms.get(), step: self.poll_step_ms.get(), cap: self.poll_cap_ms.get() }
    }
}

const fn ms<const N: u64>() -> Millis {
    Millis(N)
}

const fn three() -> u16 {
    3
}

const fn ten() -> u32 {
    10
}

const fn sixty_four() -> usize {
    64
}

const fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transactions {
    /// The name of an entry of `partners`.
    pub partner: String,
}

impl Default for Transactions {
    fn default() -> Self {
        Self { partner: "processor".to_owned() }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Refunds {
    /// Names of entries of `partners`, in the order in which they take part. In the environment: `ticketing,gateway`.
    pub partners: Vec<String>,
}

impl Default for Refunds {
    fn default() -> Self {
        Self { partners: vec![Transactions::default().partner] }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Orders {
    /// The name of an entry of `partners`. Without one an order is completed when it is recorded.
    pub partner: Option<String>,
    /// Of an order that names none: an ISO 4217 code.
    pub currency: String,
}

impl Default for Orders {
    fn default() -> Self {
        Self { partner: None, currency: "EUR".to_owned() }
    }
}

/// Reads `file` if it exists, then the environment.
#[expect(clippy::disallowed_methods, reason = "this is the home of reading the environment")]
pub fn load(file: &Path) -> anyhow::Result<Config> {
    let source = config::File::from(file).format(config::FileFormat::Toml).required(false);
    let builder = config::Config::builder().add_source(source);
    read(builder, std::env::vars().collect()).with_context(|| format!("read configuration ({})", file.display()))
}

/// Reads an environment alone, as a child process would get it.
pub fn from_pairs(environment: BTreeMap<String, String>) -> anyhow::Result<Config> {
    read(config::Config::builder(), environment)
}

fn read(
    builder: config::ConfigBuilder<config::builder::DefaultState>,
    environment: BTreeMap<String, String>,
) -> anyhow::Result<Config> {
    let standard = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    let builder = builder
        .set_override_option("database_url", standard("DATABASE_URL"))?
        .set_override_option("sqs.region", standard("AWS_REGION"))?
        .set_override_option("sqs.endpoint_url", standard("AWS_ENDPOINT_URL_SQS"))?;
    let own = config::Environment::with_prefix("HOLDFAST")
        .prefix_separator("__")
        .separator("__")
        .try_parsing(true)
        .ignore_empty(true);
    let own = own.list_separator(",").with_list_parse_key("callbacks.schedule_ms");
    let own = own.with_list_parse_key("refunds.partners");
    let builder = builder.add_source(own.source(Some(environment.into_iter().collect())));
    let config: Config = builder.build()?.try_deserialize()?;
    config.validate()?;
    Ok(config)
}

impl Config {
    fn validate(&self) -> anyhow::Result<()> {
        let worker = &self.worker;
        anyhow::ensure!(worker.run_slots > 0 && worker.tell_slots > 0, "worker slots must not be zero");
        anyhow::ensure!(
            worker.receive_wait_ms.get() <= Duration::from_secs(20),
            "worker.receive_wait_ms is over 20000"
        );
        anyhow::ensure!(self.database.connections > 1, "database.connections must be at least 2");
        let consumed = 10 * worker.pollers * Kind::ALL.len();
        anyhow::ensure!(
            worker.run_slots > consumed,
            "worker.run_slots must be over {consumed}: idle receives hold ten each, and the relay needs some too"
        );
        anyhow::ensure!(
            self.callbacks.timeout_ms.get() + crate::run::MARGIN < worker.lease_ms.get(),
            "callbacks.timeout_ms: an attempt may take longer than worker.lease_ms allows"
        );
        for (name, partner) in &self.partners {
            let longest = partner.create_timeout_ms.get().max(partner.lookup_timeout_ms.get());
            anyhow::ensure!(
                longest + crate::run::MARGIN < worker.lease_ms.get(),
                "partners.{name}: a request may take longer than worker.lease_ms allows"
            );
            anyhow::ensure!(partner.tries > 0, "partners.{name}.tries must not be zero");
            anyhow::ensure!(partner.concurrency > 0, "partners.{name}.concurrency must not be zero");
            anyhow::ensure!(!name.contains(','), "partners.{name}: a name must not contain a comma");
        }
        let Refunds { partners } = &self.refunds;
        anyhow::ensure!(!partners.is_empty(), "refunds.partners must not be empty");
        let distinct: std::collections::BTreeSet<_> = partners.iter().collect();
        anyhow::ensure!(distinct.len() == partners.len(), "refunds.partners names one twice");
        anyhow::ensure!(
            Currency::parse(&self.orders.currency).is_some(),
            "orders.currency must be an ISO 4217 code such as EUR"
        );
        Ok(())
    }

    /// Every partner that some kind needs is configured. Only who calls them must know them.
    pub fn validate_partners(&self) -> anyhow::Result<()> {
        let mut needed = vec![("transactions.partner", &self.transactions.partner)];
        needed.extend(self.refunds.partners.iter().map(|name| ("refunds.partners", name)));
        needed.extend(self.orders.partner.iter().map(|name| ("orders.partner", name)));
        for (key, name) in needed {
            anyhow::ensure!(self.partners.contains_key(name), "{key}: there is no partners.{name}");
        }
        Ok(())
    }
}

impl Orders {
    pub fn default_currency(&self) -> Currency {
        Currency::parse(&self.currency).expect("validated when read")
    }
}
