//! What the holder of a callback's claim may write: told (done), or tell again later.

use super::run::Hold;
use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::chain::Hash;
use holdfast_domain::trail::Entry;
use holdfast_domain::{CommandNo, Lane, Token};

use sqlx::types::Json;
use std::time::Duration;

/// What came of one attempt.
#[derive(Clone, Debug)]
pub struct Told {
    pub hold: Hold,
    /// Seen at the claim. Whoever knocked since wants an attempt of its own. `None`: this one was good for that too.
    pub nudge: Option<i32>,
    /// The state that was told, and which attempt of it this was: its place in the trail. None was made: 0.
    pub sequence: i32,
    pub attempt: i16,
    /// What it follows in the trail: the attempt before it, or the row of the state that was told. See [`crate::chain`].
    pub previous: Hash,
    /// How far in the schedule this attempt was, from 1 on; only for [`tell_again`].
    pub tries: i16,
    pub trail: Vec<Entry>,
    /// Until the next attempt; only for [`tell_again`].
    pub wait: Duration,
}

/// Ends the debt, unless a later state than the one that was told is owed, or somebody wants it told again. Not returned:
/// that, or the claim was lost.
pub async fn told(pool: &Pool, told: &[&Told]) -> Result<Vec<Hold>> {
    let columns = Columns::of(told);
    let query = sqlx::query!(
        r#"with d as (
             select *
               from unnest($1::bigint[], $2::bigint[], $3::jsonb[], $4::int[], $5::smallint[], $6::int[],
                           $7::smallint[], $8::bytea[])
                 as d(no, token, trail, sequence, attempt, nudge, lane, previous)
           ),
           g as (
             delete from wakeups w
              using d
              where w.no = any(array[d.no]) and w.lane + 0 = d.lane and w.token = d.token and w.sequence <= d.sequence
                and (d.nudge is null or w.nudge = d.nudge)
             returning w.no, w.token, d.sequence, d.attempt, d.trail, d.previous
           ),
           e as (
             insert into events (no, sequence, attempt, at, data, previous, hash)
             select no, sequence, attempt, holdfast_now(), trail, previous,
                    holdfast_event_hash(previous, no, sequence, attempt, holdfast_now(), trail)
               from g
              where attempt > 0
           )
           select no as "no!", token as "token!" from g"#,
        &columns.nos,
        &columns.tokens,
        &columns.trails as &[Json<&[Entry]>],
        &columns.sequences,
        &columns.attempts,
        &columns.nudges as &[Option<i32>],
        &columns.lanes,
        &columns.previous as &[&[u8]],
    );
    let rows = pool.fetch_all(query).await?;
    Ok(rows.into_iter().map(|row| Hold { no: CommandNo(row.no), token: Token(row.token) }).collect())
}

/// Releases the claim, and counts the attempt if one was made. A later state that came since is due at once, with a schedule of its own.
pub async fn tell_again(pool: &Pool, told: &[&Told]) -> Result<Vec<Hold>> {
    let columns = Columns::of(told);
    let waits: Vec<f64> = sorted(told).iter().map(|told| told.wait.as_secs_f64()).collect();
    let tries: Vec<i16> = sorted(told).iter().map(|told| told.tries).collect();
    let query = sqlx::query!(
        r#"with d as (
             select *
               from unnest($1::bigint[], $2::bigint[], $3::jsonb[], $4::int[], $5::smallint[],
                           $6::float8[], $7::smallint[], $8::int[], $9::smallint[], $10::bytea[])
                 as d(no, token, trail, sequence, attempt, wait_s, tries, nudge, lane, previous)
           ),
           g as (
             update wakeups w
                set token = null,
                    worker = null,
                    lease_until = null,
                    dirty = 0,
                    failures = 0,
                    alone = 0,
                    publishes = 0,
                    tries = case when w.nudge <> d.nudge then w.tries
                                 when w.sequence = d.sequence then greatest(w.tries, d.tries)
                                 when w.sequence < d.sequence then d.tries else 0 end,
                    sequence = greatest(w.sequence, d.sequence),
                    due_at = holdfast_now() + make_interval(secs => case when w.sequence > d.sequence or w.nudge <> d.nudge then 0 else d.wait_s end),
                    run_at = holdfast_now() + make_interval(secs => case when w.sequence > d.sequence or w.nudge <> d.nudge then 0 else d.wait_s end)
               from d
              where w.no = any(array[d.no]) and w.lane + 0 = d.lane and w.token = d.token
             returning w.no, d.token, d.sequence, d.attempt, d.trail, d.previous
           ),
           e as (
             insert into events (no, sequence, attempt, at, data, previous, hash)
             select no, sequence, attempt, holdfast_now(), trail, previous,
                    holdfast_event_hash(previous, no, sequence, attempt, holdfast_now(), trail)
               from g
              where attempt > 0
           )
           select no as "no!", token as "token!" from g"#,
        &columns.nos,
        &columns.tokens,
        &columns.trails as &[Json<&[Entry]>],
        &columns.sequences,
        &columns.attempts,
        &waits,
        &tries,
        &columns.nudges as &[Option<i32>],
        &columns.lanes,
        &columns.previous as &[&[u8]],
    );
    let rows = pool.fetch_all(query).await?;
    Ok(rows.into_iter().map(|row| Hold { no: CommandNo(row.no), token: Token(row.token) }).collect())
}

