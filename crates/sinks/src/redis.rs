//! A stream of Redis. Each entry has one field, `event`, with the event as JSON; the stream is cut to about so many entries,
//! the oldest first, whether anybody has read them or not.
//!
//! Confirmed means that Redis has answered. Whether it keeps that through a crash of its own is its `appendfsync`.

use crate::{Failure, Sink, Unbuilt, structured};
use ::redis::aio::MultiplexedConnection;
use ::redis::{Client, Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind};
use async_trait::async_trait;
use holdfast_domain::event::Event;
use secrecy::{ExposeSecret as _, SecretString};
use std::time::Duration;
use tokio::sync::Mutex;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// For all entries of a batch.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Entries in one exchange.
const PIPELINED: usize = 100;

/// The field of an entry.
const FIELD: &str = "event";

#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// `redis://[user:password@]host[:port][/database]`
    pub url: SecretString,
    pub stream: String,
    /// About so many entries are kept.
    pub max_len: u64,
}

pub struct Redis {
    client: Client,
    stream: String,
    max_len: u64,
    /// The one that is used until it fails.
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Redis {
    pub fn new(settings: &RedisSettings) -> Result<Self, Unbuilt> {
        // Its text could repeat the password.
        let client = Client::open(settings.url.expose_secret());
        let client = client.map_err(|_| Unbuilt("url is not one of Redis, such as redis://host:6379/0".to_owned()))?;
        Ok(Self { client, stream: settings.stream.clone(), max_len: settings.max_len, connection: Mutex::default() })
    }

    fn add(&self, event: &Event) -> Cmd {
        let mut add = ::redis::cmd("XADD");
        add.arg(&self.stream).arg("MAXLEN").arg("~").arg(self.max_len).arg("*").arg(FIELD).arg(structured(event));
        add
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = ::redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// One after the other: what is behind a failure is not sent before it.
    async fn send(&self, connection: &mut MultiplexedConnection, events: &[Event]) -> Result<(), Failure> {
        for chunk in events.chunks(PIPELINED) {
            let mut pipeline = Pipeline::with_capacity(chunk.len());
            for event in chunk {
                pipeline.add_command(self.add(event));
            }
            let _ids: Vec<String> = pipeline.query_async(connection).await.map_err(|error| failure(&error))?;
        }
        Ok(())
    }
}

#[async_trait]
impl Sink for Redis {
    async fn publish_and_await(&self, events: &[Event]) -> Result<(), Failure> {
        let mut kept = self.connection.lock().await;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.connect().await.map_err(|error| failure(&error))?,
        };
        self.send(&mut connection, events).await?;
        *kept = Some(connection);
        Ok(())
    }
}

/// Redis refuses no event for what is in it: whatever it says, somebody can mend it there.
fn failure(error: &RedisError) -> Failure {
    let what = match error.kind() {
        ErrorKind::Server(ServerErrorKind::ResponseError) => "redis refuses XADD",
        _ => "redis is not there",
    };
    Failure::Unavailable(format!("{what}: {error}"))
}
