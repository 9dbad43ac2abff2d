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

    /// One after the other: what is behind a failure is not sent before it. All of a chunk or nothing: Redis would carry out
    /// what is behind an entry that it has refused for want of memory.
    async fn send(&self, connection: &mut MultiplexedConnection, events: &[Event]) -> Result<(), Failure> {
        for chunk in events.chunks(PIPELINED) {
            let mut pipeline = Pipeline::with_capacity(chunk.len());
            pipeline.atomic();
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
        ErrorKind::Server(ServerErrorKind::ResponseError | ServerErrorKind::ExecAbort) => "redis refuses XADD",
        _ => "redis is not there",
    };
    Failure::Unavailable(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::tests::event;
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    type Words = Vec<String>;

    /// One command of a client, if it is still there.
    async fn command(stream: &mut BufReader<TcpStream>) -> Option<Words> {
        let mut words = Vec::new();
        for _ in 0..number(stream).await? {
            let mut word = vec![0; number(stream).await? + 2];
            stream.read_exact(&mut word).await.ok()?;
            words.push(String::from_utf8_lossy(&word).trim_end().to_owned());
        }
        Some(words)
    }

    /// The line that says how many follow.
    async fn number(stream: &mut BufReader<TcpStream>) -> Option<usize> {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        line.get(1..)?.trim().parse().ok()
    }

    /// As Redis answers while it has no memory for the entry with this in it, and has for the others.
    async fn serve(listener: TcpListener, refused: &'static str, added: Arc<Mutex<Vec<String>>>) {
        let (stream, _) = listener.accept().await.expect("accept");
        let mut stream = BufReader::new(stream);
        let (mut queued, mut is_dirty): (Option<Words>, bool) = (None, false);
        while let Some(words) = command(&mut stream).await {
            let is_refused = words.iter().any(|word| word.contains(refused));
            let answer = match (&*words[0], &mut queued) {
                ("XADD", _) if is_refused => {
                    is_dirty = true;
                    "-OOM command not allowed when used memory > 'maxmemory'.\r\n".to_owned()
                }
                ("XADD", Some(queued)) => {
                    queued.push(words[words.len() - 1].clone());
                    "+QUEUED\r\n".to_owned()
                }
                ("XADD", None) => {
                    added.lock().expect("a lock").push(words[words.len() - 1].clone());
                    "$3\r\n1-0\r\n".to_owned()
                }
                ("MULTI", _) => {
                    queued = Some(Vec::new());
                    "+OK\r\n".to_owned()
                }
                ("EXEC", _) if is_dirty => {
                    "-EXECABORT Transaction discarded because of previous errors.\r\n".to_owned()
                }
                ("EXEC", queued) => {
                    let entries = queued.take().expect("it has begun");
                    let ids = format!("*{}\r\n{}", entries.len(), "$3\r\n1-0\r\n".repeat(entries.len()));
                    added.lock().expect("a lock").extend(entries);
                    ids
                }
                _ => "+OK\r\n".to_owned(),
            };
            stream.get_mut().write_all(answer.as_bytes()).await.expect("answer");
        }
    }

    /// What a stream has got after this was published, of which an entry with `refused` in it is refused.
    async fn published(events: &[Event], refused: &'static str) -> (Result<(), Failure>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("redis://{}/0", listener.local_addr().expect("an address"));
        let added = Arc::default();
        let serving = tokio::spawn(serve(listener, refused, Arc::clone(&added)));
        let redis =
            Redis::new(&RedisSettings { url: url.into(), stream: "s".to_owned(), max_len: 10 }).expect("builds");
        let outcome = redis.publish_and_await(events).await;
        serving.abort();
        let added = added.lock().expect("a lock").clone();
        (outcome, added)
    }

    #[tokio::test]
    async fn nothing_is_added_behind_what_is_refused() {
        let events: Vec<Event> = (0..4).map(|sequence| event(7, sequence)).collect();
        let (outcome, added) = published(&events, "\"sequence\":\"1\"").await;
        assert!(matches!(&outcome, Err(Failure::Unavailable(why)) if why.contains("OOM")), "{outcome:?}");
        assert!(added.is_empty(), "{added:?}");
        let (outcome, added) = published(&events, "nothing").await;
        assert_eq!((outcome, added.len()), (Ok(()), 4));
        assert!(added.iter().zip(&events).all(|(entry, event)| *entry == structured(event)), "{added:?}");
    }
}
