//! Small tables, looked through as a whole: what operators have done with is deleted after a while.

use crate::{Pool, Result};
use holdfast_domain::CommandId;
use std::time::Duration;
use uuid::Uuid;

/// Letters that were settled so long ago, or came so long ago and were never settled: each holds a whole message.
pub async fn letters(pool: &Pool, settled: Duration, kept: Duration, limit: i64) -> Result<u64> {
    let query = sqlx::query!(
        "with l as materialized (
           select no
             from dead_letters
            where state <> 'kept' and settled_at < holdfast_now() - make_interval(secs => $1)
               or state = 'kept' and received_at < holdfast_now() - make_interval(secs => $2)
            order by no
            limit $3
              for update skip locked
         )
         delete from dead_letters d using l where d.no = l.no",
        settled.as_secs_f64(),
        kept.as_secs_f64(),
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

/// What came of a stretch of partners' words.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    pub deleted: u64,
    /// Where the next stretch begins. `None`: there is nothing behind this one.
    pub last: Option<CommandId>,
}

/// What partners said so long ago of commands that are not there, or whose payload is no longer kept: what is said while one
/// is archived is missed by that. A stretch of the index by command, so that no look reads more than its rows.
pub async fn words(pool: &Pool, after: Option<CommandId>, age: Duration, limit: i64) -> Result<Words> {
    let query = sqlx::query!(
        r#"with s as materialized (
             select partner, event_id, command_id, received_at
               from partner_updates
              where command_id > $1
              order by command_id
              limit $2
           ),
           d as (
             delete from partner_updates u
              using s
              where u.partner = s.partner and u.event_id = s.event_id
                and s.received_at < holdfast_now() - make_interval(secs => $3)
                and not exists (select from commands c left join outcomes o using (no)
                                 where c.id = s.command_id and o.expunged_at is null)
             returning u.command_id
           )
           select (select count(*) from d) as "deleted!", (select command_id from s order by command_id desc limit 1) as last"#,
        after.map_or(Uuid::nil(), |after| after.0),
        limit,
        age.as_secs_f64()
    );
    let row = pool.fetch_one(query).await?;
    Ok(Words { deleted: u64::try_from(row.deleted).unwrap_or_default(), last: row.last.map(CommandId) })
}
