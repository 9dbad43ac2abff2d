//! How far each sink is with the events, and who publishes to it: one process at a time, under a token that fences what it
//! writes about it.

use crate::operator::Operator;
use crate::outbox::Position;
use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::Token;
use std::time::Duration;

/// Where a sink begins that is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With what is committed from now on.
    Now,
    /// With everything that carries its transaction.
    Beginning,
}

/// Makes a place for this sink, unless it has one.
pub async fn begin(pool: &Pool, name: &str, from: Start) -> Result<()> {
    let query = sqlx::query!(
        "insert into event_sinks (name, xid)
         values ($1, case when $2 then '0'::xid8 else pg_snapshot_xmin(pg_current_snapshot()) end)
             on conflict (name) do nothing",
        name,
        from == Start::Beginning
    );
    pool.execute(query).await?;
    Ok(())
}

/// Takes or keeps the turn at these sinks, for `lease` from now. Returned are those that are this process's. A place that is
/// ahead of this server's transactions is marked so: once they have got there, nothing else would tell what was missed.
pub async fn hold(pool: &Pool, names: &[String], token: Token, lease: Duration) -> Result<Vec<String>> {
    let query = sqlx::query!(
        "update event_sinks
            set token = $2, lease_until = holdfast_now() + make_interval(secs => $3), held_at = holdfast_now(),
                ahead = ahead or xid > pg_snapshot_xmax(pg_current_snapshot())
          where name = any($1) and (token is null or token = $2 or lease_until <= holdfast_now())
         returning name",
        names,
        token.0,
        lease.as_secs_f64()
    );
    Ok(pool.fetch_all(query).await?.into_iter().map(|row| row.name).collect())
}

/// Leaves them to others at once.
pub async fn release(pool: &Pool, token: Token) -> Result<()> {
    let query = sqlx::query!("update event_sinks set token = null, lease_until = null where token = $1", token.0);
    pool.execute(query).await?;
    Ok(())
}

/// The same for one of them.
pub async fn leave(pool: &Pool, name: &str, token: Token) -> Result<()> {
    let query = sqlx::query!(
        "update event_sinks set token = null, lease_until = null where name = $1 and token = $2",
        name,
        token.0
    );
    pool.execute(query).await?;
    Ok(())
}

/// A sink that is held, as its publisher needs it.
#[derive(Clone, Debug)]
pub struct Held {
    pub name: String,
    pub position: Position,
    /// What somebody has decided to leave out.
    pub skip: Option<String>,
    /// The event that it will not take.
    pub refused: Option<String>,
}

/// Those held under this token that something is waiting for, but for those whose place is of another server. One statement
/// for all of them, that reads a row of each index.
pub async fn waiting(pool: &Pool, token: Token) -> Result<Vec<Held>> {
    let query = sqlx::query!(
        r#"select s.name, s.xid::text::bigint as "xid!", s.no, s.sequence, s.skip, s.refused
             from event_sinks s
            where s.token = $1 and not s.ahead
              and (exists (select from commands c
                            where (c.xid, c.no) > (s.xid, s.no)
                              and c.xid < (select pg_snapshot_xmin(pg_current_snapshot())))
                   or exists (select from events e
                               where (e.xid, e.no, e.sequence) > (s.xid, s.no, s.sequence) and e.attempt = 0
                                 and e.xid < (select pg_snapshot_xmin(pg_current_snapshot()))))"#,
        token.0
    );
    let rows = pool.fetch_all(query).await?;
    let held = rows.into_iter().map(|row| Held {
        name: row.name,
        position: Position { xid: row.xid, no: row.no, sequence: row.sequence },
        skip: row.skip,
        refused: row.refused,
    });
    Ok(held.collect())
}

/// What a sink has confirmed.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// From where it was read.
    pub from: Position,
    pub to: Position,
    /// Of the server that it was read of.
    pub timeline: i64,
    /// One of it was left out, as somebody had decided.
    pub skipped: bool,
}

/// Notes what the sink has confirmed. `false`: it is somebody else's turn, or was, and the sink is at another place. Or it
/// was read of a server that another one has replaced since, perhaps without the last commits: then what is written there
/// under the same numbers is yet to be published. Such a server is on another timeline, or has not come so far.
pub async fn advance(pool: &Pool, name: &str, token: Token, progress: Progress) -> Result<bool> {
    let Progress { from, to, timeline, skipped } = progress;
    let query = sqlx::query!(
        "update event_sinks
            set xid = $3::text::xid8, no = $4, sequence = $5,
                published_at = holdfast_now(), failures = 0, error = null, refused = null,
                skip = case when $6 then null else skip end,
                skipped = skipped + case when $6 then 1 else 0 end
          where name = $1 and token = $2 and (xid, no, sequence) = ($7::text::xid8, $8::bigint, $9::int)
            and $10 = holdfast_timeline() and $3::text::xid8 < pg_snapshot_xmin(pg_current_snapshot())",
        name,
        token.0,
        to.xid.to_string(),
        to.no,
        to.sequence,
        skipped,
        from.xid.to_string(),
        from.no,
        from.sequence,
        timeline
    );
    Ok(pool.execute(query).await?.rows_affected() == 1)
}

