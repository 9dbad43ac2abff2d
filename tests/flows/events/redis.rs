//! Redis Streams, against a real Redis.

use super::{about, text, types};
use holdfast_devstack::redis::Redis;
use holdfast_domain::Kind;
use holdfast_testkit::{Options, Stack, Submission, eventually, free_port};
use redis::streams::StreamRangeReply;
use serde_json::Value;
use std::path::PathBuf;

const STREAM: &str = "holdfast:events";

/// A private one. It is killed when this is dropped.
struct Server {
    port: u16,
    home: PathBuf,
    redis: Option<Redis>,
}

impl Server {
    async fn new() -> Self {
        let port = free_port().await;
        let home = std::env::temp_dir().join(format!("holdfast-redis-{}-{port}", std::process::id()));
        Self { port, home, redis: None }
    }

    /// With what it had before.
    async fn start(&mut self) {
        self.redis = Some(Redis::start(&self.home, self.port).await.expect("start redis"));
    }

    async fn kill(&mut self) {
        self.redis.take().expect("it runs").crash().await.expect("kill it");
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// What is in the stream, if anybody answers.
    async fn events(&self) -> Option<Vec<Value>> {
        let mut connection = redis::Client::open(self.url()).ok()?.get_multiplexed_async_connection().await.ok()?;
        let range: StreamRangeReply =
            redis::cmd("XRANGE").arg(STREAM).arg("-").arg("+").query_async(&mut connection).await.ok()?;
        let event = |id: redis::streams::StreamId| {
            assert_eq!(id.map.len(), 1, "one field");
            let json: String = id.get("event").expect("which is the event");
            serde_json::from_str(&json).expect("JSON")
        };
        Some(range.ids.into_iter().map(event).collect())
    }

    async fn ended(&self, submission: &Submission) -> Vec<Value> {
        eventually("its end is told", || async {
            let events = self.events().await?;
            let is_end =
                |event: &&Value| event["subject"] == submission.id && event["data"].get("finishedAt").is_some();
            events.iter().any(|event| is_end(&event)).then_some(events)
        })
        .await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.home));
    }
}

async fn stack(server: &Server, max_len: &str) -> Stack {
    let setting = |name: &'static str, value: &str| (name, value.to_owned());
    let environment = vec![
        setting("HOLDFAST__EVENTS__SINKS__STREAM__TYPE", "redis"),
        setting("HOLDFAST__EVENTS__SINKS__STREAM__URL", &server.url()),
        setting("HOLDFAST__EVENTS__SINKS__STREAM__STREAM", STREAM),
        setting("HOLDFAST__EVENTS__SINKS__STREAM__MAX_LEN", max_len),
        setting("HOLDFAST__EVENTS__SINKS__STREAM__FROM", "beginning"),
        setting("HOLDFAST__EVENTS__INTERVAL_MS", "50"),
    ];
    Stack::with(Options { environment, ..Options::default() }).await
}

#[tokio::test]
async fn a_stream_has_every_event_in_order_also_after_redis_was_killed() {
    let mut server = Server::new().await;
    let mut stack = stack(&server, "100000").await;
    stack.start_worker();
    let early = stack.submit_as(Kind::Order, "early", "1.00").await;
    assert_eq!(stack.settled(&early).await["status"], "completed", "nobody is there yet");
    server.start().await;
    server.ended(&early).await;
    server.kill().await;
    let down = stack.submit_as(Kind::Order, "down", "1.00").await;
    assert_eq!(stack.settled(&down).await["status"], "completed");
    server.start().await;
    let events = server.ended(&down).await;
    for submission in [&early, &down] {
        assert_eq!(types(&about(&events, &submission.id)), ["order.accepted", "order.completed"]);
    }
    let mut connection =
        redis::Client::open(server.url()).expect("a URL").get_multiplexed_async_connection().await.expect("connect");
    let groups: Result<String, _> =
        redis::cmd("XGROUP").arg("CREATE").arg(STREAM).arg("others").arg("0").query_async(&mut connection).await;
    assert_eq!(groups.expect("a group may read it"), "OK");
}

#[tokio::test]
async fn a_stream_is_kept_at_about_its_length() {
    let mut server = Server::new().await;
    server.start().await;
    let mut stack = stack(&server, "10").await;
    stack.start_worker();
    let mut last = None;
    // Redis cuts whole nodes of a hundred entries.
    for n in 0..150 {
        last = Some(stack.submit_as(Kind::Order, &format!("o{n}"), "1.00").await);
    }
    let last = last.expect("the last one");
    stack.settled(&last).await;
    let events = eventually("the last end is told and the first ones are gone", || async {
        let events = server.events().await?;
        let first = events.first().map(|event| text(event, "id").to_owned());
        let told = events.iter().any(|event| event["subject"] == last.id && event["data"].get("finishedAt").is_some());
        (told && first.is_some() && events.len() < 300).then_some(events)
    })
    .await;
    assert!(events.len() >= 10);
}
