//! What is owed, for those who look on. Locks nothing.

use crate::commands::kind;
use crate::{Error, Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::{ClientNo, CommandId, CommandNo, Kind, Lane, WorkerId};

/// One row, as it stands.
#[derive(Clone, Debug)]
pub struct Standing {
    pub lane: Lane,
    pub step: String,
    /// Whose claim it is.
    pub worker: Option<WorkerId>,
    pub lease_until: Option<DateTime<Utc>>,
    /// Not before.
    pub run_at: DateTime<Utc>,
    pub next_try_at: Option<DateTime<Utc>>,
    pub tries: i16,
    pub failures: i16,
}

/// What is owed of one command, its run first.
pub async fn standing(pool: &Pool, no: CommandNo) -> Result<Vec<Standing>> {
    let query = sqlx::query!(
        "select lane, step, worker, lease_until, run_at, next_try_at, tries, failures
           from wakeups
          where no = $1
          order by lane",
        no.0
    );
    let rows = pool.fetch_all(query).await?;
    let standing = rows.into_iter().map(|row| {
        Ok(Standing {
            lane: Lane::from_code(row.lane).ok_or(Error::Unreadable { what: "lane" })?,
            step: row.step,
            worker: row.worker.map(WorkerId),
            lease_until: row.lease_until,
            run_at: row.run_at,
            next_try_at: row.next_try_at,
            tries: row.tries,
            failures: row.failures,
        })
    });
    standing.collect()
}

/// A client that is still to be told of a command.
#[derive(Clone, Debug)]
pub struct Telling {
    pub no: CommandNo,
    pub id: CommandId,
    pub client: ClientNo,
    pub kind: Kind,
    /// Attempts of the present state that have failed.
    pub tries: i16,
    pub run_at: DateTime<Utc>,
    pub due_at: DateTime<Utc>,
    pub claimed: bool,
}

/// Where a page begins: after this row.
#[derive(Clone, Copy, Debug)]
pub struct After {
    pub due_at: DateTime<Utc>,
    pub no: CommandNo,
}

/// Callbacks that are owed after at least so many attempts, in the order in which they are due.
pub async fn telling(pool: &Pool, tries: i16, after: Option<After>, limit: i64) -> Result<Vec<Telling>> {
    let query = sqlx::query!(
        r#"select w.no as "no!", c.id as "id!", c.client as "client!", w.kind as "kind!", w.tries as "tries!",
                  w.run_at as "run_at!", w.due_at as "due_at!",
                  coalesce(w.lease_until > holdfast_now(), false) as "claimed!"
             from (select *
                     from wakeups
                    where lane = 1 and tries >= $1
                      and (due_at, no) > (coalesce($2::timestamptz, '-infinity'), $3)
                    order by due_at, no
                    limit $4) w
             join lateral (select * from commands c where c.no = w.no limit 1) c on true
            order by w.due_at, w.no"#,
        tries,
        after.map(|after| after.due_at),
        after.map_or(0, |after| after.no.0),
        limit
    );
    let rows = pool.fetch_all(query).await?;
    let telling = rows.into_iter().map(|row| {
        Ok(Telling {
            no: CommandNo(row.no),
            id: CommandId(row.id),
            client: ClientNo(row.client),
            kind: kind(row.kind)?,
            tries: row.tries,
            run_at: row.run_at,
            due_at: row.due_at,
            claimed: row.claimed,
        })
    });
    telling.collect()
}
