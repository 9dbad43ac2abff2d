//! The end of a run.

use super::{Hold, Tell};
use crate::{Pool, Result, chain};
use chrono::{DateTime, Utc};
use holdfast_domain::chain::Hash;
use holdfast_domain::progress::Progress;
use holdfast_domain::status::Outcome;
use holdfast_domain::trail::Entry;
use holdfast_domain::{ClientNo, CommandNo, Lane, Token, WorkerId};
use sqlx::types::Json;
use std::time::Duration;

/// The end of a run.
#[derive(Clone, Debug)]
pub struct Finish {
    pub hold: Hold,
    /// Seen at the claim. If somebody has knocked since, the run must look again instead.
    pub nudge: i32,
    /// Copied into the outcome, for lists.
    pub client: ClientNo,
    pub created_at: DateTime<Utc>,
    pub outcome: Outcome,
    pub progress: Progress,
    pub trail: Vec<Entry>,
    /// What the first row of its audit trail follows. See [`crate::chain`].
    pub anchor: Hash,
    /// Whether the client must be told.
    pub tell: Tell,
    /// The finisher has room to tell it: it claims the lane `tell` under the same token.
    pub claim_tell: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Finished {
    pub hold: Hold,
    pub sequence: i32,
    pub finished_at: DateTime<Utc>,
    /// Of the row that was appended: the first attempt to tell of it follows that.
    pub hash: Hash,
    /// The lane `tell` was claimed too.
    pub telling: bool,
}

/// The ends as columns, for `unnest`.
#[derive(Default)]
struct Ends<'a> {
    nos: Vec<i64>,
    lanes: Vec<i16>,
    tokens: Vec<i64>,
    statuses: Vec<&'static str>,
    nudges: Vec<i32>,
    clients: Vec<i32>,
    created: Vec<DateTime<Utc>>,
    reasons: Vec<Option<&'a str>>,
    details: Vec<Option<&'a str>>,
    progress: Vec<Json<&'a Progress>>,
    trails: Vec<Json<&'a [Entry]>>,
    anchors: Vec<&'a [u8]>,
    tells: Vec<Option<bool>>,
    claims: Vec<bool>,
}

