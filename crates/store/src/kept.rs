//! Connections that are kept between statements. The pool asks each one on its return whether it still lives: a round trip
//! more for every statement.

use crate::pool::{Limits, Usage};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Then a connection goes back to the pool, which replaces old ones: a server behind a name may have moved.
const KEPT_FOR: Duration = Duration::from_secs(300);

/// Who has said nothing for this long may be gone without a word.
const IDLE_FOR: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Kept {
    /// As many as there may be connections: whoever has one finds or opens a connection.
    permits: Arc<Semaphore>,
    max: usize,
    acquire_timeout: Duration,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: PoolConnection<Postgres>,
    /// From the pool.
    taken: Instant,
    used: Instant,
}

/// One connection, for one statement. Dropped in the middle of it, it is closed: the pool would wait for the rest of its
/// answer, for as long as that takes, and keep its place taken.
pub(crate) struct Connection {
    /// Until it is kept.
    idle: Option<Idle>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(idle) = self.idle.take() {
            drop(idle.connection.detach());
        }
    }
}

impl Kept {
    pub(crate) fn new(limits: Limits) -> Self {
        let max = limits.connections as usize;
        let permits = Arc::new(Semaphore::new(max));
        Self { permits, max, acquire_timeout: limits.acquire_timeout, idle: Mutex::default() }
    }

    pub(crate) async fn take(&self, pool: &PgPool) -> Result<Connection, sqlx::Error> {
        let permit = tokio::time::timeout(self.acquire_timeout, Arc::clone(&self.permits).acquire_owned()).await;
        let permit =
            permit.map_err(|_elapsed| sqlx::Error::PoolTimedOut)?.map_err(|_closed| sqlx::Error::PoolClosed)?;
        let idle = self.last_used();
        let idle = match idle {
            Some(idle) => idle,
            None => {
                let now = Instant::now();
                Idle { connection: pool.acquire().await?, taken: now, used: now }
            }
        };
        Ok(Connection { idle: Some(idle), _permit: permit })
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage { used: self.max - self.permits.available_permits(), idle: self.idle().len(), max: self.max }
    }

    /// After a statement that was answered.
    pub(crate) fn keep(&self, mut connection: Connection) {
        let Some(mut idle) = connection.idle.take() else { return };
        let now = Instant::now();
        if now - idle.taken < KEPT_FOR {
            idle.used = now;
            // Before the permit is free: who gets that must find this.
            self.idle().push(idle);
        }
    }

    /// If that was long ago, all others have waited for longer.
    fn last_used(&self) -> Option<Idle> {
        let idle = self.idle().pop()?;
        if idle.used.elapsed() < IDLE_FOR {
            return Some(idle);
        }
        drop(idle.connection.detach());
        self.close();
        None
    }

    /// After one of them has failed: the others lead to the same server.
    pub(crate) fn close(&self) {
        let idle = std::mem::take(&mut *self.idle());
        idle.into_iter().for_each(|idle| drop(idle.connection.detach()));
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    pub(crate) fn get(&mut self) -> &mut PgConnection {
        &mut self.idle.as_mut().expect("it is kept at the end alone").connection
    }
}
