//! What the holder of a callback's claim may write: told (done), or tell again later.

use super::run::Hold;
use crate::{Pool, Result};
use holdfast_domain::trail::Entry;
use holdfast_domain::{CommandNo, Token};

use sqlx::types::Json;
use std::time::Duration;

/// What came of one attempt.
#[derive(Clone, Debug)]
pub struct Told {
    pub hold: Hold,
    /// The state that was told, and which attempt it was: where the trail has its place. None was made: 0.
    pub sequence: i32,
    pub attempt: i16,
    pub trail: Vec<Entry>,
    /// Until the next attempt; only for [`tell_again`].
    pub wait: Duration,
}

/// Ends the debt, unless a later state than the one that was told is owed. Not returned: that, or the claim was lost.
pub async fn told(pool: &Pool, told: &[&Told]) -> Result<Vec<Hold>> {
    let columns = Columns::of(told);
    let query = sqlx::query!(
        r#"with d as (
             select *
               from unnest($1::bigint[], $2::bigint[], $3::jsonb[], $4::int[], $5::smallint[])
                 as d(no, token, trail, sequence, attempt)
           ),
           l as materialized (
             select no from wakeups where no = any($1) and lane = 1 order by no for update
           ),
           g as (
             delete from wakeups w
              using d join l using (no)
              where w.no = d.no and w.lane = 1 and w.token = d.token and w.sequence = d.sequence
             returning w.no, w.token, d.sequence, d.attempt, d.trail
           ),
           e as (
             insert into events (no, sequence, attempt, data)
             select no, sequence, attempt, trail from g where attempt > 0
           )
           select no as "no!", token as "token!" from g"#,
        &columns.nos,
        &columns.tokens,
        &columns.trails as &[Json<&[Entry]>],
        &columns.sequences,
        &columns.attempts,
    );
    let rows = pool.fetch_all(query).await?;
    Ok(rows.into_iter().map(|row| Hold { no: CommandNo(row.no), token: Token(row.token) }).collect())
}

/// Releases the claim, and counts the attempt if one was made. A later state that came since is due at once, with a schedule of its own.
pub async fn tell_again(pool: &Pool, told: &[&Told]) -> Result<Vec<Hold>> {
    let columns = Columns::of(told);
    let waits: Vec<f64> = told.iter().map(|told| told.wait.as_secs_f64()).collect();
    let query = sqlx::query!(
        r#"with d as (
             select *
               from unnest($1::bigint[], $2::bigint[], $3::jsonb[], $4::int[], $5::smallint[],
                           $6::float8[])
                 as d(no, token, trail, sequence, attempt, wait_s)
           ),
           l as materialized (
             select no from wakeups where no = any($1) and lane = 1 order by no for update
           ),
           g as (
             update wakeups w
                set token = null,
                    worker = null,
                    lease_until = null,
                    dirty = 0,
                    publishes = 0,
                    tries = case when w.sequence = d.sequence then greatest(w.tries, d.attempt) else 0 end,
                    due_at = holdfast_now() + make_interval(secs => case when w.sequence = d.sequence then d.wait_s else 0 end),
                    run_at = holdfast_now() + make_interval(secs => case when w.sequence = d.sequence then d.wait_s else 0 end)
               from d join l using (no)
              where w.no = d.no and w.lane = 1 and w.token = d.token
             returning w.no, d.token, d.sequence, d.attempt, d.trail
           ),
           e as (
             insert into events (no, sequence, attempt, data)
             select no, sequence, attempt, trail from g where attempt > 0
           )
           select no as "no!", token as "token!" from g"#,
        &columns.nos,
        &columns.tokens,
        &columns.trails as &[Json<&[Entry]>],
        &columns.sequences,
        &columns.attempts,
        &waits,
    );
    let rows = pool.fetch_all(query).await?;
    Ok(rows.into_iter().map(|row| Hold { no: CommandNo(row.no), token: Token(row.token) }).collect())
}

/// The attempts as columns, for `unnest`.
#[derive(Default)]
struct Columns<'a> {
    nos: Vec<i64>,
    tokens: Vec<i64>,
    trails: Vec<Json<&'a [Entry]>>,
    sequences: Vec<i32>,
    attempts: Vec<i16>,
}

impl<'a> Columns<'a> {
    fn of(told: &[&'a Told]) -> Self {
        let mut columns = Self::default();
        for told in told {
            columns.nos.push(told.hold.no.0);
            columns.tokens.push(told.hold.token.0);
            columns.trails.push(Json(told.trail.as_slice()));
            columns.sequences.push(told.sequence);
            columns.attempts.push(told.attempt);
        }
        columns
    }
}