impl<'a> Ends<'a> {
    fn of(finishes: &[&'a Finish]) -> Self {
        let mut finishes = finishes.to_vec();
        finishes.sort_by_key(|finish| finish.hold.no);
        let mut columns = Self::default();
        for finish in finishes {
            let reason = finish.outcome.reason();
            columns.nos.push(finish.hold.no.0);
            columns.lanes.push(Lane::Run.code());
            columns.tokens.push(finish.hold.token.0);
            columns.nudges.push(finish.nudge);
            columns.clients.push(finish.client.0);
            columns.created.push(finish.created_at);
            columns.statuses.push(finish.outcome.status().name());
            columns.reasons.push(reason.map(|reason| reason.code.as_str()));
            columns.details.push(reason.map(|reason| reason.detail.as_str()));
            columns.progress.push(Json(&finish.progress));
            columns.trails.push(Json(&finish.trail));
            columns.anchors.push(&finish.anchor.0);
            columns.tells.push(finish.tell.decided());
            columns.claims.push(finish.tell == Tell::Owed && finish.claim_tell);
        }
        columns
    }
}

/// Ends runs: the wakeup of the lane `run` goes, the outcome stands, and what the client must be told is owed by the lane
/// `tell`, in one statement. Not returned: the claim was lost, or the answer to the same statement was.
#[expect(clippy::too_many_lines, reason = "it is one statement: half of it would be half an end")]
pub async fn finish(pool: &Pool, worker: WorkerId, lease: Duration, finishes: &[&Finish]) -> Result<Vec<Finished>> {
    let columns = Ends::of(finishes);
    let query = sqlx::query!(
        r#"with d as (
             select *
               from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[],
                           $8::bool[], $9::bool[], $12::int[], $13::int[], $14::timestamptz[],
                           $15::smallint[], $16::bytea[])
                 as d(no, token, status, reason, detail, progress, trail, tell, claim, nudge, client,
                      created_at, lane, anchor)
           ),
           g as (
             delete from wakeups w
              using d
              where w.no = any(array[d.no]) and w.lane + 0 = d.lane and w.token = d.token
                and w.nudge = d.nudge
             returning w.no, w.kind, w.sequence + 1 as sequence, d.token, d.status, d.reason, d.detail, d.progress,
                       d.trail, d.tell, d.claim, d.client, d.created_at, w.nudge,
                       -- From the row that is locked: nobody has appended since.
                       coalesce(w.chain, d.anchor) as previous,
                       holdfast_event_hash(coalesce(w.chain, d.anchor), w.no, w.sequence + 1, 0::smallint,
                                           holdfast_now(), d.trail) as hash
           ),
           o as (
             insert into outcomes (no, status, reason, detail, progress, sequence, client, kind, created_at, chain)
             select no, status, reason, detail, progress, sequence, client, kind, created_at, hash from g
           ),
           e as (
             insert into events (no, sequence, at, data, previous, hash)
             select no, sequence, holdfast_now(), trail, previous, hash from g
           ),
           -- A partner's word that contradicts this end, and came before it: it changes nothing, and an operator must know.
           x as (
             insert into attention_items (command, code, detail)
             select g.no, 'contradicting_webhook',
                    format('%s says %s (event %s), but it was %s', u.partner, u.status, u.event_id, known.state)
               from g
               join commands c using (no)
               join partner_updates u on u.command_id = c.id
              cross join lateral (
                      select coalesce((select p ->> 'state' from jsonb_array_elements(g.progress -> 'partners') p
                                        where p ->> 'partner' = u.partner and p ->> 'state' in ('completed', 'failed')),
                                      g.status) as state) known
              where g.nudge > 0 and u.status <> 'pending' and u.status <> known.state
                and known.state <> 'needs_attention'
                 on conflict do nothing
           ),
           -- A refund that failed gives back what it had reserved; one that needs attention does not (PROTOCOL 19).
           f as materialized (
             select r.transaction as no, sum(r.amount)::bigint as amount
               from g
               join refunds r on r.no = g.no
              where g.kind = 2 and g.status = 'failed'
              group by r.transaction
           ),
           fl as materialized (
             select t.no from transactions t where t.no in (select no from f) order by t.no for update
           ),
           fr as (
             update transactions t
                set refunded = t.refunded - f.amount
               from f join fl using (no)
              where t.no = f.no
           ),
           t as (
             insert into wakeups as w (no, lane, kind, due_at, sequence, token, worker, lease_until)
             select no, 1, kind, holdfast_now(), sequence,
                    case when claim then token end,
                    case when claim then $10::bigint end,
                    case when claim then holdfast_now() + make_interval(secs => $11) end
               from g
              -- Decided here where the claim has found no endpoint: it may be an hour old. By the primary key, one by one.
              where coalesce(tell, (select k.callback_url is not null from clients k where k.no = g.client))
              order by no
                 -- A callback of an earlier state is still owed: whoever sees to it looks again and tells this one.
                 on conflict (no, lane) do update
                set nudge = w.nudge + 1, tries = 0, failures = 0, alone = 0, sequence = excluded.sequence,
                    run_at = least(w.run_at, holdfast_now()),
                    due_at = case when w.token is null then holdfast_now() else w.due_at end
             returning no, token
           )
           select no as "no!", token as "token!", sequence as "sequence!", holdfast_now() as "finished_at!",
                  hash as "hash!",
                  token in (select token from t where token is not null) as "telling!"
             from g"#,
        &columns.nos,
        &columns.tokens,
        &columns.statuses as &[&str],
        &columns.reasons as &[Option<&str>],
        &columns.details as &[Option<&str>],
        &columns.progress as &[Json<&Progress>],
        &columns.trails as &[Json<&[Entry]>],
        &columns.tells as &[Option<bool>],
        &columns.claims,
        worker.0,
        lease.as_secs_f64(),
        &columns.nudges,
        &columns.clients,
        &columns.created,
        &columns.lanes,
        &columns.anchors as &[&[u8]],
    );
    let rows = pool.fetch_all(query).await?;
    let finished = rows.into_iter().map(|row| {
        Ok(Finished {
            hold: Hold { no: CommandNo(row.no), token: Token(row.token) },
            sequence: row.sequence,
            finished_at: row.finished_at,
            hash: chain::hash(row.hash)?,
            telling: row.telling,
        })
    });
    finished.collect()
}
