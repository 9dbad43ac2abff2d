//! Lists of a client's commands, newest first, a page at a time.
//!
//! Each of three questions has its own index: everything (`commands_list_idx`), what has ended in one way
//! (`outcomes_list_idx`), and what goes on (the few rows of `wakeups`).
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

struct Row {
    no: i64,
    id: Uuid,
    body: String,
    created_at: DateTime<Utc>,
    status: Option<String>,
    step: Option<String>,
    reason: Option<String>,
    detail: Option<String>,
    progress: Option<Json<Progress>>,
    sequence: Option<i32>,
    finished_at: Option<DateTime<Utc>>,
    expunged_at: Option<DateTime<Utc>>,
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

/// One page of what is wanted.
pub async fn page(pool: &Pool, wanted: Wanted) -> Result<Vec<Listed>> {
    let rows = match wanted.status {
        None => everything(pool, wanted).await?,
        Some(status) if status.is_settled() => ended(pool, wanted, status).await?,
        Some(status) => going_on(pool, wanted, status).await?,
    };
    let kept = rows.into_iter().take_while(|row| row.expunged_at.is_none());
    kept.map(|row| listed(wanted.kind, row)).collect()
}

async fn everything(pool: &Pool, wanted: Wanted) -> Result<Vec<Row>> {
    let (time, no) = place(&wanted);
    let query = sqlx::query_as!(
        Row,
        r#"select c.no as "no!", c.id as "id!", c.body as "body!", c.created_at as "created_at!",
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
             left join lateral (select * from wakeups w where w.no = c.no and w.lane = 0 limit 1) w on true
            order by c.created_at desc, c.no desc"#,
        wanted.client.0,
        wanted.kind.code(),
        wanted.created_from,
        time,
        no,
        wanted.limit,
    );
    pool.fetch_all(query).await
}

async fn ended(pool: &Pool, wanted: Wanted, status: Status) -> Result<Vec<Row>> {
    let (time, no) = place(&wanted);
    let query = sqlx::query_as!(
        Row,
        r#"select c.no as "no!", c.id as "id!", c.body as "body!", c.created_at as "created_at!",
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
        wanted.limit,
        status.name(),
    );
    pool.fetch_all(query).await
}

/// By number alone, which is the order of time for all that matters: these rows are few and soon gone.
async fn going_on(pool: &Pool, wanted: Wanted, status: Status) -> Result<Vec<Row>> {
    let no = wanted.after.map_or(i64::MAX, |at| at.no.0);
    let query = sqlx::query_as!(
        Row,
        r#"select c.no as "no!", c.id as "id!", c.body as "body!", c.created_at as "created_at!",
                  w.status as "status?", w.step as "step?", null as "reason: String", null as "detail: String",
                  w.progress as "progress?: Json<Progress>", w.sequence as "sequence?",
                  null::timestamptz as "finished_at: DateTime<Utc>", null::timestamptz as "expunged_at: DateTime<Utc>"
             from wakeups w
             -- From these few rows to their commands, never the other way round.
             join lateral (select * from commands c where c.no = w.no limit 1) c on true
            where w.lane = 0 and w.kind = $2 and w.status = $7 and w.no < $5 and c.client = $1
              and c.created_at >= coalesce($3::timestamptz, '-infinity')
              and c.created_at < coalesce($4::timestamptz, 'infinity')
            order by w.no desc
            limit $6"#,
        wanted.client.0,
        wanted.kind.code(),
        wanted.created_from,
        wanted.created_before,
        no,
        wanted.limit,
        status.name(),
    );
    pool.fetch_all(query).await
}

fn listed(kind: Kind, row: Row) -> Result<Listed> {
    let current = Current {
        no: CommandNo(row.no),
        kind,
        body: row.body,
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
