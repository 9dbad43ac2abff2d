//! What needs a person: parked commands, and items about commands that have ended.

use crate::commands::kind;
use crate::operator::Operator;
use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::progress::Progress;
use holdfast_domain::status::{Reason, Step};
use holdfast_domain::trail::Happening;
use holdfast_domain::{CommandId, CommandNo, Kind, Status};
use serde_json::Value;
use sqlx::types::Json;
use std::time::Duration;
use uuid::Uuid;

/// Which parked commands; every condition must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub ids: Option<Vec<CommandId>>,
    pub kind: Option<Kind>,
    /// The reason's code.
    pub reason: Option<String>,
    pub older_than: Option<Duration>,
    pub limit: i64,
}

/// A parked command, as it was seen.
#[derive(Clone, Debug)]
pub struct Parked {
    pub no: CommandNo,
    pub id: CommandId,
    pub kind: Kind,
    pub reason: Reason,
    pub progress: Progress,
    /// What [`take_up`] and [`resolve`] compare with.
    pub sequence: i32,
    pub since: DateTime<Utc>,
}

/// Where a page begins: after this command.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub since: DateTime<Utc>,
    pub no: CommandNo,
}

/// Oldest first.
pub async fn parked(pool: &Pool, filter: &Filter) -> Result<Vec<Parked>> {
    parked_after(pool, filter, None).await
}

/// A page of them.
pub async fn parked_after(pool: &Pool, filter: &Filter, after: Option<Place>) -> Result<Vec<Parked>> {
    let rows = match &filter.ids {
        Some(ids) => named(pool, ids, filter).await?,
        None => all_after(pool, filter, after).await?,
    };
    rows.into_iter().map(Row::parked).collect()
}

struct Row {
    no: i64,
    id: Uuid,
    kind: i16,
    reason: String,
    detail: Option<String>,
    progress: Json<Progress>,
    sequence: i32,
    finished_at: DateTime<Utc>,
}

impl Row {
    fn parked(self) -> Result<Parked> {
        Ok(Parked {
            no: CommandNo(self.no),
            id: CommandId(self.id),
            kind: kind(self.kind)?,
            reason: Reason { code: self.reason, detail: self.detail.unwrap_or_default() },
            progress: self.progress.0,
            sequence: self.sequence,
            since: self.finished_at,
        })
    }
}

/// Found by their ids, however many others are parked.
async fn named(pool: &Pool, ids: &[CommandId], filter: &Filter) -> Result<Vec<Row>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let query = sqlx::query_as!(
        Row,
        r#"select o.no, c.id, o.kind, o.reason as "reason!", o.detail, o.progress as "progress: Json<Progress>", o.sequence,
                  o.finished_at
             from commands c
             join outcomes o on o.no = c.no
            where c.id = any($1) and o.status = 'needs_attention'
              and ($2::smallint is null or o.kind = $2)
              and ($3::text is null or o.reason = $3)
              and ($4::float8 is null or o.finished_at < holdfast_now() - make_interval(secs => $4))
            order by o.finished_at, o.no
            limit $5"#,
        &ids,
        filter.kind.map(Kind::code),
        filter.reason,
        filter.older_than.map(|age| age.as_secs_f64()),
        filter.limit,
    );
    pool.fetch_all(query).await
}

async fn all_after(pool: &Pool, filter: &Filter, after: Option<Place>) -> Result<Vec<Row>> {
    let query = sqlx::query_as!(
        Row,
        r#"select o.no, c.id, o.kind, o.reason as "reason!", o.detail, o.progress as "progress: Json<Progress>", o.sequence,
                  o.finished_at
             from outcomes o
             join commands c on c.no = o.no
            where o.status = 'needs_attention'
              and ($1::smallint is null or o.kind = $1)
              and ($2::text is null or o.reason = $2)
              and ($3::float8 is null or o.finished_at < holdfast_now() - make_interval(secs => $3))
              and (o.finished_at, o.no) > (coalesce($5::timestamptz, '-infinity'), $6)
            order by o.finished_at, o.no
            limit $4"#,
        filter.kind.map(Kind::code),
        filter.reason,
        filter.older_than.map(|age| age.as_secs_f64()),
        filter.limit,
        after.map(|after| after.since),
        after.map_or(0, |after| after.no.0),
    );
    pool.fetch_all(query).await
}

