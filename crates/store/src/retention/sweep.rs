//! Small tables, looked through as a whole: what operators have done with is deleted after a while.

use crate::{Pool, Result};
use std::time::Duration;

/// Letters that were settled so long ago: each holds a whole message.
pub async fn letters(pool: &Pool, age: Duration, limit: i64) -> Result<u64> {
    let query = sqlx::query!(
        "with l as materialized (
           select no
             from dead_letters
            where state <> 'kept' and settled_at < holdfast_now() - make_interval(secs => $1)
            order by no
            limit $2
              for update skip locked
         )
         delete from dead_letters d using l where d.no = l.no",
        age.as_secs_f64(),
        limit
    );
    Ok(pool.execute(query).await?.rows_affected())
}

/// Items that were closed so long ago. Those of commands that are archived have gone with them, but for late ones.
pub async fn items(pool: &Pool, age: Duration, limit: i64) -> Result<u64> {
    let query = sqlx::query!(
        "with l as materialized (
           select no
             from attention_items
            where closed_at < holdfast_now() - make_interval(secs => $1)
            order by no
            limit $2
              for update skip locked
         )
         delete from attention_items i using l where i.no = l.no",
        age.as_secs_f64(),
        limit
    );
    Ok(pool.execute(query).await?.rows_affected())
}

/// Sessions that were over so long ago, of operators who have not come back.
pub async fn sessions(pool: &Pool, age: Duration, limit: i64) -> Result<u64> {
    let query = sqlx::query!(
        "with l as materialized (
           select hash
             from operator_sessions
            where expires_at < holdfast_now() - make_interval(secs => $1)
            order by hash
            limit $2
              for update skip locked
         )
         delete from operator_sessions s using l where s.hash = l.hash",
        age.as_secs_f64(),
        limit
    );
    Ok(pool.execute(query).await?.rows_affected())
}
