//! Configuration, from the environment.

use clap::Parser;
use holdfast_consumer::queue::{Clients, Endpoint};
use holdfast_consumer::{Begin, RedisStream, Settings, Sqs};
use std::net::SocketAddr;
use std::time::Duration;

/// Keeps every order that Holdfast tells of, and answers for them.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// The service's own database. It must exist; tables are created.
    #[arg(long, env, hide_env_values = true)]
    pub(crate) database_url: String,
    #[arg(long, env, default_value = "127.0.0.1:8090")]
    pub(crate) listen: SocketAddr,
    /// Consumes a Redis stream.
    #[arg(long, env, hide_env_values = true)]
    redis_url: Option<String>,
    #[arg(long, env, default_value = "holdfast-events")]
    redis_stream: String,
    /// The consumer group, and whose memory it is in the database.
    #[arg(long, env, default_value = "order-service")]
    pub(crate) consumer: String,
    /// Consumes a queue of SQS. Where SQS is, and credentials, come from the AWS SDK's own variables.
    #[arg(long, env)]
    sqs_queue: Option<String>,
    /// How many events are handled at once.
    #[arg(long, env, default_value_t = 16)]
    concurrency: usize,
    /// How long an event waits for its predecessor.
    #[arg(long, env, default_value_t = 1_800_000)]
    patience_ms: u64,
    /// After how long an entry of a Redis stream is taken over from a consumer that is gone.
    #[arg(long, env, default_value_t = 30_000)]
    redis_idle_ms: u64,
    /// Takes subjects from any event on, for a service that joins in the middle.
    #[arg(long, env)]
    begin_anywhere: bool,
}

impl Arguments {
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            concurrency: self.concurrency,
            patience: Duration::from_millis(self.patience_ms),
            begin: if self.begin_anywhere { Begin::Anywhere } else { Begin::First },
            ..Settings::default()
        }
    }

    pub(crate) fn redis(&self) -> Option<RedisStream> {
        let url = self.redis_url.as_ref()?;
        let idle = Duration::from_millis(self.redis_idle_ms);
        Some(RedisStream { idle, ..RedisStream::new(url, &self.redis_stream, &self.consumer) })
    }

    pub(crate) async fn sqs(&self) -> Option<Sqs> {
        let queue = self.sqs_queue.as_ref()?;
        Some(Sqs::new(Clients::connect(Endpoint::default()).await, queue))
    }
}