/// It did not take a batch. `refused` is the event that it will never take.
pub async fn fail(pool: &Pool, name: &str, token: Token, error: &str, refused: Option<&str>) -> Result<bool> {
    let query = sqlx::query!(
        "update event_sinks
            set failures = least(failures + 1, 1000000), error = $3, refused = $4, failed_at = holdfast_now()
          where name = $1 and token = $2",
        name,
        token.0,
        error,
        refused
    );
    Ok(pool.execute(query).await?.rows_affected() == 1)
}

/// Has this event left out of this sink. `false`: it is not the one that it refuses.
pub async fn skip(pool: &Pool, name: &str, event: &str, operator: Operator<'_>) -> Result<bool> {
    let query = sqlx::query!(
        "update event_sinks set skip = refused, skip_by = $3, skip_why = $4 where name = $1 and refused = $2",
        name,
        event,
        operator.by,
        operator.why
    );
    Ok(pool.execute(query).await?.rows_affected() == 1)
}

/// How a sink stands, for those who look on.
#[derive(Clone, Debug)]
pub struct Standing {
    pub name: String,
    pub position: Position,
    /// It was restored into another server: the position is one of transactions that are yet to come, or were.
    pub is_ahead: bool,
    /// Somebody publishes to it.
    pub is_held: bool,
    /// Somebody did within a day.
    pub is_in_use: bool,
    /// Events that it has yet to get, counted up to the limit of acceptances and of all others.
    pub lag: i64,
    /// For how long the first of them has been waiting; 0 without any.
    pub oldest: Duration,
    pub started_at: DateTime<Utc>,
    pub published_at: Option<DateTime<Utc>>,
    pub failures: i32,
    pub error: Option<String>,
    pub failed_at: Option<DateTime<Utc>>,
    pub refused: Option<String>,
    pub skipped: i64,
}

/// All of them, by name. Reads at most `limit` entries of each index for each.
pub async fn standing(pool: &Pool, limit: i64) -> Result<Vec<Standing>> {
    let query = sqlx::query!(
        r#"select s.name, s.xid::text::bigint as "xid!", s.no, s.sequence,
                  s.ahead or s.xid > pg_snapshot_xmax(pg_current_snapshot()) as "is_ahead!",
                  coalesce(s.lease_until > holdfast_now(), false) as "is_held!",
                  coalesce(s.held_at > holdfast_now() - interval '1 day', false) as "is_in_use!",
                  a.count + b.count as "lag!",
                  coalesce(extract(epoch from holdfast_now() - least(x.at, y.at)), 0)::float8 as "oldest_s!",
                  s.started_at, s.published_at, s.failures, s.error, s.failed_at, s.refused, s.skipped
             from event_sinks s
            cross join lateral (
                    select count(*) as count
                      from (select from commands c where (c.xid, c.no) > (s.xid, s.no) and c.xid > '0' limit $1) c) a
            cross join lateral (
                    select count(*) as count
                      from (select from events e
                             where (e.xid, e.no, e.sequence) > (s.xid, s.no, s.sequence) and e.xid > '0' and e.attempt = 0
                             limit $1) e) b
             left join lateral (
                    select c.created_at as at
                      from commands c
                     where (c.xid, c.no) > (s.xid, s.no) and c.xid > '0'
                     order by c.xid, c.no
                     limit 1) x on true
             left join lateral (
                    select e.at
                      from events e
                     where (e.xid, e.no, e.sequence) > (s.xid, s.no, s.sequence) and e.xid > '0' and e.attempt = 0
                     order by e.xid, e.no, e.sequence
                     limit 1) y on true
            order by s.name"#,
        limit
    );
    let rows = pool.fetch_all(query).await?;
    let standing = rows.into_iter().map(|row| Standing {
        name: row.name,
        position: Position { xid: row.xid, no: row.no, sequence: row.sequence },
        is_ahead: row.is_ahead,
        is_held: row.is_held,
        is_in_use: row.is_in_use,
        lag: row.lag,
        oldest: Duration::try_from_secs_f64(row.oldest_s).unwrap_or_default(),
        started_at: row.started_at,
        published_at: row.published_at,
        failures: row.failures,
        error: row.error,
        failed_at: row.failed_at,
        refused: row.refused,
        skipped: row.skipped,
    });
    Ok(standing.collect())
}
