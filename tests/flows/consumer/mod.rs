//! The consumer library, over a real Redis and the real protocol of SQS, with a handler that does as the events say.

mod memory;
mod redis;
mod redis_faults;
mod service;
mod sqs;

use holdfast_consumer::prometheus_client::registry::Registry;
use holdfast_consumer::queue::backoff;
use holdfast_consumer::{Consumer, Event, Failed, Handler, Metrics, RedisStream, Settings, Store, metrics};
use holdfast_testkit::{Channel, eventually};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What nobody waits for in a test that is right.
const NEVER: Duration = Duration::from_secs(600);

/// An event of this subject, with something for the handler to do.
fn event(subject: &str, sequence: i64, data: Value) -> String {
    json!({
        "specversion": "1.0", "id": format!("{subject}/{sequence}"), "source": "/holdfast", "type": "order.progressed",
        "subject": subject, "sequence": sequence.to_string(), "datacontenttype": "application/json", "data": data,
    })
    .to_string()
}

fn plain(subject: &str, sequence: i64) -> String {
    event(subject, sequence, json!({}))
}

/// Writes a row for each event, and then does what `data.then` says.
#[derive(Clone, Default)]
struct Obedient {
    tries: Arc<AtomicU32>,
    /// Whoever tries waits until he is killed.
    is_deadly: Arc<AtomicBool>,
}

impl Handler for Obedient {
    async fn handle(&self, event: &Event, conn: &mut PgConnection) -> Result<(), Failed> {
        let try_no = self.tries.fetch_add(1, Ordering::SeqCst) + 1;
        sqlx::query("insert into effects (subject, sequence) values ($1, $2)")
            .bind(&event.subject)
            .bind(event.sequence)
            .execute(&mut *conn)
            .await?;
        if self.is_deadly.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        match event.data["then"].as_str() {
            Some("insist on durability") => {
                let kept = sqlx::query_scalar("select current_setting('synchronous_commit')").fetch_one(conn);
                let kept: String = kept.await?;
                if kept == "on" { Ok(()) } else { Err(Failed::refuse(format!("it is {kept}"))) }
            }
            Some("refuse") => Err(Failed::refuse("it was told to")),
            Some("fail") => Err(Failed::retry("it was told to fail")),
            Some("fail once") if try_no == 1 => Err(Failed::retry("it was told to fail once")),
            Some("panic") => panic!("it was told to"),
            Some("roll back") => Ok(sqlx::raw_sql("rollback").execute(conn).await.map(drop)?),
            Some("swallow an error") => {
                assert!(sqlx::raw_sql("select 1 / 0").execute(conn).await.is_err());
                Ok(())
            }
            Some("wait for the gate") => {
                let gate = "select pg_advisory_xact_lock_shared(7)";
                Ok(sqlx::query(gate).execute(conn).await.map(drop)?)
            }
            _ => Ok(()),
        }
    }
}

/// A consumer with a memory, metrics and a handler of its own.
struct Bench {
    pool: PgPool,
    handler: Obedient,
    consumer: Consumer<Obedient>,
    registry: Registry,
    stop: CancellationToken,
}

/// That waits for nothing and nobody.
fn hasty() -> Settings {
    let pause = Duration::from_millis(5);
    Settings { first_pause: pause, longest_pause: pause, patience: 20 * NEVER, ..Settings::default() }
}

/// As hasty as it may be on a stream that delivers once.
fn impatient() -> Settings {
    Settings { patience: Duration::from_secs(2), timeout: Duration::from_secs(1), tries: 1, ..hasty() }
}

impl Bench {
    async fn new(pool: PgPool, settings: Settings) -> Self {
        let store = Store::new(pool.clone(), "test");
        store.install().await.expect("install");
        let table = "create table if not exists effects (
                         position bigint generated always as identity, subject text, sequence bigint)";
        sqlx::raw_sql(table).execute(&pool).await.expect("create the table");
        let (mut registry, handler) = (Registry::default(), Obedient::default());
        let metrics = Metrics::register(&mut registry);
        let consumer = Consumer::new(store, handler.clone(), settings, metrics);
        Self { pool, handler, consumer, registry, stop: CancellationToken::new() }
    }

    /// Consumes the stream. Entries are taken over soon.
    fn read(&self, channel: &Channel) -> JoinHandle<()> {
        self.read_as(stream(channel))
    }

    fn read_as(&self, stream: RedisStream) -> JoinHandle<()> {
        let running = stream.run(self.consumer.clone(), self.stop.clone());
        tokio::spawn(async move { running.await.expect("it suits") })
    }

    /// Sequences in the order of their effects.
    async fn effects(&self, subject: &str) -> Vec<i64> {
        let sql = "select sequence from effects where subject = $1 order by position";
        sqlx::query_scalar(sql).bind(subject).fetch_all(&self.pool).await.expect("read the effects")
    }

    async fn becomes(&self, subject: &str, expected: &[i64]) {
        let what = format!("the effects of {subject} are {expected:?}");
        eventually(&what, async || (self.effects(subject).await == expected).then_some(())).await;
    }

    /// A series, as it is written after `holdfast_consumer_`.
    fn counted(&self, series: &str) -> u64 {
        let text = metrics::exposition(&self.registry).expect("text");
        let value = |line: &str| line.strip_prefix("holdfast_consumer_")?.strip_prefix(series)?.trim().parse().ok();
        text.lines().find_map(value).unwrap_or_default()
    }

    async fn counts(&self, series: &str, expected: u64) {
        let what = format!("{series} is {expected}");
        eventually(&what, async || (self.counted(series) == expected).then_some(())).await;
    }
}

fn stream(channel: &Channel) -> RedisStream {
    RedisStream {
        idle: Duration::from_millis(400),
        wait: Duration::from_millis(200),
        ..RedisStream::new(&channel.redis.url(), Channel::STREAM, "group")
    }
}

async fn nothing_is_pending(channel: &Channel) {
    eventually("nothing is pending", async || (channel.pending("group").await == Some(0)).then_some(())).await;
}

/// A moment in which something could happen that must not: what shows it has happened before.
async fn a_moment() {
    backoff::sleep(Duration::from_millis(300)).await;
}
