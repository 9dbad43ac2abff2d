//! Whose turn it is, how far it is, and how much is left.

use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// Gives this process the turn, or says that another one has it. It is its own for `term` from each call.
pub async fn lead(pool: &Pool, process: i64, term: Duration) -> Result<bool> {
    let query = sqlx::query!(
        "update retention_progress
            set process = $1, until = holdfast_now() + make_interval(secs => $2)
          where process = $1 or until is null or until < holdfast_now()",
        process,
        term.as_secs_f64()
    );
    Ok(pool.execute(query).await?.rows_affected() == 1)
}

#[derive(Clone, Debug)]
pub struct Standing {
    /// The last command that the walk has passed.
    pub position: i64,
    /// When the one behind it was accepted.
    pub next_accepted_at: Option<DateTime<Utc>>,
    /// For how long that one could have been looked at.
    pub lag: Duration,
    /// Passed, and to be looked at again.
    pub postponed: i64,
}

/// `age`: how long after its acceptance a command is looked at.
pub async fn standing(pool: &Pool, age: Duration) -> Result<Standing> {
    let query = sqlx::query!(
        r#"select p.position, c.created_at as "next_accepted_at?",
                  coalesce(greatest(extract(epoch from holdfast_now() - c.created_at)::float8 - $1, 0), 0) as "lag_s!",
                  (select count(*) from retention_postponed) as "postponed!"
             from retention_progress p
             left join lateral (select created_at from commands where no > p.position order by no limit 1) c on true"#,
        age.as_secs_f64()
    );
    let row = pool.fetch_one(query).await?;
    Ok(Standing {
        position: row.position,
        next_accepted_at: row.next_accepted_at,
        lag: Duration::try_from_secs_f64(row.lag_s).unwrap_or_default(),
        postponed: row.postponed,
    })
}

/// What could be looked at now.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// Ahead of the walk, counted up to the limit.
    pub ahead: i64,
    /// Of those that were postponed.
    pub postponed: i64,
}

/// Looks at no more than `limit` commands.
pub async fn due(pool: &Pool, age: Duration, limit: i64) -> Result<Due> {
    let query = sqlx::query!(
        r#"select (select count(*)
                     from retention_progress p
                    cross join lateral (select created_at from commands where no > p.position order by no limit $2) c
                    where c.created_at < holdfast_now() - make_interval(secs => $1)) as "ahead!",
                  (select count(*) from retention_postponed where look_at <= holdfast_now()) as "postponed!""#,
        age.as_secs_f64(),
        limit
    );
    let row = pool.fetch_one(query).await?;
    Ok(Due { ahead: row.ahead, postponed: row.postponed })
}
