//! The connection pool, with a bound on everything that could otherwise wait for ever.

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::str::FromStr;
use std::time::Duration;

/// How the pool is sized and bounded.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections: u32,
    pub acquire_timeout: Duration,
    pub statement_timeout: Duration,
}

/// Builds the pool without connecting: a service must start, and say what is wrong, while Postgres is down.
pub fn lazy(database_url: &str, application_name: &str, limits: Limits) -> Result<PgPool, sqlx::Error> {
    let statement_timeout_ms = limits.statement_timeout.as_millis().to_string();
    let options = PgConnectOptions::from_str(database_url)?
        .application_name(application_name)
        .options([("statement_timeout", statement_timeout_ms.as_str())]);
    let pool = PgPoolOptions::new()
        .max_connections(limits.connections)
        .acquire_timeout(limits.acquire_timeout)
        // A ping before each use would double the round trips. Callers retry what a stale connection loses.
        .test_before_acquire(false)
        .connect_lazy_with(options);
    Ok(pool)
}

/// One round trip, to a server that takes writes.
pub async fn ping(pool: &PgPool) -> crate::Result<()> {
    let sql = r#"select current_setting('transaction_read_only') = 'off' as "writable!""#;
    let writable: bool = sqlx::query_scalar(sql).fetch_one(pool).await?;
    if writable { Ok(()) } else { Err(crate::Error::ReadOnly) }
}