/// How many are parked, by kind and the code of the reason; the most frequent first.
pub async fn reasons(pool: &Pool) -> Result<Vec<(Kind, String, i64)>> {
    let query = sqlx::query!(
        r#"select kind, reason as "reason!", count(*) as "count!"
             from outcomes
            where status = 'needs_attention'
            group by kind, reason
            order by 3 desc, kind, reason"#
    );
    let rows = pool.fetch_all(query).await?;
    rows.into_iter().map(|row| Ok((kind(row.kind)?, row.reason, row.count))).collect()
}

/// Has a parked command carried on from `step`, with this progress (PROTOCOL 20). Whatever it has sent before is unknown:
/// a lookup comes first, and the lifetime of its key does not begin anew. `false`: it is no longer as it was seen.
pub async fn take_up(
    pool: &Pool,
    parked: &Parked,
    step: Step,
    progress: &Progress,
    operator: Operator<'_>,
) -> Result<bool> {
    let retried = Happening::Retried { by: operator.by.to_owned(), why: operator.why.to_owned() };
    let query = sqlx::query!(
        r#"with o as (
             delete from outcomes o
              using commands c
              where o.no = $1 and c.no = o.no and o.status = 'needs_attention' and o.sequence = $2
             returning o.no, o.kind, o.created_at, o.sequence + 1 as sequence, o.reason, o.chain
           ),
           n as (
             select *, coalesce(chain, holdfast_chain_head(no)) as previous,
                    jsonb_build_array($5::jsonb || jsonb_build_object('at', holdfast_now())) as trail
               from o
           ),
           h as (
             select *, holdfast_event_hash(previous, no, sequence, 0::smallint, holdfast_now(), trail) as hash from n
           ),
           e as (
             insert into events (no, sequence, at, data, previous, hash)
             select no, sequence, holdfast_now(), trail, previous, hash from h
           )
           insert into wakeups (no, lane, kind, status, step, sent, dirty, first_sent_at, progress, sequence, nudge, due_at,
                                chain)
           select no, 0, kind, 'processing', $3, true, 1, created_at, $4, sequence,
                  -- What partners have said since is heard, but is no answer to whether the amounts agree.
                  case when reason = 'partner_mismatch' then 0 else 1 end,
                  holdfast_now(), hash
             from h
               on conflict (no, lane) do nothing
           returning no"#,
        parked.no.0,
        parked.sequence,
        step.name(),
        Json(progress) as Json<&Progress>,
        Json(value(&retried)) as Json<Value>,
    );
    Ok(pool.fetch_optional(query).await?.is_some())
}

/// How a person has found out that a parked command ended.
#[derive(Clone, Copy, Debug)]
pub struct Resolution {
    /// `completed` or `failed`.
    pub end: Status,
    /// What partners had carried out of it was undone.
    pub undone: bool,
    /// The client has an endpoint that must be told.
    pub tell: bool,
}

