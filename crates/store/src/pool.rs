//! The connection pool, with a bound on everything that could otherwise wait for ever.
//!
//! What waits for an answer is boxed: a future of five kilobytes inside that of every caller would be moved with each of
//! them.

use crate::kept::{Connection, Kept};
use crate::{Error, Result};
use chrono::{DateTime, Utc};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgQueryResult, PgRow};
use sqlx::query::{Map, Query};
use sqlx::{PgConnection, Postgres};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// How much longer than Postgres' own limit an answer may take. What takes longer is not slow, it is gone: a host that
/// vanished sends no reset, and the system's own limit is a quarter of an hour.
const ON_THE_WIRE: Duration = Duration::from_secs(2);

/// Connections for what goes around [`Pool`]: migrations, and tests that look behind the scenes.
const BESIDE: u32 = 2;

/// How the pool is sized and bounded.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections: u32,
    pub acquire_timeout: Duration,
    pub statement_timeout: Duration,
    /// For a row that somebody else has locked.
    pub lock_timeout: Duration,
}

/// How many connections there are and may be.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub used: usize,
    pub idle: usize,
    pub max: usize,
}

/// The way to Postgres of every statement here. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pool {
    connections: PgPool,
    kept: Arc<Kept>,
    deadline: Duration,
}

impl Pool {
    /// Builds the pool without connecting: a service must start, and say what is wrong, while Postgres is down.
    pub fn lazy(database_url: &str, application_name: &str, limits: Limits) -> std::result::Result<Self, sqlx::Error> {
        let statement_timeout_ms = limits.statement_timeout.as_millis().to_string();
        let lock_timeout_ms = limits.lock_timeout.as_millis().to_string();
        let options = PgConnectOptions::from_str(database_url)?
            .application_name(application_name)
            // Every statement here takes microseconds; compiling one would take milliseconds.
            .options([
                ("statement_timeout", statement_timeout_ms.as_str()),
                // Statements hold locks for milliseconds. Somebody's open transaction must not look like an outage.
                ("lock_timeout", lock_timeout_ms.as_str()),
                ("jit", "off"),
                // To plan a statement takes longer than to run it, and no plan is better for knowing what is asked for.
                ("plan_cache_mode", "force_generic_plan"),
                // Every statement here finds each of its rows by a key. A plan made while a table was small must not read
                // all of it when it is large.
                ("enable_seqscan", "off"),
                ("enable_bitmapscan", "off"),
                ("enable_hashjoin", "off"),
                ("enable_mergejoin", "off"),
                // What is looked at was written a moment ago.
                ("random_page_cost", "0.1"),
            ]);
        let connections = PgPoolOptions::new()
            .max_connections(limits.connections + BESIDE)
            .acquire_timeout(limits.acquire_timeout)
            // A ping before each use would double the round trips. Callers retry what a stale connection loses.
            .test_before_acquire(false)
            .connect_lazy_with(options);
        let kept = Arc::new(Kept::new(limits));
        Ok(Self { connections, kept, deadline: limits.statement_timeout + ON_THE_WIRE })
    }

    /// The same connections with another bound on each wait, for one as much as for an answer.
    pub fn within(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    pub fn usage(&self) -> Usage {
        self.kept.usage()
    }

    /// The connections themselves, for migrations and for tests that look behind the scenes.
    pub const fn connections(&self) -> &PgPool {
        &self.connections
    }

    /// One round trip, to a server that takes writes.
    pub async fn ping(&self) -> Result<()> {
        let sql = r#"select current_setting('transaction_read_only') = 'off' as "writable!""#;
        let read = async |connection: &mut PgConnection| sqlx::query_scalar(sql).fetch_one(connection).await;
        let mut connection = self.connection().await?;
        let read = tokio::time::timeout(self.deadline, read(connection.get())).await;
        if self.settle(connection, read)? { Ok(()) } else { Err(Error::ReadOnly) }
    }

    /// Postgres' time.
    pub async fn now(&self) -> Result<DateTime<Utc>> {
        let row = self.fetch_one(sqlx::query!(r#"select holdfast_now() as "now!""#)).await?;
        Ok(row.now)
    }

    pub(crate) async fn fetch_all<F, T>(&self, query: Map<'_, Postgres, F, PgArguments>) -> Result<Vec<T>>
    where
        F: FnMut(PgRow) -> std::result::Result<T, sqlx::Error> + Send,
        T: Send + Unpin,
    {
        let mut connection = self.connection().await?;
        let fetched = tokio::time::timeout(self.deadline, Box::pin(query.fetch_all(connection.get()))).await;
        self.settle(connection, fetched)
    }

    pub(crate) async fn fetch_optional<F, T>(&self, query: Map<'_, Postgres, F, PgArguments>) -> Result<Option<T>>
    where
        F: FnMut(PgRow) -> std::result::Result<T, sqlx::Error> + Send,
        T: Send + Unpin,
    {
        let mut connection = self.connection().await?;
        let fetched = tokio::time::timeout(self.deadline, Box::pin(query.fetch_optional(connection.get()))).await;
        self.settle(connection, fetched)
    }

    pub(crate) async fn fetch_one<F, T>(&self, query: Map<'_, Postgres, F, PgArguments>) -> Result<T>
    where
        F: FnMut(PgRow) -> std::result::Result<T, sqlx::Error> + Send,
        T: Send + Unpin,
    {
        let mut connection = self.connection().await?;
        let fetched = tokio::time::timeout(self.deadline, Box::pin(query.fetch_one(connection.get()))).await;
        self.settle(connection, fetched)
    }

    pub(crate) async fn execute(&self, query: Query<'_, Postgres, PgArguments>) -> Result<PgQueryResult> {
        let mut connection = self.connection().await?;
        let executed = tokio::time::timeout(self.deadline, Box::pin(query.execute(connection.get()))).await;
        self.settle(connection, executed)
    }

    async fn connection(&self) -> Result<Connection> {
        match tokio::time::timeout(self.deadline, Box::pin(self.kept.take(&self.connections))).await {
            Ok(connection) => Ok(connection?),
            Err(_elapsed) => Err(Error::Unavailable(sqlx::Error::PoolTimedOut)),
        }
    }

    /// Whoever has answered is kept, whatever the answer. Who has not is closed, with all others: they lead to the same
    /// server.
    fn settle<T>(
        &self,
        connection: Connection,
        answer: std::result::Result<std::result::Result<T, sqlx::Error>, tokio::time::error::Elapsed>,
    ) -> Result<T> {
        match answer {
            Ok(Ok(answer)) => {
                self.kept.keep(connection);
                Ok(answer)
            }
            Ok(Err(error)) => {
                if is_alive(&error) {
                    self.kept.keep(connection);
                } else {
                    drop(connection);
                    self.kept.close();
                }
                Err(Error::from(error))
            }
            Err(_elapsed) => {
                drop(connection);
                self.kept.close();
                let silence = format!("no answer from postgres within {} ms", self.deadline.as_millis());
                Err(Error::Unavailable(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, silence))))
            }
        }
    }
}

/// Whether the server that sent this error goes on: not where it closes the connection, is shut down, or takes no writes
/// any more.
fn is_alive(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| !["08", "25", "57P", "58"].iter().any(|class| code.starts_with(class)))
}