/// What a client is still owed.
#[derive(Clone, Copy, Debug)]
pub struct Owed {
    /// The state that it must be told, or a later one.
    pub sequence: i32,
    /// The next attempt; in the past if it is under way or about to be.
    pub run_at: DateTime<Utc>,
}

pub async fn owed(pool: &Pool, no: CommandNo) -> Result<Option<Owed>> {
    let query = sqlx::query!("select sequence, run_at from wakeups where no = $1 and lane + 0 = 1", no.0);
    let row = pool.fetch_optional(query).await?;
    Ok(row.map(|row| Owed { sequence: row.sequence, run_at: row.run_at }))
}

/// Owes the client the state of this sequence once more, or at once if it still does, on a schedule that begins anew.
/// `false`: its payload is no longer kept, nothing can be told.
pub async fn owe_again(pool: &Pool, no: CommandNo, sequence: i32) -> Result<bool> {
    let query = sqlx::query!(
        r#"with o as (
             -- Who takes the payload away looks at this row: whoever of both comes second sees what the first one did.
             update outcomes set resent_at = holdfast_now() where no = $1 and expunged_at is null returning no
           ),
           m as materialized (
             -- Without an end there is nothing that could be taken away.
             select exists (select from o) or not exists (select from outcomes where no = $1) as may
           ),
           t as (
             insert into wakeups as w (no, lane, kind, due_at, sequence)
             select c.no, 1, c.kind, holdfast_now(), $2 from commands c cross join m where c.no = $1 and m.may
                 on conflict (no, lane) do update
                set nudge = w.nudge + 1, tries = 0,
                    run_at = least(w.run_at, holdfast_now()),
                    due_at = case when w.token is null then holdfast_now() else w.due_at end
                 -- a later state is owed already
              where w.sequence <= excluded.sequence
           )
           select may as "may!" from m"#,
        no.0,
        sequence
    );
    Ok(pool.fetch_one(query).await?.may)
}

/// In the order in which they are locked.
fn sorted<'a>(told: &[&'a Told]) -> Vec<&'a Told> {
    let mut told = told.to_vec();
    told.sort_by_key(|told| told.hold.no);
    told
}

/// The attempts as columns, for `unnest`.
#[derive(Default)]
struct Columns<'a> {
    nos: Vec<i64>,
    lanes: Vec<i16>,
    tokens: Vec<i64>,
    trails: Vec<Json<&'a [Entry]>>,
    sequences: Vec<i32>,
    attempts: Vec<i16>,
    previous: Vec<&'a [u8]>,
    nudges: Vec<Option<i32>>,
}

impl<'a> Columns<'a> {
    fn of(told: &[&'a Told]) -> Self {
        let mut columns = Self::default();
        for told in sorted(told) {
            columns.nos.push(told.hold.no.0);
            columns.lanes.push(Lane::Tell.code());
            columns.tokens.push(told.hold.token.0);
            columns.trails.push(Json(told.trail.as_slice()));
            columns.sequences.push(told.sequence);
            columns.attempts.push(told.attempt);
            columns.previous.push(&told.previous.0);
            columns.nudges.push(told.nudge);
        }
        columns
    }
}