/// Ends a parked command. A refund that failed gives back what it had reserved, unless a partner has carried it out and that
/// was not undone. `false`: it is no longer as it was seen.
pub async fn resolve(pool: &Pool, parked: &Parked, resolution: Resolution, operator: Operator<'_>) -> Result<bool> {
    let Resolution { end, undone, tell } = resolution;
    let reason = (end == Status::Failed).then_some("resolved_by_operator");
    let detail = reason.map(|_| operator.why);
    let resolved = Happening::Resolved { status: end, by: operator.by.to_owned(), why: operator.why.to_owned() };
    let query = sqlx::query!(
        r#"with n as materialized (
             select no, sequence + 1 as sequence, coalesce(chain, holdfast_chain_head(no)) as previous,
                    jsonb_build_array($6::jsonb || jsonb_build_object('at', holdfast_now())) as trail
               from outcomes
              where no = $1 and status = 'needs_attention' and sequence = $2
                -- What is appended is made of what it says.
                for update
           ),
           h as (
             select *, holdfast_event_hash(previous, no, sequence, 0::smallint, holdfast_now(), trail) as hash from n
           ),
           o as (
             update outcomes o
                set status = $3, reason = $4, detail = $5, sequence = h.sequence, finished_at = holdfast_now(),
                    chain = h.hash
               from h
              where o.no = h.no and o.status = 'needs_attention' and o.sequence = $2
             returning o.no, o.kind, o.sequence, o.status, o.progress
           ),
           e as (
             insert into events (no, sequence, at, data, previous, hash)
             select h.no, h.sequence, holdfast_now(), h.trail, h.previous, h.hash from h join o using (no)
           ),
           f as (
             update transactions t
                set refunded = t.refunded - r.amount
               from o join refunds r on r.no = o.no
              where t.no = r.transaction and o.status = 'failed'
                -- What one partner has carried out is not there to be refunded once more.
                and ($8 or not exists (select from jsonb_array_elements(o.progress -> 'partners') p where p ->> 'state' = 'completed'))
           ),
           t as (
             insert into wakeups as w (no, lane, kind, due_at, sequence)
             select no, 1, kind, holdfast_now(), sequence from o where $7
                 on conflict (no, lane) do update
                set nudge = w.nudge + 1, tries = 0, failures = 0, alone = 0, sequence = excluded.sequence,
                    run_at = least(w.run_at, holdfast_now()),
                    due_at = case when w.token is null then holdfast_now() else w.due_at end
           )
           select no from o"#,
        parked.no.0,
        parked.sequence,
        end.name(),
        reason,
        detail,
        Json(value(&resolved)) as Json<Value>,
        tell,
        undone,
    );
    Ok(pool.fetch_optional(query).await?.is_some())
}

/// Something about a command that has ended.
#[derive(Clone, Debug)]
pub struct Item {
    pub no: i64,
    pub command: CommandId,
    pub kind: Kind,
    pub reason: Reason,
    pub since: DateTime<Utc>,
}

/// Opens an item, once.
pub async fn open(pool: &Pool, command: CommandNo, reason: &Reason) -> Result<()> {
    let query = sqlx::query!(
        "insert into attention_items (command, code, detail) values ($1, $2, $3) on conflict do nothing",
        command.0,
        reason.code,
        reason.detail
    );
    pool.execute(query).await?;
    Ok(())
}

/// Those that nobody has closed, oldest first.
pub async fn items(pool: &Pool, limit: i64) -> Result<Vec<Item>> {
    let query = sqlx::query!(
        "select i.no, c.id, c.kind, i.code, i.detail, i.opened_at
           from attention_items i
           join commands c on c.no = i.command
          where i.closed_at is null
          order by i.no
          limit $1",
        limit
    );
    let rows = pool.fetch_all(query).await?;
    let items = rows.into_iter().map(|row| {
        Ok(Item {
            no: row.no,
            command: CommandId(row.id),
            kind: kind(row.kind)?,
            reason: Reason { code: row.code, detail: row.detail },
            since: row.opened_at,
        })
    });
    items.collect()
}

/// `false`: there is no such item, or it was closed before.
pub async fn close(pool: &Pool, item: i64, operator: Operator<'_>) -> Result<bool> {
    let query = sqlx::query!(
        "update attention_items set closed_at = holdfast_now(), closed_by = $2, closed_why = $3
          where no = $1 and closed_at is null",
        item,
        operator.by,
        operator.why
    );
    Ok(pool.execute(query).await?.rows_affected() == 1)
}

fn value(happening: &Happening) -> Value {
    serde_json::to_value(happening).expect("an entry always serialises")
}
