//! An example of a service that builds on Holdfast's events, with the consumer library: `keep` is what it makes of an event,
//! `orders` what it answers, and this file puts the two together.

mod arguments;
mod keep;
mod orders;

use anyhow::{Context as _, ensure};
use arguments::Arguments;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use clap::Parser as _;
use holdfast_consumer::metrics::{self, Metrics};
use holdfast_consumer::prometheus_client::registry::Registry;
use holdfast_consumer::queue::backoff;
use holdfast_consumer::{Consumer, Store, Unfit};
use keep::Keep;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Each handles `concurrency` events at once.
const SOURCES: u32 = 2;

/// What is answered without a consumer at work.
const SPARE_CONNECTIONS: u32 = 8;

/// What was heard of a subject is remembered for so long after its last event: longer than Holdfast keeps what it can replay
/// (`retention.archive_after_ms`, 400 days), and so longer than any queue keeps a message.
const MEMORY: Duration = Duration::from_secs(500 * 86_400);

/// Any number that others are unlikely to lock.
const CREATING: i64 = 0x6f72_6465_7273;

#[derive(Clone)]
struct Service {
    pool: PgPool,
    registry: Arc<Registry>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,aws=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let stop = on_signal()?;

    let settings = arguments.settings();
    let pool = PgPoolOptions::new()
        .max_connections(SOURCES * settings.concurrency as u32 + SPARE_CONNECTIONS)
        .acquire_timeout(Duration::from_secs(5))
        .connect(&arguments.database_url)
        .await
        .context("connect to the database")?;
    let store = Store::new(pool.clone(), &arguments.consumer);
    store.install().await.context("create the consumer's tables")?;
    create_tables(&pool).await.context("create the tables")?;

    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let consumer = Consumer::new(store.clone(), Keep, settings, metrics);
    let sources = start_sources(&arguments, &consumer, &stop).await?;
    tokio::spawn(stop.clone().run_until_cancelled_owned(forget(store)));

    let listener = TcpListener::bind(arguments.listen).await.context("listen")?;
    tracing::info!(address = %listener.local_addr()?, "ready");
    let service = Service { pool: pool.clone(), registry: Arc::new(registry) };
    let served = axum::serve(listener, router(service)).with_graceful_shutdown(stop.clone().cancelled_owned());
    served.await.context("serve")?;
    let ended = sources.join_all().await;
    pool.close().await;
    ended.into_iter().collect::<Result<(), Unfit>>().context("consume")
}

/// One process after the other: `if not exists` alone fails in whoever comes second while the first has not committed.
async fn create_tables(pool: &PgPool) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(CREATING).execute(&mut *transaction).await?;
    sqlx::raw_sql(include_str!("schema.sql")).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Each in a task of its own, until `stop`. Both fill the same tables, with one memory: what comes over both is kept once.
async fn start_sources(
    arguments: &Arguments,
    consumer: &Consumer<Keep>,
    stop: &CancellationToken,
) -> anyhow::Result<JoinSet<Result<(), Unfit>>> {
    let (redis, sqs) = (arguments.redis(), arguments.sqs().await);
    ensure!(redis.is_some() || sqs.is_some(), "there is nothing to consume: set REDIS_URL, or SQS_QUEUE, or both");
    let mut sources = JoinSet::new();
    if let Some(redis) = redis {
        sources.spawn(or_stop(redis.run(consumer.clone(), stop.clone()), stop.clone()));
    }
    if let Some(sqs) = sqs {
        sources.spawn(or_stop(sqs.run(consumer.clone(), stop.clone()), stop.clone()));
    }
    Ok(sources)
}

/// A source that does not suit ends the whole service.
async fn or_stop(source: impl Future<Output = Result<(), Unfit>>, stop: CancellationToken) -> Result<(), Unfit> {
    let ended = source.await;
    if ended.is_err() {
        stop.cancel();
    }
    ended
}

fn router(service: Service) -> Router {
    Router::new()
        .route("/orders", get(orders::page))
        .route("/orders/{id}", get(orders::one))
        .route("/healthz", get(orders::health))
        .route("/metrics", get(scrape))
        .with_state(service)
}

async fn scrape(State(service): State<Service>) -> impl IntoResponse {
    match metrics::exposition(&service.registry) {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, metrics::OPEN_METRICS)], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}

/// Once a day.
async fn forget(store: Store) {
    loop {
        backoff::sleep(Duration::from_secs(86_400)).await;
        if let Err(error) = store.prune(MEMORY).await {
            tracing::warn!(%error, "could not forget old subjects");
        }
    }
}

/// SIGTERM and Ctrl-C.
fn on_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stopping.cancel();
    });
    Ok(stop)
}
