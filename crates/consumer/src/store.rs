//! How far a consumer has come with each subject, in its own database: one row, which is the memory of what was handled,
//! the order, and the lock at once.
//!
//! # Why this is right
//!
//! An event is handled in the transaction that moves its subject's row from `sequence - 1` to `sequence`
//! (`Store::advance`). Of two consumers that have the same event at the same time both try to make that move. The first to
//! write holds the row until its transaction ends, or, where there was none, its place in the primary key. The other one
//! waits there. If the first commits, Postgres tests the predicate of the second again on the row as it is now; it does not
//! hold any more, nothing is moved, and the event is a duplicate. If the first rolls back, the second makes the move. So for
//! each sequence exactly one transaction commits with the move in it, and the effects of the handler are in the same
//! transaction. An event whose predecessor is under way elsewhere waits for that row too, and then finds it handled.
//! Nothing of this depends on who received what from where, or how often.
//!
//! It is meant for `read committed`, Postgres's default. Where a service has set `repeatable read` or `serializable`, the
//! second one fails instead of testing again, and is tried again: right too, and slower.

use crate::{Event, Failed};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, Row as _, Transaction};
use std::sync::Arc;
use std::time::Duration;

/// The tables, for services that would rather have them in a migration of their own than call [`Store::install`].
pub const SCHEMA: &str = include_str!("schema.sql");

/// Any number that others are unlikely to lock.
const INSTALLING: i64 = 0x686f_6c64_6661_7374;

/// The memory of one consumer. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    consumer: Arc<str>,
}

/// What became of the attempt to take an event's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// It is our turn, in this transaction.
    Yes(Turn),
    /// It was handled before.
    Duplicate,
    /// It was passed over before.
    Late,
    /// What comes before it has not been handled. `begun`: something of its subject has.
    Missing { begun: bool },
}

/// The transaction that an event's turn was taken in, as Postgres numbers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn(String);

impl Store {
    /// `consumer` names whose memory it is: the same in every process of a service, another for another purpose.
    pub fn new(pool: PgPool, consumer: &str) -> Self {
        Self { pool, consumer: consumer.into() }
    }

    /// Creates the tables, where they are not there. May be called by many at once.
    pub async fn install(&self) -> sqlx::Result<()> {
        let mut transaction = self.pool.begin().await?;
        // `if not exists` alone fails in whoever comes second while the first has not committed.
        sqlx::query("select pg_advisory_xact_lock($1)").bind(INSTALLING).execute(&mut *transaction).await?;
        sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
        transaction.commit().await
    }

    /// The last event of a subject that was handled, or given up. `None`: none was, as far as is known.
    pub async fn last(&self, subject: &str) -> sqlx::Result<Option<i64>> {
        let sql = "select last from holdfast_seen where consumer = $1 and subject = $2";
        sqlx::query_scalar(sql).bind(&*self.consumer).bind(subject).fetch_optional(&self.pool).await
    }

    /// Forgets subjects of which nothing was heard for so long, and answers how many. What is delivered again after that is
    /// taken for new: keep them longer than the source keeps events and dead letters, by far.
    pub async fn prune(&self, older_than: Duration) -> sqlx::Result<u64> {
        let seconds = older_than.as_secs_f64();
        let sql = "delete from holdfast_skipped
                    where consumer = $1 and skipped_at < now() - make_interval(secs => $2)";
        sqlx::query(sql).bind(&*self.consumer).bind(seconds).execute(&self.pool).await?;
        let sql = "delete from holdfast_seen
                    where consumer = $1 and handled_at < now() - make_interval(secs => $2)";
        let done = sqlx::query(sql).bind(&*self.consumer).bind(seconds).execute(&self.pool).await?;
        Ok(done.rows_affected())
    }

    pub(crate) async fn connect(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        self.pool.acquire().await
    }

