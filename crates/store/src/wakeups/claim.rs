//! Claiming: a worker takes a row under a token of its own.

use super::claimed::{Claimed, Row, lane, readable};
use crate::{Pool, Result};
use holdfast_domain::money::Money;
use holdfast_domain::{Command, CommandNo, Kind, Lane, Token, WorkerId};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Wish to claim one row.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub no: CommandNo,
    pub lane: Lane,
    pub token: Token,
}

/// The same, of whoever knows already what the command asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub claim: Claim,
    pub first: Option<First>,
}

/// A transaction as its first message tells of it. If nobody has begun it and the row says the same, the claim records it.
#[derive(Clone, Debug)]
pub struct First {
    pub command: Arc<Command>,
    pub amount: Money,
    /// Who will carry it out.
    pub partner: Arc<str>,
}

impl From<Claim> for Wish {
    fn from(claim: Claim) -> Self {
        Self { claim, first: None }
    }
}

/// What both ways to claim share. Before it comes a CTE `l` of what is wished for: in the order of all multi-row writes (run
/// rows first, then by number), or locked. $1 is the worker, $2 the lease in seconds. What was claimed by others meanwhile, or
/// is not yet runnable, is not returned. A claim that races a release may be refused all the same; then the row is due, and
/// the relay finds it. Columns have their names, so that one more in `wakeups` is ambiguous to nobody.
macro_rules! claim {
    ($wishes:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            Row,
            $wishes
                + r#", w as (
                 update wakeups w
                    set token = l.token,
                        worker = $1,
                        lease_until = holdfast_now() + make_interval(secs => $2),
                        dirty = least(w.dirty + case when w.token is null or w.token = l.token then 0 else 1 end, 1000),
                        failures = least(w.failures
                          + case when w.token is null or w.token = l.token then 0 else 1 end, 1000),
                        -- A message has led to something.
                        publishes = 0,
                        status = case when w.status = 'accepted' then 'processing' else w.status end,
                        -- Earlier than any request of this claim; taken back by a wait that has sent nothing.
                        first_sent_at = coalesce(w.first_sent_at, holdfast_now()),
                        -- Far away after many messages that led to nothing: should this claim lapse, somebody must look.
                        -- Else it stays as it is, and the index with it.
                        due_at = case when w.due_at > holdfast_now() + make_interval(secs => $2)
                                      then holdfast_now() + make_interval(secs => $2) else w.due_at end
                   from l
                  where w.no = any(array[l.no]) and w.lane + 0 = l.lane and w.run_at <= holdfast_now()
                    -- The same token again: the answer to this very claim was lost, and it is asked for once more.
                    and (w.token is null or w.lease_until <= holdfast_now() or w.token = l.token)
                 returning w.no, w.lane, w.kind, w.token, w.worker, w.nudge, w.sequence, w.dirty, w.failures, w.step, w.tries,
                           w.progress, w.next_try_at, w.first_sent_at, w.settle_deadline, w.chain,
                           l.first_id, l.first_body, l.amount, l.currency, l.partner
               ),
               m as (
                 select w.no, w.lane, w.kind, w.token, w.worker, w.nudge, w.sequence, w.dirty, w.failures, w.step, w.tries,
                        w.progress, w.next_try_at, w.first_sent_at, w.settle_deadline, w.chain,
                        w.amount, w.currency, w.partner,
                        -- Whatever the message says: the row decides.
                        w.lane = 0 and w.step = 'record' and w.kind = 1 and w.first_id = c.id and w.first_body = c.body
                          as is_first,
                        c.id, c.client, c.key, c.body, c.traceparent, c.created_at, c.fingerprint
                   from w
                   join commands c using (no)
               ),
               r as (
                 insert into transactions (no, client, amount, currency, partner)
                 select no, client, amount, currency, partner
                   from m
                  where is_first
                     on conflict (no) do nothing
                 returning no
               )
               select m.no as "no!", m.lane as "lane!", m.token as "token!", m.worker as "worker!", m.nudge as "nudge!",
                      m.sequence as "sequence!",
                      m.dirty as "dirty!", m.failures as "failures!", m.step as "step!", m.tries as "tries!",
                      m.progress,
                      (date_part('epoch', m.next_try_at - holdfast_now()) * 1000)::bigint as next_try_in_ms,
                      (date_part('epoch', holdfast_now() - m.first_sent_at) * 1000)::bigint as "first_sent_ago_ms!",
                      (date_part('epoch', m.settle_deadline - holdfast_now()) * 1000)::bigint as settle_within_ms,
                      holdfast_now() as "claimed_at!",
                      m.id as "id!", m.client as "client!", m.kind as "kind!", m.key as "key!", m.body as "body!",
                      m.traceparent as "traceparent?", m.created_at as "created_at!", m.fingerprint as "fingerprint!",
                      k.callback_url as "callback_url?",
                      m.lane = 0 and m.sequence > 0 and m.chain is null as "unlinked!",
                      m.lane = 0 and m.no in (select no from r) as "recorded!"
                 from m
                 left join clients k on k.no = m.client"#,
            $($argument),+
        )
    };
}

/// Claims by name. A wish that is not answered was refused: claimed by another, not yet runnable, or nothing is owed.
pub async fn claim(pool: &Pool, worker: WorkerId, lease: Duration, claims: &[Claim]) -> Result<Vec<Claimed>> {
    begin(pool, worker, lease, &claims.iter().copied().map(Wish::from).collect::<Vec<_>>()).await
}

