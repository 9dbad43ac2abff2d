//! What partners said by webhook.

use crate::commands::kind;
use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::journal::Update;
use holdfast_domain::trail::Happening;
use holdfast_domain::{ClientNo, CommandId, CommandNo, Kind, Status};
use serde_json::Value;
use sqlx::types::Json;
use std::time::Duration;

/// When the partner signed it, in seconds since the epoch, and how far that may be from now.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub timestamp: i64,
    pub tolerance: Duration,
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// Its timestamp is a present one; else nothing was stored.
    pub in_time: bool,
    /// It had not been stored before.
    pub is_new: bool,
    /// The command, if it is there.
    pub command: Option<(CommandNo, ClientNo, Kind)>,
    /// Its run is under way and will look.
    pub nudged: bool,
}

/// Stores an update and nudges the run that waits for it, in one statement (PROTOCOL 6). The nudge waits for the row's
/// lock, shortens no lease, and lets no creation happen earlier. About a command whose payload is no longer kept nothing
/// is stored.
pub async fn store(pool: &Pool, update: &Update, window: Option<Window>) -> Result<Stored> {
    let query = sqlx::query!(
        r#"with t as (
             select $6::float8 is null
                    or abs(extract(epoch from holdfast_now())::float8 - $6::float8) <= $7::float8 as in_time
           ),
           u as (
             insert into partner_updates (partner, event_id, command_id, status, reason, received_at)
             select $1, $2, $3, $4, $5, coalesce(least($8, holdfast_now()), holdfast_now()) from t
              where in_time
                -- Nobody would read it any more, and nobody take it away.
                and not exists (select from commands c join outcomes o using (no) where c.id = $3 and o.expunged_at is not null)
                 on conflict (partner, event_id) do nothing
             returning command_id
           ),
           w as (
             update wakeups w
                set nudge = w.nudge + 1,
                    run_at = least(w.run_at, holdfast_now()),
                    due_at = case when w.token is null then holdfast_now() else w.due_at end
               from commands c
               join u on u.command_id = c.id
              where w.no = any(array[c.no]) and w.lane + 0 = 0
             returning w.no
           )
           select t.in_time as "in_time!", exists(select from u) as "is_new!", exists(select from w) as "nudged!",
                  c.no as "no?", c.client as "client?", c.kind as "kind?"
             from t
             left join commands c on c.id = $3"#,
        update.partner,
        update.event_id,
        update.command.0,
        update.status.name(),
        update.reason.as_deref(),
        window.map(|window| window.timestamp as f64),
        window.map(|window| window.tolerance.as_secs_f64()),
        update.received_at,
    );
    let row = pool.fetch_one(query).await?;
    let command = match (row.no, row.client, row.kind) {
        (Some(no), Some(client), Some(code)) => Some((CommandNo(no), ClientNo(client), kind(code)?)),
        _ => None,
    };
    Ok(Stored { in_time: row.in_time, is_new: row.is_new, command, nudged: row.nudged })
}

/// Takes a command up again that was parked because nobody knew how it ended, and about which a partner has now said so
/// (PROTOCOL 20), and appends that to its trail. A statement of its own: an end that was being written when the update came is
/// seen only now. Answers whether there was one.
pub async fn reopen(pool: &Pool, no: CommandNo) -> Result<bool> {
    let (by, why) = (String::new(), "its webhook says how it ended".to_owned());
    let retried = serde_json::to_value(Happening::Retried { by, why }).expect("an entry always serialises");
    let query = sqlx::query!(
        r#"with o as (
             delete from outcomes o
              using commands c
              where o.no = $1 and c.no = o.no and o.status = 'needs_attention'
                and o.reason in ('settlement_timeout', 'outcome_unknown', 'key_lifetime_over')
                and exists (
                  -- a final word of the very partner whose word was missing
                  select from partner_updates u,
                     lateral (select p from jsonb_array_elements(o.progress -> 'partners') with ordinality x(p, n)
                               where p ->> 'state' <> 'completed' order by n limit 1) f
                   where u.command_id = c.id and u.status <> 'pending' and u.partner = p ->> 'partner'
                     and (p ->> 'state' in ('unknown', 'accepted')
                          or p ->> 'state' = 'open'
                             -- heard before, and nothing came of it
                             and ((p ->> 'wasUnknown')::boolean or not coalesce((p ->> 'announced')::boolean, false))))
             returning o.no, c.kind, c.created_at, o.progress, o.sequence + 1 as sequence, o.chain
           ),
           n as (
             select *, coalesce(chain, holdfast_chain_head(no)) as previous,
                    jsonb_build_array($2::jsonb || jsonb_build_object('at', holdfast_now(), 'by', (
                      select p ->> 'partner' from jsonb_array_elements(progress -> 'partners') with ordinality x(p, n)
                       where p ->> 'state' <> 'completed' order by n limit 1))) as trail
               from o
           ),
           h as (
             select *, holdfast_event_hash(previous, no, sequence, 0::smallint, holdfast_now(), trail) as hash from n
           ),
           e as (
             insert into events (no, sequence, at, data, previous, hash)
             select no, sequence, holdfast_now(), trail, previous, hash from h
           )
           insert into wakeups (no, lane, kind, status, step, sent, first_sent_at, progress, sequence, nudge, due_at, chain)
           -- When something was first sent is no longer known, but not before this: a key's lifetime must not begin anew.
           select no, 0, kind, 'processing', 'settle', true, created_at, progress, sequence, 1, holdfast_now(), hash from h
               on conflict (no, lane) do nothing
           returning no"#,
        no.0,
        Json(retried) as Json<Value>
    );
    Ok(pool.fetch_optional(query).await?.is_some())
}

/// What one partner said about a command.
#[derive(Clone, Debug)]
pub struct Word {
    pub event_id: String,
    pub status: Status,
    pub reason: Option<String>,
    pub received_at: DateTime<Utc>,
}

/// The first final word of this partner about this command since a time. Those that contradict it come later and change
/// nothing.
pub async fn final_word(
    pool: &Pool,
    partner: &str,
    command: CommandId,
    since: Option<DateTime<Utc>>,
) -> Result<Option<Word>> {
    let query = sqlx::query!(
        "select event_id, status, reason, received_at
           from partner_updates
          where command_id = $2 and partner = $1 and status <> 'pending'
            and received_at > coalesce($3::timestamptz, '-infinity')
          order by received_at, event_id
          limit 1",
        partner,
        command.0,
        since
    );
    let Some(row) = pool.fetch_optional(query).await? else { return Ok(None) };
    let status = crate::commands::status(Some(row.status))?;
    Ok(Some(Word { event_id: row.event_id, status, reason: row.reason, received_at: row.received_at }))
}

/// How a command has ended at this partner, `completed` or `failed`; where it was not that partner who ended it, how the
/// command stands. `None`: it has not ended.
pub async fn known_end(pool: &Pool, no: CommandNo, partner: &str) -> Result<Option<Status>> {
    let query = sqlx::query!(
        r#"select coalesce((select p ->> 'state'
                              from jsonb_array_elements(o.progress -> 'partners') p
                             where p ->> 'partner' = $2 and p ->> 'state' in ('completed', 'failed')),
                           o.status) as "state!"
             from outcomes o
            where o.no = $1"#,
        no.0,
        partner
    );
    let Some(row) = pool.fetch_optional(query).await? else { return Ok(None) };
    crate::commands::status(Some(row.state)).map(Some)
}
