//! The example order service as a process of its own.

use super::event;
use holdfast_devstack::binaries;
use holdfast_testkit::{Channel, Gate, eventually, free_port};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::process::Child;

struct Service {
    url: String,
    client: Client,
    child: Child,
}

impl Service {
    async fn start(channel: &Channel, more: &[(&str, &str)]) -> Self {
        let listen = format!("127.0.0.1:{}", free_port().await);
        let usual = [("LISTEN", listen.as_str()), ("REDIS_IDLE_MS", "500")];
        let child = channel.start_service(&[&usual, more].concat());
        let client = Client::builder().no_proxy().build().expect("a client");
        let service = Self { url: format!("http://{listen}"), client, child };
        eventually("the service is there", async || (service.get("/healthz").await.0 == StatusCode::OK).then_some(()))
            .await;
        service
    }

    /// 599: no answer.
    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let Ok(answer) = self.client.get(format!("{}{path}", self.url)).send().await else {
            return (StatusCode::from_u16(599).expect("a status"), Value::Null);
        };
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    async fn order_becomes(&self, id: &str, status: &str) -> Value {
        let what = format!("{id} is {status}");
        eventually(&what, async || {
            let (_, order) = self.get(&format!("/orders/{id}")).await;
            (order["status"] == status).then_some(order)
        })
        .await
    }
}

fn told(id: &str, sequence: i64, status: &str) -> String {
    let data = json!({ "status": status, "kind": "order", "key": id, "totalPrice": "249.00", "currency": "EUR" });
    let mut event: Value = serde_json::from_str(&event(id, sequence, data)).expect("JSON");
    event["type"] = format!("order.{status}").into();
    event.to_string()
}

async fn trail(channel: &Channel, id: &str) -> Vec<i64> {
    let sql = "select sequence from order_events where order_id = $1 order by position";
    sqlx::query_scalar(sql).bind(id).fetch_all(&channel.pool).await.expect("read")
}

#[tokio::test]
async fn orders_come_over_redis_and_sqs_and_are_answered_for() {
    let channel = Channel::open().await;
    let queue = channel.queue("").await;
    let redis_url = channel.redis.url();
    let mut service = Service::start(&channel, &[("REDIS_URL", &redis_url), ("SQS_QUEUE", &queue.name)]).await;
    let statuses = ["accepted", "processing", "completed"];
    for (sequence, status) in statuses.iter().enumerate() {
        let told = |id: &str| told(id, sequence as i64, status);
        // What comes over both is kept once.
        channel.add(&[told("o-1"), told("o-both")]).await;
        queue.send("o-2", "", &told("o-2")).await;
        queue.send("o-both", "", &told("o-both")).await;
    }
    // Nothing is made of other kinds.
    channel.add(&[super::plain("t-1", 0).replace("order.progressed", "transaction.accepted")]).await;
    for id in ["o-1", "o-2", "o-both"] {
        let order = service.order_becomes(id, "completed").await;
        assert_eq!((&order["data"]["totalPrice"], &order["sequence"]), (&json!("249.00"), &json!(2)));
        assert_eq!(trail(&channel, id).await, [0, 1, 2], "{id}");
    }
    assert_eq!(service.get("/orders/t-1").await.0, StatusCode::NOT_FOUND);

    let (_, page) = service.get("/orders?limit=2").await;
    assert_eq!((&page["data"][1]["id"], &page["after"]), (&json!("o-2"), &json!("o-2")));
    let (_, page) = service.get("/orders?limit=2&after=o-2").await;
    assert_eq!((page["data"].as_array().map(Vec::len), &page["after"]), (Some(1), &Value::Null));

    let scraped = service.client.get(format!("{}/metrics", service.url)).send().await.expect("an answer");
    assert_eq!(scraped.headers()["content-type"], holdfast_consumer::metrics::OPEN_METRICS);
    let text = scraped.text().await.expect("a body");
    assert!(text.contains(r#"holdfast_consumer_events_total{source="events",outcome="handled"}"#), "{text}");

    binaries::stop(&mut service.child, Duration::from_secs(30)).await.expect("stop it");
    let ended = service.child.wait().await.expect("it has ended");
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn killed_between_commit_and_acknowledgement_it_has_effects_once() {
    let channel = Channel::open().await;
    let address = channel.redis.address();
    let gate = Gate::before(address).await;
    let behind = format!("redis://{}/0", gate.address);
    let mut service = Service::start(&channel, &[("REDIS_URL", &behind)]).await;
    // The handler comes as far as this table, and no further.
    let mut lock = channel.pool.begin().await.expect("begin");
    sqlx::raw_sql("lock table orders in share mode").execute(&mut *lock).await.expect("lock");
    channel.add(&[told("o-1", 0, "accepted"), told("o-1", 1, "completed")]).await;
    eventually("both were received", async || (channel.pending("order-service").await == Some(2)).then_some(())).await;
    eventually("the handler waits", async || {
        let sql = "select count(*) from pg_locks
                    where not granted and relation = 'orders'::regclass";
        let waiting: i64 = sqlx::query_scalar(sql).fetch_one(&channel.pool).await.expect("count");
        (waiting == 1).then_some(())
    })
    .await;
    // Nothing reaches Redis any more.
    gate.freeze();
    lock.commit().await.expect("unlock");
    service.order_becomes("o-1", "completed").await;
    service.child.kill().await.expect("kill it");
    gate.open();
    assert_eq!(channel.pending("order-service").await, Some(2), "committed, and not acknowledged");

    let service = Service::start(&channel, &[("REDIS_URL", &behind)]).await;
    channel.add(&[told("o-2", 0, "accepted")]).await;
    service.order_becomes("o-2", "accepted").await;
    eventually("all is acknowledged", async || (channel.pending("order-service").await == Some(0)).then_some(())).await;
    assert_eq!(trail(&channel, "o-1").await, [0, 1]);
    assert_eq!(trail(&channel, "o-2").await, [0]);
}
