//! Heartbeats: one row per life of a worker, and the reaping of those that fell silent (PROTOCOL 8).

use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::WorkerId;
use holdfast_domain::breaker::Seen;
use sqlx::types::Json;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a worker makes of its partners, by name.
pub type Partners = BTreeMap<String, Seen>;

/// Starts a life. `false` if the id is taken: draw another.
pub async fn register(pool: &Pool, id: WorkerId, name: &str) -> Result<bool> {
    let query = sqlx::query!("insert into workers (id, name) values ($1, $2) on conflict do nothing", id.0, name);
    let inserted = pool.execute(query).await?;
    Ok(inserted.rows_affected() == 1)
}

/// Update-only. `false` means: declared dead, everything claimed under this id belongs to others now. A gap of more
/// than `steady_gap` since the beat before restarts the steady time.
pub async fn beat(pool: &Pool, id: WorkerId, steady_gap: Duration) -> Result<bool> {
    let query = sqlx::query!(
        "update workers
            set beat = holdfast_now(),
                steady_since = case when beat < holdfast_now() - make_interval(secs => $2) then holdfast_now()
                                    else steady_since end
          where id = $1",
        id.0,
        steady_gap.as_secs_f64()
    );
    let updated = pool.execute(query).await?;
    Ok(updated.rows_affected() == 1)
}

/// Whether a worker whose name begins so has been heard of within this time.
pub async fn is_beating(pool: &Pool, name: &str, within: Duration) -> Result<bool> {
    let query = sqlx::query!(
        r#"select exists (select from workers
                           where starts_with(name, $1) and beat >= holdfast_now() - make_interval(secs => $2)) as "is!""#,
        name,
        within.as_secs_f64()
    );
    Ok(pool.fetch_one(query).await?.is)
}

/// Says what this worker makes of its partners at present.
pub async fn show_partners(pool: &Pool, id: WorkerId, partners: &Partners) -> Result<()> {
    let query = sqlx::query!("update workers set partners = $2 where id = $1", id.0, Json(partners) as Json<&Partners>);
    pool.execute(query).await?;
    Ok(())
}

/// A worker, as those who look on see it.
#[derive(Clone, Debug)]
pub struct Listed {
    pub id: WorkerId,
    pub name: String,
    pub silent_s: f64,
    pub started_at: DateTime<Utc>,
    /// Unknown of one that has just begun, or is of another version.
    pub partners: Option<Partners>,
}

pub async fn list(pool: &Pool, limit: i64) -> Result<Vec<Listed>> {
    let query = sqlx::query!(
        r#"select id, name, extract(epoch from holdfast_now() - beat)::float8 as "silent_s!", started_at,
                  partners
             from workers
            order by name, id
            limit $1"#,
        limit
    );
    let rows = pool.fetch_all(query).await?;
    let listed = rows.into_iter().map(|row| Listed {
        id: WorkerId(row.id),
        name: row.name,
        silent_s: row.silent_s,
        started_at: row.started_at,
        partners: row.partners.and_then(|partners| serde_json::from_value(partners).ok()),
    });
    Ok(listed.collect())
}

/// Ends a life after a clean shutdown.
pub async fn leave(pool: &Pool, id: WorkerId) -> Result<()> {
    pool.execute(sqlx::query!("delete from workers where id = $1", id.0)).await?;
    Ok(())
}

/// Declares dead who was silent for `silence`, and makes everything that they had claimed due at once. Returns how many
/// workers and how many claims. Only a judge whose own beats were steady all that time, the last one included, may do so:
/// after an outage of Postgres everybody was silent, and a judge that was held up after its beat has seen nothing since.
pub async fn reap(pool: &Pool, judge: WorkerId, silence: Duration) -> Result<(i64, i64)> {
    let query = sqlx::query!(
        r#"with dead as (
             delete from workers
              where beat < holdfast_now() - make_interval(secs => $2)
                and exists (select from workers me
                             where me.id = $1
                               and me.beat >= holdfast_now() - make_interval(secs => $2)
                               and me.steady_since < holdfast_now() - make_interval(secs => $2))
             returning id
           ),
           -- Locked in the order of every multi-row write. What somebody else has locked is left to the end of its lease.
           l as materialized (
             select no, lane from wakeups where worker in (select id from dead) order by lane, no for update skip locked
           ),
           freed as (
             update wakeups w
                set lease_until = holdfast_now(), due_at = holdfast_now(), run_at = least(w.run_at, holdfast_now())
               from l
              where w.no = any(array[l.no]) and w.lane + 0 = l.lane and w.worker in (select id from dead)
             returning w.no
           )
           select (select count(*) from dead) as "workers!", (select count(*) from freed) as "claims!""#,
        judge.0,
        silence.as_secs_f64()
    );
    let row = pool.fetch_one(query).await?;
    Ok((row.workers, row.claims))
}
