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
    /// Seen at the claim. A later state that came since is not told yet.
    pub nudge: i32,
    pub trail: Vec<Entry>,
    /// Until the next attempt; only for [`tell_again`].
    pub wait: Duration,
    /// An attempt was made: it counts; only for [`tell_again`].
    pub attempted: bool,
}

/// Ends the debt, unless a later state came since the claim. Not returned: a later state is owed, or the claim was lost.
pub async fn told(pool: &Pool, told: &[&Told]) -> Result<Vec<Hold>> {
    let (nos, tokens, nudges, trails) = columns(told);
    let query = sqlx::query!(
        r#"with d as (
             select * from unnest($1::bigint[], $2::bigint[], $3::int[], $4::jsonb[]) as d(no, token, nudge, trail)
           ),
           l as materialized (
             select no from wakeups where no = any($1) and lane = 1 order by no for update
           ),
           g as (
             delete from wakeups w
              using d join l using (no)
              where w.no = d.no and w.lane = 1 and w.token = d.token and w.nudge = d.nudge
             returning w.no, w.token, w.sequence + 1 as sequence, d.trail
           ),
           e as (
             insert into events (no, sequence, data) select no, sequence, trail from g
           )
           select no as "no!", token as "token!" from g"#,
        &nos,
        &tokens,
        &nudges,
        &trails as &[Json<&[Entry]>],
    );
    let rows = pool.fetch_all(query).await?;
    Ok(rows.into_iter().map(|row| Hold { no: CommandNo(row.no), token: Token(row.token) }).collect())
}

/// Releases the claim, and counts the attempt if one was made. A later state that came since is due at once, with a schedule of its own.
pub async fn tell_again(pool: &Pool, told: &[&Told]) -> Result<Vec<Hold>> {
    let (nos, tokens, nudges, trails) = columns(told);
    let attempted: Vec<bool> = told.iter().map(|told| told.attempted).collect();
    let waits: Vec<f64> = told.iter().map(|told| told.wait.as_secs_f64()).collect();
    let query = sqlx::query!(
        r#"with d as (
             select *
               from unnest($1::bigint[], $2::bigint[], $3::int[], $4::jsonb[], $5::float8[], $6::bool[])
                 as d(no, token, nudge, trail, wait_s, attempted)
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
                    tries = case when w.nudge = d.nudge then least(w.tries + d.attempted::int, 1000) else 0 end,
                    sequence = w.sequence + 1,
                    due_at = holdfast_now() + make_interval(secs => case when w.nudge = d.nudge then d.wait_s else 0 end),
                    run_at = holdfast_now() + make_interval(secs => case when w.nudge = d.nudge then d.wait_s else 0 end)
               from d join l using (no)
              where w.no = d.no and w.lane = 1 and w.token = d.token
             returning w.no, d.token, w.sequence, d.trail
           ),
           e as (
             insert into events (no, sequence, data) select no, sequence, trail from g
           )
           select no as "no!", token as "token!" from g"#,
        &nos,
        &tokens,
        &nudges,
        &trails as &[Json<&[Entry]>],
        &waits,
        &attempted,
    );
    let rows = pool.fetch_all(query).await?;
    Ok(rows.into_iter().map(|row| Hold { no: CommandNo(row.no), token: Token(row.token) }).collect())
}

type Columns<'a> = (Vec<i64>, Vec<i64>, Vec<i32>, Vec<Json<&'a [Entry]>>);

fn columns<'a>(told: &[&'a Told]) -> Columns<'a> {
    let nos = told.iter().map(|told| told.hold.no.0).collect();
    let tokens = told.iter().map(|told| told.hold.token.0).collect();
    let nudges = told.iter().map(|told| told.nudge).collect();
    let trails = told.iter().map(|told| Json(told.trail.as_slice())).collect();
    (nos, tokens, nudges, trails)
}