    /// Begins a transaction that ends by itself, whatever becomes of whoever began it: one that is frozen, or cut off, holds
    /// the lock of its subject no longer than that. What it commits survives a crash, whatever the database is set to.
    pub(crate) async fn begin<'c>(
        &self,
        conn: &'c mut PgConnection,
        limit: Duration,
    ) -> sqlx::Result<Transaction<'c, Postgres>> {
        let limit_ms = limit.as_millis();
        // In one message, which costs no more than a plain `begin`.
        let statement = format!(
            "begin;
             set local lock_timeout = {limit_ms};
             set local statement_timeout = {limit_ms};
             set local idle_in_transaction_session_timeout = {limit_ms};
             select set_config('synchronous_commit', 'on', true)
              where current_setting('synchronous_commit') not in ('on', 'remote_apply')"
        );
        conn.begin_with(AssertSqlSafe(statement)).await
    }

    /// Takes the turn of an event, if it is its turn. The row is locked from then on.
    pub(crate) async fn advance(&self, conn: &mut PgConnection, event: &Event) -> sqlx::Result<Moved> {
        // The predicate is on the row that is written: whoever waited for its lock tests it again.
        let next = "update holdfast_seen
                       set last = $3, handled_at = now()
                     where consumer = $1 and subject = $2 and last = $3 - 1
                    returning pg_current_xact_id()::text";
        // Of two, the second waits in the primary key for the end of the first.
        let first = "insert into holdfast_seen (consumer, subject, last)
                     values ($1, $2, $3)
                     on conflict (consumer, subject) do nothing
                     returning pg_current_xact_id()::text";
        let sql = if event.sequence == 0 { first } else { next };
        match self.turn(conn, sql, event).await? {
            Some(turn) => Ok(Moved::Yes(turn)),
            None => self.standing(conn, event).await,
        }
    }

    /// Takes the turn of an event whose predecessors are waited for no longer. Should one of them come, it is late.
    pub(crate) async fn overtake(&self, conn: &mut PgConnection, event: &Event) -> sqlx::Result<Moved> {
        let sql = "select last from holdfast_seen where consumer = $1 and subject = $2 for update";
        let query = sqlx::query_scalar(sql).bind(&*self.consumer).bind(&event.subject);
        let last: Option<i64> = query.fetch_optional(&mut *conn).await?;
        // It is locked, or it is not there, and somebody else may insert it first: then nothing is moved.
        let sql = match last {
            Some(_) => {
                "update holdfast_seen
                    set last = $3, handled_at = now()
                  where consumer = $1 and subject = $2 and last < $3
                 returning pg_current_xact_id()::text"
            }
            None => {
                "insert into holdfast_seen (consumer, subject, last)
                 values ($1, $2, $3)
                 on conflict (consumer, subject) do nothing
                 returning pg_current_xact_id()::text"
            }
        };
        let Some(turn) = self.turn(conn, sql, event).await? else { return self.standing(conn, event).await };
        let first = last.map_or(0, |last| last + 1);
        if first < event.sequence {
            self.note_skipped(conn, event, first).await?;
        }
        Ok(Moved::Yes(turn))
    }

    /// Whether the transaction is still the one that the turn was taken in, and can commit. Postgres answers COMMIT with a
    /// rollback, and no error, where a statement has failed before.
    pub(crate) async fn confirm(&self, conn: &mut PgConnection, turn: &Turn) -> Result<(), Failed> {
        let sql = "select pg_current_xact_id_if_assigned()::text";
        let now: Option<String> = sqlx::query_scalar(sql).fetch_one(conn).await?;
        if now.as_ref() != Some(&turn.0) {
            return Err(Failed::retry("the handler has ended the transaction"));
        }
        Ok(())
    }

    async fn turn(&self, conn: &mut PgConnection, sql: &'static str, event: &Event) -> sqlx::Result<Option<Turn>> {
        let query = sqlx::query_scalar(sql).bind(&*self.consumer).bind(&event.subject).bind(event.sequence);
        Ok(query.fetch_optional(conn).await?.map(Turn))
    }

    /// Why it was not its turn. A statement of its own, which sees what was committed while the one before waited.
    async fn standing(&self, conn: &mut PgConnection, event: &Event) -> sqlx::Result<Moved> {
        let sql = "select seen.last,
                          exists (select from holdfast_skipped skipped
                                   where skipped.consumer = $1 and skipped.subject = $2
                                     and $3 between skipped.first and skipped.last)
                     from holdfast_seen seen
                    where consumer = $1 and subject = $2";
        let query = sqlx::query(sql).bind(&*self.consumer).bind(&event.subject).bind(event.sequence);
        let Some(row) = query.fetch_optional(conn).await? else { return Ok(Moved::Missing { begun: false }) };
        let (last, skipped): (i64, bool) = (row.try_get(0)?, row.try_get(1)?);
        Ok(match (last >= event.sequence, skipped) {
            (true, true) => Moved::Late,
            (true, false) => Moved::Duplicate,
            (false, _) => Moved::Missing { begun: true },
        })
    }

    async fn note_skipped(&self, conn: &mut PgConnection, event: &Event, first: i64) -> sqlx::Result<()> {
        let sql = "insert into holdfast_skipped (consumer, subject, first, last)
                   values ($1, $2, $3, $4 - 1)
                   on conflict do nothing";
        let query = sqlx::query(sql).bind(&*self.consumer).bind(&event.subject).bind(first).bind(event.sequence);
        query.execute(conn).await.map(drop)
    }
}
