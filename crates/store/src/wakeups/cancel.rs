//! Cancelling a run that has done nothing yet.

use crate::{Pool, Result};
use holdfast_domain::CommandNo;
use holdfast_domain::trail::Happening;
use serde_json::Value;
use sqlx::types::Json;

/// Why a run cannot be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Something was sent to a partner, or may have been.
    Sent,
    /// A worker has it in hand at this moment.
    Claimed,
    /// It has ended, or its row cannot be seen.
    Gone,
}

/// Ends a run of which nobody has hold and nothing was sent (PROTOCOL 12): the row decides the race with the workers. A
/// refund gives back what it had reserved: that must have been written before this statement began, therefore the row must
/// be at the `sequence` that the caller has seen. `tell` says whether the client has an endpoint.
pub async fn cancel(pool: &Pool, no: CommandNo, sequence: i32, tell: bool) -> Result<bool> {
    let happening: Value = serde_json::to_value(Happening::Cancelled).expect("an entry always serialises");
    let query = sqlx::query!(
        r#"with g as (
             delete from wakeups w
              where w.no = $1 and w.lane + 0 = 0 and w.token is null and w.dirty = 0 and not w.sent
                and w.sequence = $4
             returning w.no, w.kind, w.sequence + 1 as sequence, w.progress, w.chain
           ),
           n as (
             select *, coalesce(chain, holdfast_chain_head(no)) as previous,
                    jsonb_build_array($2::jsonb || jsonb_build_object('at', holdfast_now())) as trail
               from g
           ),
           h as (
             select *, holdfast_event_hash(previous, no, sequence, 0::smallint, holdfast_now(), trail) as hash from n
           ),
           o as (
             insert into outcomes (no, status, progress, sequence, client, kind, created_at, chain)
             select h.no, 'cancelled', coalesce(h.progress, '{"partners": []}'), h.sequence, c.client, c.kind, c.created_at,
                    h.hash
               from h join commands c on c.no = h.no
           ),
           e as (
             insert into events (no, sequence, at, data, previous, hash)
             select no, sequence, holdfast_now(), trail, previous, hash from h
           ),
           f as (
             update transactions t
                set refunded = t.refunded - r.amount
               from g join refunds r on r.no = g.no
              where t.no = r.transaction
           ),
           t as (
             insert into wakeups as w (no, lane, kind, due_at, sequence)
             select no, 1, kind, holdfast_now(), sequence from g where $3
                 on conflict (no, lane) do update
                set nudge = w.nudge + 1, tries = 0, failures = 0, alone = 0, sequence = excluded.sequence,
                    run_at = least(w.run_at, holdfast_now()),
                    due_at = case when w.token is null then holdfast_now() else w.due_at end
           )
           select no from g"#,
        no.0,
        Json(happening) as Json<Value>,
        tell,
        sequence,
    );
    Ok(pool.fetch_optional(query).await?.is_some())
}

/// Why [`cancel`] has found nothing to end. `None`: it would now.
pub async fn why_not(pool: &Pool, no: CommandNo) -> Result<Option<Refused>> {
    let query = sqlx::query!(
        r#"select (sent or dirty > 0) as "sent!", token is not null as "claimed!"
             from wakeups
            where no = $1 and lane + 0 = 0"#,
        no.0
    );
    let row = pool.fetch_optional(query).await?;
    Ok(match row {
        None => Some(Refused::Gone),
        Some(row) if row.sent => Some(Refused::Sent),
        Some(row) if row.claimed => Some(Refused::Claimed),
        Some(_) => None,
    })
}