/// The same, and records what is begun for the first time: a statement, and a commit, less for each of these.
pub async fn begin(pool: &Pool, worker: WorkerId, lease: Duration, wishes: &[Wish]) -> Result<Vec<Claimed>> {
    let columns = Columns::of(wishes);
    let query = claim!(
        "with l as (
           select *
             from unnest($3::bigint[], $4::smallint[], $5::bigint[], $6::uuid[], $7::text[], $8::bigint[], $9::text[],
                         $10::text[])
               as l(no, lane, token, first_id, first_body, amount, currency, partner)
         )",
        worker.0,
        lease.as_secs_f64(),
        &columns.nos,
        &columns.lanes,
        &columns.tokens,
        &columns.ids as &[Option<Uuid>],
        &columns.bodies as &[Option<&str>],
        &columns.amounts as &[Option<i64>],
        &columns.currencies as &[Option<&str>],
        &columns.partners as &[Option<&str>]
    );
    let rows = pool.fetch_all(query).await?;
    readable(pool, rows).await
}

/// The wishes as columns, for `unnest`.
#[derive(Default)]
struct Columns<'a> {
    nos: Vec<i64>,
    lanes: Vec<i16>,
    tokens: Vec<i64>,
    ids: Vec<Option<Uuid>>,
    bodies: Vec<Option<&'a str>>,
    amounts: Vec<Option<i64>>,
    currencies: Vec<Option<&'static str>>,
    partners: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    fn of(wishes: &'a [Wish]) -> Self {
        let mut wishes: Vec<&Wish> = wishes.iter().collect();
        wishes.sort_by_key(|wish| (wish.claim.lane.code(), wish.claim.no));
        let mut columns = Self::default();
        for Wish { claim, first } in wishes {
            let first = first.as_ref();
            columns.nos.push(claim.no.0);
            columns.lanes.push(claim.lane.code());
            columns.tokens.push(claim.token.0);
            columns.ids.push(first.map(|first| first.command.id.0));
            columns.bodies.push(first.map(|first| first.command.body.as_str()));
            columns.amounts.push(first.map(|first| first.amount.minor()));
            columns.currencies.push(first.map(|first| first.amount.currency().code()));
            columns.partners.push(first.map(|first| &*first.partner));
        }
        columns
    }
}

/// What is due. First attempts to tell a client and later ones are told apart: who cannot be reached must not hold up who
/// can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Run,
    Tell,
    TellAgain,
}

impl Due {
    pub const fn lane(self) -> Lane {
        match self {
            Self::Run => Lane::Run,
            Self::Tell | Self::TellAgain => Lane::Tell,
        }
    }
}

/// Claims what is due, oldest first, as many as there are tokens.
pub async fn claim_due(
    pool: &Pool,
    worker: WorkerId,
    lease: Duration,
    due: Due,
    kinds: &[Kind],
    tokens: &[Token],
) -> Result<Vec<Claimed>> {
    let kinds: Vec<i16> = kinds.iter().map(|kind| kind.code()).collect();
    let tokens: Vec<i64> = tokens.iter().map(|token| token.0).collect();
    let query = claim!(
        "with l as materialized (
           select no, lane, ($5::bigint[])[row_number() over ()] as token,
                  null::uuid as first_id, null::text as first_body, null::bigint as amount, null::text as currency,
                  null::text as partner
             from (select no, lane
                     from wakeups
                    where due_at <= holdfast_now() and run_at <= holdfast_now()
                      and (token is null or lease_until <= holdfast_now())
                      and lane = $3 and kind = any($4) and (tries > 0) = $6
                    order by due_at
                    limit cardinality($5::bigint[])
                      -- another worker's rows are its own business
                      for update skip locked) x
         )",
        worker.0,
        lease.as_secs_f64(),
        due.lane().code(),
        &kinds,
        &tokens,
        due == Due::TellAgain
    );
    let rows = pool.fetch_all(query).await?;
    readable(pool, rows).await
}

/// What stands under these tokens, wherever it is. Reads the whole table: only after a lost answer of [`claim_due`].
pub async fn claimed_under(pool: &Pool, tokens: &[Token]) -> Result<Vec<Claim>> {
    let tokens: Vec<i64> = tokens.iter().map(|token| token.0).collect();
    let query = sqlx::query!(r#"select no, lane, token as "token!" from wakeups where token = any($1)"#, &tokens);
    let rows = pool.fetch_all(query).await?;
    let claim = |(no, code, token)| Ok(Claim { no: CommandNo(no), lane: lane(code)?, token: Token(token) });
    rows.into_iter().map(|row| claim((row.no, row.lane, row.token))).collect()
}

/// Which of these claims still stand. Asked after the answer of a write was lost (PROTOCOL 7).
pub async fn held(pool: &Pool, claims: &[Claim]) -> Result<Vec<Token>> {
    let nos: Vec<i64> = claims.iter().map(|claim| claim.no.0).collect();
    let lanes: Vec<i16> = claims.iter().map(|claim| claim.lane.code()).collect();
    let tokens: Vec<i64> = claims.iter().map(|claim| claim.token.0).collect();
    let query = sqlx::query!(
        r#"select w.token as "token!"
           from wakeups w
           join unnest($1::bigint[], $2::smallint[], $3::bigint[]) t(no, lane, token)
               on w.no = any(array[t.no]) and w.lane + 0 = t.lane
          where w.token = t.token"#,
        &nos,
        &lanes,
        &tokens
    );
    let rows = pool.fetch_all(query).await?;
    Ok(rows.into_iter().map(|row| Token(row.token)).collect())
}
