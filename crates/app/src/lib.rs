//! The use cases: what the binaries do, without how they are reached.
//!
//! `accept`, `callbacks`, `cancel`, `endpoint`, `query`, `watch`, `webhook`, `keys`, `key_usage` and `limits` serve the API; `engine`,
//! `dispatch`, `handlers`, `tell` and `events` are the worker, `statements` its batched writes; `relay`, `publish`, `survey`, `retention`,
//! `metrics`, `trace` and `connections` serve both; `attention`, `audit`, `operators` and `redrive` serve the command line and the console;
//! `vault` seals what Postgres must not know, `vouch` decides what messages are believed. Only this crate joins the store, the queue
//! and the partners.

pub mod accept;
pub mod attention;
pub mod audit;
pub mod batch;
pub mod bucket;
pub mod callbacks;
pub mod cancel;
pub mod circuit;
pub mod clock;
pub mod config;
pub mod connections;
pub mod credentials;
pub mod dispatch;
pub mod endpoint;
pub mod engine;
pub mod events;
pub mod failpoint;
pub mod graveyard;
pub mod handlers;
pub mod heartbeat;
pub mod intake;
pub mod introspection;
pub mod journal;
pub mod key_usage;
pub mod keys;
pub mod limits;
mod line;
mod log_format;
pub mod materialise;
pub mod metrics;
pub mod operators;
pub mod outage;
pub mod overflow_limit;
pub mod partnership;
pub mod poison;
pub mod publish;
pub mod query;
pub mod records;
pub mod redrive;
pub mod relay;
pub mod replay;
pub mod retention;
pub mod run;
mod send;
pub mod shutdown;
pub mod statements;
pub mod steps;
pub mod survey;
pub mod telemetry;
pub mod tell;
pub mod throttle;
pub mod trace;
pub mod track;
pub mod turnstile;
pub mod vault;
pub mod vouch;
pub mod watch;
pub mod webhook;

pub use holdfast_partners::egress::Guard;
pub use holdfast_queue::backoff::sleep as pause;
pub use holdfast_store::Error as StoreError;
pub use holdfast_store::schema::SchemaError;

use anyhow::Context as _;
use config::Config;
use holdfast_domain::{Kind, ServerKey};
use holdfast_queue::{Clients, Endpoint, Queue};
use holdfast_store::{Pool, pool, schema};
use metrics::{Metrics, Value, gauge, one};
use secrecy::ExposeSecret as _;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use trace::Tracer;
use track::{Shares, Track};
use vault::Vault;

/// What every binary has: configuration, Postgres, SQS. Cheap to clone, connects to nothing until it is used.
#[derive(Clone)]
pub struct App {
    pub config: Arc<Config>,
    pub pool: Pool,
    pub server_key: ServerKey,
    pub vault: Vault,
    pub queues: Arc<Queues>,
    /// Who may send how much by which of them.
    pub shares: Arc<Shares>,
    /// Where callbacks may go.
    pub egress: Guard,
    /// Begins no spans, unless a binary puts another here.
    pub tracer: Tracer,
    pub metrics: Arc<Metrics>,
}

impl App {
    /// `name` tells Postgres who is connected.
    pub async fn new(config: Config, name: &str) -> anyhow::Result<Self> {
        let server_key = ServerKey::parse(config.server_key.expose_secret()).context("read server_key")?;
        let vault = Vault::new(&config.encryption, &server_key).await.context("read the encryption keys")?;
        let database = &config.database;
        let pool =
            Pool::lazy(config.database_url.expose_secret(), name, database.limits()).context("read database_url")?;
        let endpoint = Endpoint { region: config.sqs.region.clone(), url: config.sqs.endpoint_url.clone() };
        let clients = Clients::connect(endpoint).await;
        let queues = Queues {
            kinds: Kind::ALL.into_iter().map(|kind| (kind, clients.queue(config.queues.of(kind)))).collect(),
            overflows: Kind::ALL
                .into_iter()
                .map(|kind| (kind, clients.queue(&config.queues.on(kind, Track::Overflow))))
                .collect(),
            dead_letters: Kind::ALL
                .into_iter()
                .map(|kind| (kind, clients.queue(&config.queues.dead_letters_of(kind))))
                .collect(),
            journal: clients.queue(&config.queues.journal),
        };
        let shares = Arc::new(Shares::new(config.queues.share_per_s, config.queues.fair));
        let egress = config.callbacks.guard()?;
        let (config, queues, tracer) = (Arc::new(config), Arc::new(queues), Tracer::default());
        let app = Self { config, pool, server_key, vault, queues, shares, egress, metrics: Metrics::new(), tracer };
        app.sample_pool();
        Ok(app)
    }

    /// Refuses a schema that is older than this binary. Waits for nothing: Postgres being down is another error.
    pub async fn check_schema(&self) -> Result<(), SchemaError> {
        schema::check(&self.pool).await
    }

    /// A single connection that nobody else can keep busy.
    pub fn pool_of_its_own(&self, name: &str) -> anyhow::Result<Pool> {
        let limits = pool::Limits { connections: 1, ..self.config.database.limits() };
        Ok(Pool::lazy(self.config.database_url.expose_secret(), name, limits)?)
    }

    fn sample_pool(&self) {
        let pool = self.pool.clone();
        self.metrics.sample(move || {
            let usage = pool.usage();
            let state = |state: &str, count: usize| Value {
                labels: vec![("db_client_connection_state", state.to_owned())],
                value: count as f64,
            };
            vec![
                gauge(
                    "db_client_connection_count",
                    "Connections to Postgres",
                    [state("used", usage.used), state("idle", usage.idle)],
                ),
                one("db_client_connection_max", "As many connections there may be", usage.max as f64),
            ]
        });
    }

    /// The same with so many connections of its own: nobody who uses it keeps others waiting.
    pub fn apart(&self, name: &str, connections: u32, patience: Duration) -> anyhow::Result<Self> {
        let limits = pool::Limits {
            connections,
            acquire_timeout: patience,
            statement_timeout: patience,
            ..self.config.database.limits()
        };
        let pool = Pool::lazy(self.config.database_url.expose_secret(), name, limits)?.within(patience);
        Ok(Self { pool, ..self.clone() })
    }

    /// One round trip to Postgres.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.pool.ping().await
    }
}

/// The queues of each kind, and the journal.
pub struct Queues {
    kinds: HashMap<Kind, Queue>,
    overflows: HashMap<Kind, Queue>,
    dead_letters: HashMap<Kind, Queue>,
    journal: Queue,
}

impl Queues {
    pub fn of(&self, kind: Kind) -> &Queue {
        &self.kinds[&kind]
    }

    pub fn on(&self, kind: Kind, track: Track) -> &Queue {
        match track {
            Track::Share => self.of(kind),
            Track::Overflow => &self.overflows[&kind],
        }
    }

    /// Where SQS puts what was received too often, from both queues of a kind.
    pub fn dead_letters_of(&self, kind: Kind) -> &Queue {
        &self.dead_letters[&kind]
    }

    /// A kind's own, its overflow, its dead letters.
    pub fn all_of(&self, kind: Kind) -> [&Queue; 3] {
        [self.of(kind), self.on(kind, Track::Overflow), self.dead_letters_of(kind)]
    }

    pub const fn journal(&self) -> &Queue {
        &self.journal
    }

    pub fn all(&self) -> impl Iterator<Item = &Queue> {
        self.kinds.values().chain(self.overflows.values()).chain(self.dead_letters.values()).chain([&self.journal])
    }
}
