//! What one process at a time looks at for all: what `census` does not count, and whether every accepted command has an end
//! or a wakeup. No query gets slower with the number of commands that have ended.

use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::{CommandId, CommandNo};
use std::time::Duration;

/// Makes this process the surveyor, or says that another one is. It stays so for `term` from each call.
pub async fn lead(pool: &Pool, process: i64, term: Duration) -> Result<bool> {
    let query = sqlx::query!(
        "insert into surveyor (process, until)
         values ($1, holdfast_now() + make_interval(secs => $2))
             on conflict (one) do update
            set process = excluded.process, until = excluded.until
          where surveyor.process = excluded.process or surveyor.until < holdfast_now()",
        process,
        term.as_secs_f64()
    );
    Ok(pool.execute(query).await?.rows_affected() == 1)
}

/// Commands that are parked.
#[derive(Debug)]
pub struct Parked {
    pub kind: i16,
    pub reason: String,
    pub count: i64,
}

pub async fn parked(pool: &Pool) -> Result<Vec<Parked>> {
    let query = sqlx::query_as!(
        Parked,
        r#"select kind, coalesce(reason, 'none') as "reason!", count(*) as "count!"
             from outcomes
            where status = 'needs_attention'
            group by kind, 2"#
    );
    pool.fetch_all(query).await
}

/// Callbacks that are owed, of the clients with the most. Counted among the first ten thousand.
#[derive(Debug)]
pub struct Backlog {
    pub client: String,
    pub owed: i64,
}

pub async fn callback_backlog(pool: &Pool, clients: i64) -> Result<Vec<Backlog>> {
    let query = sqlx::query_as!(
        Backlog,
        r#"with w as materialized (select no from wakeups where lane = 1 and due_at <= holdfast_now() order by due_at limit 10000)
           select cl.name as client, count(*) as "owed!"
             from w
             join commands c using (no)
             join clients cl on cl.no = c.client
            group by cl.name
            order by 2 desc
            limit $1"#,
        clients
    );
    pool.fetch_all(query).await
}

/// Of Postgres itself, and of what waits in it.
#[derive(Debug)]
pub struct Totals {
    pub oldest_dead_letter_s: f64,
    pub longest_transaction_s: f64,
    pub size_bytes: i64,
    pub dead_wakeups: i64,
}

pub async fn totals(pool: &Pool) -> Result<Totals> {
    let query = sqlx::query_as!(
        Totals,
        r#"select (select coalesce(max(extract(epoch from holdfast_now() - received_at)), 0)::float8
                     from dead_letters where state = 'kept') as "oldest_dead_letter_s!",
                  (select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::float8
                     from pg_stat_activity
                    where datname = current_database() and pid <> pg_backend_pid()) as "longest_transaction_s!",
                  pg_database_size(current_database()) as "size_bytes!",
                  coalesce((select n_dead_tup from pg_stat_user_tables where relname = 'wakeups'), 0) as "dead_wakeups!""#
    );
    pool.fetch_one(query).await
}

/// Connections by program and state.
#[derive(Debug)]
pub struct Connections {
    pub application: String,
    pub state: String,
    pub count: i64,
}

pub async fn connections(pool: &Pool) -> Result<Vec<Connections>> {
    let query = sqlx::query_as!(
        Connections,
        r#"select case when application_name like 'holdfast%' then application_name else 'other' end as "application!",
                  coalesce(state, 'none') as "state!",
                  count(*) as "count!"
             from pg_stat_activity
            where datname = current_database()
            group by 1, 2"#
    );
    pool.fetch_all(query).await
}

/// Where to begin, so that this many of the newest commands are looked at.
pub async fn newest(pool: &Pool, back: i64) -> Result<CommandNo> {
    let row = pool.fetch_one(sqlx::query!(r#"select coalesce(max(no), 0) as "no!" from commands"#)).await?;
    Ok(CommandNo((row.no - back).max(0)))
}

/// A stretch of the accepted commands, held against what has become of them.
#[derive(Debug)]
pub struct Stretch {
    /// The last that was looked at. `None`: there are no more.
    pub last: Option<CommandNo>,
    pub looked_at: i64,
    /// Neither ended, nor parked, nor owed.
    pub lost: Vec<i64>,
}

/// The next `limit` commands that were accepted at least `settled` ago.
pub async fn reconcile(pool: &Pool, after: CommandNo, limit: i64, settled: Duration) -> Result<Stretch> {
    let query = sqlx::query!(
        r#"with c as materialized (
             select no, created_at from commands where no > $1 order by no limit $2
           ),
           old as (select no from c where created_at < holdfast_now() - make_interval(secs => $3))
           select max(no) as last, count(*) as "looked_at!",
                  coalesce(array_agg(no) filter (
                      where not exists (select from outcomes o where o.no = old.no)
                        and not exists (select from wakeups w where w.no = old.no and w.lane + 0 = 0 offset 0)
                  ), '{}') as "lost!"
             from old"#,
        after.0,
        limit,
        settled.as_secs_f64()
    );
    let row = pool.fetch_one(query).await?;
    Ok(Stretch { last: row.last.map(CommandNo), looked_at: row.looked_at, lost: row.lost })
}

/// A command that was accepted, and of which nothing is left but that.
#[derive(Debug)]
pub struct Lost {
    pub no: CommandNo,
    pub id: CommandId,
    pub created_at: DateTime<Utc>,
}

/// Those of these that are still lost.
pub async fn still_lost(pool: &Pool, nos: &[i64]) -> Result<Vec<Lost>> {
    let query = sqlx::query!(
        "select no, id, created_at
           from commands c
          where no = any($1)
            and not exists (select from outcomes o where o.no = c.no)
            and not exists (select from wakeups w where w.no = c.no and w.lane + 0 = 0 offset 0)",
        nos
    );
    let rows = pool.fetch_all(query).await?;
    let lost =
        rows.into_iter().map(|row| Lost { no: CommandNo(row.no), id: CommandId(row.id), created_at: row.created_at });
    Ok(lost.collect())
}

/// Commands that are owed although they were accepted longer ago than any of them may take. Counted among the first ten
/// thousand.
pub async fn overdue(pool: &Pool, age: Duration) -> Result<i64> {
    let query = sqlx::query!(
        r#"select count(*) as "count!"
             from (select no from wakeups where lane = 0 order by due_at limit 10000) w
             join commands c using (no)
            where c.created_at < holdfast_now() - make_interval(secs => $1)"#,
        age.as_secs_f64()
    );
    Ok(pool.fetch_one(query).await?.count)
}
