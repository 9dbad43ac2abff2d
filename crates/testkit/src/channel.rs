//! What a service stands on that consumes events: a database of its own, a Redis of its own, queues of its own.

use crate::surroundings::{database, free_port, logs, redirected, service, unique_name};
use aws_sdk_sqs::Client as SqsClient;
use aws_sdk_sqs::types::{Message, QueueAttributeName};
use holdfast_devstack::redis::Redis;
use holdfast_devstack::settings::REGION;
use holdfast_devstack::{binaries, queues};
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Value, cmd};
use sqlx::PgPool;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::process::Child;

/// Any answer of Redis.
pub use redis::Value as Any;

pub struct Channel {
    pub redis: Redis,
    pub pool: PgPool,
    pub database_url: String,
    pub sqs: SqsClient,
    /// Of everything that belongs to this test.
    pub name: String,
    logs: PathBuf,
}

/// A queue with a dead-letter queue.
pub struct TestQueue {
    pub name: String,
    pub url: String,
    pub dead_url: String,
    sqs: SqsClient,
    is_fifo: bool,
}

impl Channel {
    pub const STREAM: &str = "events";

    pub async fn open() -> Self {
        let name = unique_name();
        let database_url = database(&name).await;
        let logs = logs(&name);
        let redis = Redis::start_fresh(&logs, free_port().await).await.expect("start redis");
        let sqs = queues::client(&service("AWS_ENDPOINT_URL_SQS"), REGION).await;
        let pool = PgPool::connect(&database_url).await.expect("connect to postgres");
        Self { redis, pool, database_url, sqs, name, logs }
    }

    /// The same database, reached at another address.
    pub fn database_at(&self, address: SocketAddr) -> String {
        redirected(&self.database_url, address)
    }

    /// A new connection: the one before may have been cut.
    async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.redis.url()).expect("a URL");
        client.get_multiplexed_async_connection().await.expect("connect to redis")
    }

    pub async fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        let mut line = cmd(command[0]);
        line.arg(&command[1..]);
        line.query_async(&mut self.connection().await).await.expect("an answer of redis")
    }

    /// As the publisher does.
    pub async fn add(&self, events: &[String]) {
        let mut pipeline = redis::pipe();
        for event in events {
            pipeline.cmd("XADD").arg(Self::STREAM).arg("*").arg("event").arg(event).ignore();
        }
        pipeline.query_async::<()>(&mut self.connection().await).await.expect("add to the stream");
    }

    /// What lies in the stream of dead letters of the group `group`: the fields of each.
    pub async fn dead_letters(&self) -> Vec<HashMap<String, String>> {
        let entries: Vec<(String, HashMap<String, String>)> =
            self.ask(&["XRANGE", "events:dead:group", "-", "+"]).await;
        entries.into_iter().map(|(_, fields)| fields).collect()
    }

    /// Entries of the group that were received and not acknowledged. `None`: there is no such group yet.
    pub async fn pending(&self, group: &str) -> Option<u64> {
        let mut command = cmd("XPENDING");
        command.arg(Self::STREAM).arg(group);
        let answer = command.query_async::<(u64, Value, Value, Value)>(&mut self.connection().await).await;
        answer.ok().map(|(count, ..)| count)
    }

    /// `suffix`: `.fifo` or nothing. What was received three times goes to its dead-letter queue.
    pub async fn queue(&self, suffix: &str) -> TestQueue {
        let is_fifo = suffix == ".fifo";
        let fifo = is_fifo.then(|| (QueueAttributeName::FifoQueue, "true".to_owned()));
        let create = async |name: &str, attributes: HashMap<_, _>| {
            let created = self.sqs.create_queue().queue_name(name).set_attributes(Some(attributes)).send().await;
            created.expect("create a queue").queue_url.expect("a URL")
        };
        let dead_url = create(&format!("{}-dead{suffix}", self.name), fifo.clone().into_iter().collect()).await;
        let arn = self.sqs.get_queue_attributes().queue_url(&dead_url).attribute_names(QueueAttributeName::QueueArn);
        let arn = arn.send().await.expect("an answer").attributes.expect("attributes");
        let arn = &arn[&QueueAttributeName::QueueArn];
        let attributes = [
            (QueueAttributeName::VisibilityTimeout, "2".to_owned()),
            (QueueAttributeName::RedrivePolicy, format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":3}}"#)),
        ];
        let name = format!("{}-events{suffix}", self.name);
        let url = create(&name, attributes.into_iter().chain(fifo).collect()).await;
        TestQueue { name, url, dead_url, sqs: self.sqs.clone(), is_fifo }
    }

    /// The example service on this database. It is killed when the handle is dropped.
    pub fn start_service(&self, more: &[(&str, &str)]) -> Child {
        let usual = [("DATABASE_URL", self.database_url.as_str()), ("REDIS_STREAM", Self::STREAM)];
        let aws = [("AWS_REGION", REGION), ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];
        let all = usual.iter().chain(&aws).chain(more);
        let environment: BTreeMap<_, _> = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        binaries::start("order-service", &environment, &self.logs.join("order-service.log")).expect("start it")
    }
}

impl TestQueue {
    /// `group` is the event's subject; a queue that is not FIFO has none.
    pub async fn send(&self, group: &str, id: &str, body: &str) {
        let mut request = self.sqs.send_message().queue_url(&self.url).message_body(body);
        if self.is_fifo {
            request = request.message_group_id(group).message_deduplication_id(id);
        }
        request.send().await.expect("send");
    }

    /// One that lies there; from then on it is invisible for a while.
    pub async fn dead_letter(&self) -> Option<Message> {
        let request = self.sqs.receive_message().queue_url(&self.dead_url).message_attribute_names("All");
        let received = request.wait_time_seconds(1).send().await.expect("receive");
        received.messages.unwrap_or_default().pop()
    }

    /// Messages that lie there or are in somebody's hands.
    pub async fn messages(&self) -> u64 {
        use QueueAttributeName as Name;
        let names = [Name::ApproximateNumberOfMessages, Name::ApproximateNumberOfMessagesNotVisible];
        let request = self.sqs.get_queue_attributes().queue_url(&self.url).set_attribute_names(Some(names.to_vec()));
        let attributes = request.send().await.expect("an answer").attributes.expect("attributes");
        attributes.values().map(|count| count.parse::<u64>().expect("a number")).sum()
    }
}
