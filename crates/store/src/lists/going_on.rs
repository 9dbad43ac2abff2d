//! What goes on: few rows as a rule, and none that is worth an index on the table that is written most.
//!
//! There are two ways to them. From all that goes on, whoever's it is: that is quick while little does. And from all that this
//! client ever sent, newest first: that is quick while it has sent little. Where both are many, a page looks at so many of its
//! own and ends there, however few it found: nobody's question costs more for what others have sent.

use super::{ONE_MORE, PAGE_BYTES, Place, Row, Wanted, place};
use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::progress::Progress;
use holdfast_domain::{CommandNo, Status};
use sqlx::types::Json;

/// Rows that one page looks at.
const LOOKED_AT: i64 = 5_000;

/// The rows, and where the page ends if it could look no further.
pub(super) async fn going_on(pool: &Pool, wanted: Wanted, status: Status) -> Result<(Vec<Row>, Option<Place>)> {
    match end_of_own(pool, wanted).await? {
        Some(_) if are_few(pool).await? => Ok((among_all(pool, wanted, status).await?, None)),
        end => Ok((among_own(pool, wanted, status, end).await?, end)),
    }
}

/// The last of this client's that a page looks at, if there are so many.
async fn end_of_own(pool: &Pool, wanted: Wanted) -> Result<Option<Place>> {
    let (time, no) = place(&wanted);
    let query = sqlx::query!(
        "select created_at, no
           from commands
          where client = $1 and kind = $2
            and created_at >= coalesce($3::timestamptz, '-infinity')
            and (created_at, no) < (coalesce($4::timestamptz, 'infinity'), $5)
          order by created_at desc, no desc
         offset $6
          limit 1",
        wanted.client.0,
        wanted.kind.code(),
        wanted.created_from,
        time,
        no,
        LOOKED_AT - 1,
    );
    let last = pool.fetch_optional(query).await?;
    Ok(last.map(|last| Place { created_at: last.created_at, no: CommandNo(last.no) }))
}

/// Whether all that goes on can be looked at.
async fn are_few(pool: &Pool) -> Result<bool> {
    // Both lanes: it is one index that is walked.
    let query = sqlx::query!("select no from wakeups order by no desc, lane desc offset $1 limit 1", LOOKED_AT);
    Ok(pool.fetch_optional(query).await?.is_none())
}

async fn among_all(pool: &Pool, wanted: Wanted, status: Status) -> Result<Vec<Row>> {
    let (time, no) = place(&wanted);
    let query = sqlx::query_as!(
        Row,
        r#"select c.no as "no!", c.id as "id!", c.created_at as "created_at!",
                  case when sum(octet_length(c.body)) over (order by c.created_at desc, c.no desc) - octet_length(c.body) < $8
                    then c.body end as "body?",
                  c.status as "status?", c.step as "step?", null as "reason: String", null as "detail: String",
                  c.progress as "progress?: Json<Progress>", c.sequence as "sequence?",
                  null::timestamptz as "finished_at: DateTime<Utc>", null::timestamptz as "expunged_at: DateTime<Utc>"
             from (select c.*, w.status, w.step, w.progress, w.sequence
                     from wakeups w
                     -- From these few rows to their commands, never the other way round.
                     join lateral (select * from commands c where c.no = w.no limit 1) c on true
                    where w.lane = 0 and w.kind = $2 and w.status = $7 and c.client = $1
                      and c.created_at >= coalesce($3::timestamptz, '-infinity')
                      and (c.created_at, c.no) < (coalesce($4::timestamptz, 'infinity'), $5)
                    order by c.created_at desc, c.no desc
                    limit $6) c
            order by c.created_at desc, c.no desc"#,
        wanted.client.0,
        wanted.kind.code(),
        wanted.created_from,
        time,
        no,
        wanted.limit + ONE_MORE,
        status.name(),
        PAGE_BYTES,
    );
    pool.fetch_all(query).await
}

async fn among_own(pool: &Pool, wanted: Wanted, status: Status, end: Option<Place>) -> Result<Vec<Row>> {
    let (time, no) = place(&wanted);
    let query = sqlx::query_as!(
        Row,
        r#"select c.no as "no!", c.id as "id!", c.created_at as "created_at!",
                  case when sum(octet_length(c.body)) over (order by c.created_at desc, c.no desc) - octet_length(c.body) < $8
                    then c.body end as "body?",
                  c.status as "status?", c.step as "step?", null as "reason: String", null as "detail: String",
                  c.progress as "progress?: Json<Progress>", c.sequence as "sequence?",
                  null::timestamptz as "finished_at: DateTime<Utc>", null::timestamptz as "expunged_at: DateTime<Utc>"
             from (select c.*, w.status, w.step, w.progress, w.sequence
                     from commands c
                     -- From this client's rows to what goes on, never the other way round.
                     join lateral (select * from wakeups w where w.no = c.no and w.lane + 0 = 0 limit 1) w on w.status = $7
                    where c.client = $1 and c.kind = $2
                      and c.created_at >= coalesce($3::timestamptz, '-infinity')
                      and (c.created_at, c.no) < (coalesce($4::timestamptz, 'infinity'), $5)
                      and (c.created_at, c.no) >= (coalesce($9::timestamptz, '-infinity'), $10)
                    order by c.created_at desc, c.no desc
                    limit $6) c
            order by c.created_at desc, c.no desc"#,
        wanted.client.0,
        wanted.kind.code(),
        wanted.created_from,
        time,
        no,
        wanted.limit + ONE_MORE,
        status.name(),
        PAGE_BYTES,
        end.map(|end| end.created_at),
        end.map_or(i64::MIN, |end| end.no.0),
    );
    pool.fetch_all(query).await
}
