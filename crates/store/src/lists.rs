//! Lists of a client's commands, newest first, a page at a time.
//!
//! Each of three questions has its own index: everything (`commands_list_idx`), what has ended in one way
//! (`outcomes_list_idx`), and what goes on (`going_on`).
//!
//! A list ends where the archive begins, at the first command whose payload is no longer kept. A page never skips: behind
//! that one there may be millions. What was accepted before it and still goes on, or is parked, is listed by its status.

use crate::commands::{Current, status, step};
use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::progress::Progress;
use holdfast_domain::status::Reason;
use holdfast_domain::{ClientNo, CommandId, CommandNo, Kind, Status};
use sqlx::types::Json;
use uuid::Uuid;

mod going_on;

use going_on::going_on;

/// Bodies on a page, unless its first one alone is larger. A page of 200 of the largest would be 13 MB, here and on its way.
const PAGE_BYTES: i64 = 1024 * 1024;

/// Than is shown: it tells whether there are more.
const ONE_MORE: i64 = 1;

/// Where a page begins: after this command. Stable under inserts, because it names a place and counts nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub created_at: DateTime<Utc>,
    pub no: CommandNo,
}

/// Which commands, and how many of them.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub client: ClientNo,
    pub kind: Kind,
    pub status: Option<Status>,
    /// From this time on.
    pub created_from: Option<DateTime<Utc>>,
    /// Before this time.
    pub created_before: Option<DateTime<Utc>>,
    pub after: Option<Place>,
    pub limit: i64,
}

/// A command as a list shows it.
#[derive(Clone)]
pub struct Listed {
    pub id: CommandId,
    pub current: Current,
}

pub(crate) struct Row {
    pub(crate) no: i64,
    pub(crate) id: Uuid,
    /// `None`: there is no room for it on this page.
    pub(crate) body: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) status: Option<String>,
    pub(crate) step: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) progress: Option<Json<Progress>>,
    pub(crate) sequence: Option<i32>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    pub(crate) expunged_at: Option<DateTime<Utc>>,
}

/// Before this time and number, the tighter one of both wishes: an index is entered where one comparison says so. A number
/// below all means that the time itself is out.
fn place(wanted: &Wanted) -> (Option<DateTime<Utc>>, i64) {
    match (wanted.after, wanted.created_before) {
        (Some(after), Some(before)) if after.created_at < before => (Some(after.created_at), after.no.0),
        (_, Some(before)) => (Some(before), i64::MIN),
        (Some(after), None) => (Some(after.created_at), after.no.0),
        (None, None) => (None, i64::MAX),
    }
}

/// One page of what is wanted, and the place after which the next one begins, if there is one. It ends where it has enough,
/// which may be before its limit.
pub async fn page(pool: &Pool, wanted: Wanted) -> Result<(Vec<Listed>, Option<Place>)> {
    let (rows, end) = match wanted.status {
        None => (everything(pool, wanted).await?, None),
        Some(status) if status.is_settled() => (ended(pool, wanted, status).await?, None),
        Some(status) => going_on(pool, wanted, status).await?,
    };
    let mut kept: Vec<Row> = rows.into_iter().take_while(|row| row.expunged_at.is_none()).collect();
    let limit = usize::try_from(wanted.limit).unwrap_or_default();
    let shown = kept.iter().take(limit).take_while(|row| row.body.is_some()).count();
    let more = kept.len() > shown;
    kept.truncate(shown);
    let last = kept.last().filter(|_| more).map(|row| Place { created_at: row.created_at, no: CommandNo(row.no) });
    let listed: Result<_> = kept.into_iter().map(|row| listed(wanted.kind, row)).collect();
    Ok((listed?, last.or(end)))
}

async fn everything(pool: &Pool, wanted: Wanted) -> Result<Vec<Row>> {
    let (time, no) = place(&wanted);
    let query = sqlx::query_as!(
        Row,
        r#"select c.no as "no!", c.id as "id!", c.created_at as "created_at!",
                  case when sum(octet_length(c.body)) over (order by c.created_at desc, c.no desc) - octet_length(c.body) < $7
                    then c.body end as "body?",
                  coalesce(o.status, w.status) as status, w.step as "step?", o.reason as "reason?", o.detail as "detail?",
                  coalesce(o.progress, w.progress) as "progress: Json<Progress>",
                  coalesce(o.sequence, w.sequence) as sequence, o.finished_at as "finished_at?",
                  o.expunged_at as "expunged_at?"
             from (select *
                     from commands
                    where client = $1 and kind = $2
                      and created_at >= coalesce($3::timestamptz, '-infinity')
                      and (created_at, no) < (coalesce($4::timestamptz, 'infinity'), $5)
                    order by created_at desc, no desc
                    limit $6) c
             left join outcomes o on o.no = c.no
             -- One look for each of the page's rows, whatever the planner thinks of the size of this table today.
             left join lateral (select * from wakeups w where w.no = c.no and w.lane + 0 = 0 limit 1) w on true
            order by c.created_at desc, c.no desc"#,
        wanted.client.0,
        wanted.kind.code(),
        wanted.created_from,
        time,
        no,
        wanted.limit + ONE_MORE,
        PAGE_BYTES,
    );
    pool.fetch_all(query).await
}

async fn ended(pool: &Pool, wanted: Wanted, status: Status) -> Result<Vec<Row>> {
    let (time, no) = place(&wanted);
    let query = sqlx::query_as!(
        Row,
        r#"select c.no as "no!", c.id as "id!", c.created_at as "created_at!",
                  case when sum(octet_length(c.body)) over (order by o.created_at desc, o.no desc) - octet_length(c.body) < $8
                    then c.body end as "body?",
                  o.status as "status?", null as "step: String", o.reason as "reason?", o.detail as "detail?",
                  o.progress as "progress?: Json<Progress>", o.sequence as "sequence?", o.finished_at as "finished_at?",
                  o.expunged_at as "expunged_at?"
             from (select *
                     from outcomes
                    where client = $1 and kind = $2 and status = $7
                      and created_at >= coalesce($3::timestamptz, '-infinity')
                      and (created_at, no) < (coalesce($4::timestamptz, 'infinity'), $5)
                    order by created_at desc, no desc
                    limit $6) o
             join commands c on c.no = o.no
            order by o.created_at desc, o.no desc"#,
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

fn listed(kind: Kind, row: Row) -> Result<Listed> {
    let current = Current {
        no: CommandNo(row.no),
        kind,
        body: row.body.unwrap_or_default(),
        created_at: row.created_at,
        status: status(row.status)?,
        step: row.step.as_deref().filter(|_| row.finished_at.is_none()).map(step).transpose()?,
        reason: row.reason.map(|code| Reason { code, detail: row.detail.unwrap_or_default() }),
        progress: row.progress.map(|json| json.0).unwrap_or_default(),
        sequence: row.sequence.unwrap_or_default(),
        finished_at: row.finished_at,
        tombstone: None,
    };
    Ok(Listed { id: CommandId(row.id), current })
}
