//! What stands in the tables, counted for operators and for monitoring. Every statement reads a small table, a partial index or statistics:
//! none gets slower with the number of commands that have ended.

use crate::{Pool, Result};
use holdfast_domain::{Kind, Lane};
use std::time::Duration;

/// What is owed of one kind in one lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Owed {
    pub kind: Kind,
    pub lane: Lane,
    /// For their time, such as that of the next try.
    pub waiting: i64,
    pub due: i64,
    pub claimed: i64,
    /// Those whose runs have failed at least twice without any progress.
    pub suspect: i64,
    /// For how long the oldest one has been due.
    pub oldest_due: Duration,
}

/// A row for each kind and lane, also where nothing is owed.
pub async fn owed(pool: &Pool) -> Result<Vec<Owed>> {
    let query = sqlx::query!(
        r#"select kind, lane,
                  count(*) filter (where lease_until > holdfast_now()) as "claimed!",
                  count(*) filter (where run_at > holdfast_now()
                                     and coalesce(lease_until <= holdfast_now(), true)) as "waiting!",
                  count(*) filter (where run_at <= holdfast_now()
                                     and coalesce(lease_until <= holdfast_now(), true)) as "due!",
                  count(*) filter (where failures >= 2) as "suspect!",
                  coalesce(max(extract(epoch from holdfast_now() - greatest(run_at, lease_until)))
                           filter (where run_at <= holdfast_now()
                                     and coalesce(lease_until <= holdfast_now(), true)), 0)::float8 as "oldest_due!"
             from wakeups
            group by kind, lane"#
    );
    let rows = pool.fetch_all(query).await?;
    let all = [Lane::Run, Lane::Tell].into_iter().flat_map(|lane| Kind::ALL.map(|kind| (kind, lane)));
    let owed = all.map(|(kind, lane)| {
        let row = rows.iter().find(|row| (row.kind, row.lane) == (kind.code(), lane.code()));
        Owed {
            kind,
            lane,
            waiting: row.map_or(0, |row| row.waiting),
            due: row.map_or(0, |row| row.due),
            claimed: row.map_or(0, |row| row.claimed),
            suspect: row.map_or(0, |row| row.suspect),
            oldest_due: Duration::from_secs_f64(row.map_or(0.0, |row| row.oldest_due.max(0.0))),
        }
    });
    Ok(owed.collect())
}

/// Rows ever inserted, as Postgres' statistics have it: late by about a second, and anew after a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// Commands accepted.
    pub commands: i64,
    /// Commands ended, or parked.
    pub outcomes: i64,
}

pub async fn inserted(pool: &Pool) -> Result<Inserted> {
    let query = sqlx::query!(
        r#"select coalesce(sum(n_tup_ins) filter (where relname = 'commands'), 0)::bigint as "commands!",
                  coalesce(sum(n_tup_ins) filter (where relname = 'outcomes'), 0)::bigint as "outcomes!"
             from pg_stat_user_tables
            where schemaname = 'public'"#
    );
    let row = pool.fetch_one(query).await?;
    Ok(Inserted { commands: row.commands, outcomes: row.outcomes })
}

/// What waits for a person, and who works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Desk {
    pub parked: i64,
    pub items: i64,
    /// That nobody has settled.
    pub dead_letters: i64,
    /// Workers that were heard of within the time asked for.
    pub workers: i64,
}

pub async fn desk(pool: &Pool, within: Duration) -> Result<Desk> {
    let query = sqlx::query!(
        r#"select (select count(*) from outcomes where status = 'needs_attention') as "parked!",
                  (select count(*) from attention_items where closed_at is null) as "items!",
                  (select count(*) from dead_letters where state = 'kept') as "dead_letters!",
                  (select count(*) from workers where beat >= holdfast_now() - make_interval(secs => $1)) as "workers!""#,
        within.as_secs_f64()
    );
    let row = pool.fetch_one(query).await?;
    Ok(Desk { parked: row.parked, items: row.items, dead_letters: row.dead_letters, workers: row.workers })
}

/// What a commit rests on here, and what stands in the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub version: String,
    pub fsync: String,
    pub full_page_writes: String,
    /// As sessions of this role have it.
    pub synchronous_commit: String,
    pub synchronous_standby_names: String,
    /// Age of the oldest transaction, as far as this role may see.
    pub longest_transaction: Duration,
}

pub async fn server(pool: &Pool) -> Result<Server> {
    let query = sqlx::query!(
        r#"select current_setting('server_version') as "version!",
                  current_setting('fsync') as "fsync!",
                  current_setting('full_page_writes') as "full_page_writes!",
                  current_setting('synchronous_commit') as "synchronous_commit!",
                  current_setting('synchronous_standby_names') as "synchronous_standby_names!",
                  (select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::float8
                     from pg_stat_activity
                    where datname = current_database() and pid <> pg_backend_pid()) as "longest!""#
    );
    let row = pool.fetch_one(query).await?;
    Ok(Server {
        version: row.version,
        fsync: row.fsync,
        full_page_writes: row.full_page_writes,
        synchronous_commit: row.synchronous_commit,
        synchronous_standby_names: row.synchronous_standby_names,
        longest_transaction: Duration::from_secs_f64(row.longest.max(0.0)),
    })
}
