//! Somebody who builds on the events: a private Redis, a queue, and the example order service on each of them.

use crate::redis::Redis;
use crate::settings::REGION;
use crate::{queues, say, server};
use anyhow::{Context as _, bail};
use holdfast_queue::backoff;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use url::Url;

pub const BINARY: &str = "order-service";

/// The stream, and the queue.
pub const NAME: &str = "holdfast-events";

const REDIS_PORT: u16 = 63790;
const OVER_REDIS_PORT: u16 = 8090;
const OVER_SQS_PORT: u16 = 8091;

/// How long an order may take all the way into the services.
const PATIENCE: Duration = Duration::from_secs(60);

/// One order service, which has a database of its own.
#[derive(Clone)]
pub struct OrderService {
    pub name: &'static str,
    pub url: String,
    pub database_url: String,
    pub environment: BTreeMap<String, String>,
}

pub(crate) struct Events {
    redis: Redis,
    services: [OrderService; 2],
}

impl Events {
    pub(crate) async fn start(home: &Path, database_url: &str, sqs_url: &str, fresh: bool) -> anyhow::Result<Self> {
        let port = server::free_port(REDIS_PORT).await?;
        let redis = if fresh { Redis::start_fresh(home, port).await? } else { Redis::start(home, port).await? };
        queues::create_events(&queues::client(sqs_url, REGION).await, NAME).await?;
        let services = [
            over_redis(database_url, &redis.url(), server::free_port(OVER_REDIS_PORT).await?).await?,
            over_sqs(database_url, sqs_url, server::free_port(OVER_SQS_PORT).await?).await?,
        ];
        Ok(Self { redis, services })
    }

    /// What makes Holdfast publish to both.
    pub(crate) fn sinks(&self) -> BTreeMap<String, String> {
        sinks(&self.redis.url())
    }

    pub(crate) fn services(&self) -> Vec<OrderService> {
        self.services.to_vec()
    }

    /// For the env file.
    pub(crate) fn addresses(&self) -> Vec<(&'static str, String)> {
        let [over_redis, over_sqs] = &self.services;
        vec![
            ("EVENTS_REDIS_URL", self.redis.url()),
            ("ORDERS_OVER_REDIS_URL", over_redis.url.clone()),
            ("ORDERS_OVER_SQS_URL", over_sqs.url.clone()),
        ]
    }

    /// Waits until every service has the order.
    pub(crate) async fn show(&self, order: &str) -> anyhow::Result<()> {
        for OrderService { name, url, .. } in &self.services {
            let kept = await_order(url, order).await.with_context(|| format!("wait for {name}"))?;
            let (status, product) = (&kept["status"], &kept["data"]["productName"]);
            say(format_args!("\n{name} has order {order}: {status}, {product} ({url}/orders/{order})"));
        }
        Ok(())
    }

    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        self.redis.stop().await.context("stop redis")
    }
}

/// What makes Holdfast publish to a stream and to the queue.
pub fn sinks(redis_url: &str) -> BTreeMap<String, String> {
    let settings = [
        ("STREAM__TYPE", "redis"),
        ("STREAM__URL", redis_url),
        ("STREAM__STREAM", NAME),
        ("QUEUE__TYPE", "sqs"),
        ("QUEUE__QUEUE", NAME),
    ];
    let setting = |(name, value): (&str, &str)| (format!("HOLDFAST__EVENTS__SINKS__{name}"), value.to_owned());
    settings.map(setting).into_iter().collect()
}

/// One that consumes the stream.
pub async fn over_redis(database_url: &str, redis_url: &str, port: u16) -> anyhow::Result<OrderService> {
    let source = [("REDIS_URL", redis_url), ("REDIS_STREAM", NAME)];
    service("orders-over-redis", database_url, port, &source).await
}

/// One that consumes the queue.
pub async fn over_sqs(database_url: &str, sqs_url: &str, port: u16) -> anyhow::Result<OrderService> {
    let source = [
        ("SQS_QUEUE", NAME),
        ("AWS_ENDPOINT_URL_SQS", sqs_url),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ];
    service("orders-over-sqs", database_url, port, &source).await
}

/// With a database of its name on the same server.
async fn service(
    name: &'static str,
    server_url: &str,
    port: u16,
    source: &[(&str, &str)],
) -> anyhow::Result<OrderService> {
    let mut database_url: Url = server_url.parse().context("read the URL of the database")?;
    database_url.set_path(name);
    let database_url = database_url.to_string();
    holdfast_store::schema::ensure_database(&database_url).await.context("create a database")?;
    let listen = format!("127.0.0.1:{port}");
    let own = [("DATABASE_URL", database_url.as_str()), ("LISTEN", &listen)];
    let environment = own.iter().chain(source).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Ok(OrderService { name, url: format!("http://{listen}"), environment: environment.collect(), database_url })
}

async fn await_order(service_url: &str, order: &str) -> anyhow::Result<Value> {
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().context("build a client")?;
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let answer = client.get(format!("{service_url}/orders/{order}")).send().await;
        if let Ok(answer) = answer
            && let Ok(kept) = answer.json::<Value>().await
            && kept["status"] == "completed"
        {
            return Ok(kept);
        }
        backoff::sleep(Duration::from_millis(50)).await;
    }
    bail!("it does not have the order in time")
}
