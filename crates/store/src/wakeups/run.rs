//! What the holder of a run's claim may write while it goes on: note, or wait (release). See `finish` for its end.
//!
//! The rows of a statement are sorted: they are looked up, and locked, in their order (PROTOCOL 18). The lane comes with
//! them, although it is always the same: named in the statement, it would have the planner begin at the table, of which it
//! then expects a two-hundredth.

use crate::{Pool, Result};
use holdfast_domain::chain::Hash;
use holdfast_domain::progress::Progress;
use holdfast_domain::status::Step;
use holdfast_domain::trail::Entry;
use holdfast_domain::{CommandNo, Lane, Status, Token};
use sqlx::types::Json;
use std::time::Duration;

/// The claim under which something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    pub no: CommandNo,
    pub token: Token,
}

/// Where a run stands.
#[derive(Clone, Debug)]
pub struct Note {
    pub hold: Hold,
    /// Seen at the claim.
    pub nudge: i32,
    /// Of the audit trail, as it is now. Only for [`note`], which may be repeated under the same claim.
    pub sequence: i32,
    pub status: Status,
    pub step: Step,
    pub progress: Progress,
    /// What happened since the last write.
    pub trail: Vec<Entry>,
    /// What the first row of its audit trail follows. See [`crate::chain`].
    pub anchor: Hash,
    /// A creation was sent to a partner.
    pub sent: bool,
    /// No creation before this has passed.
    pub next_try_in: Option<Duration>,
    /// How long settling may take from now, where it has just begun. The first such deadline stands.
    pub settle_within: Option<Duration>,
    /// The partner in hand is done with: the times above, and since when something was sent, begin anew for the next.
    /// Only for [`note`].
    pub next_partner: bool,
    /// Whether the client must be told of this status now, beside the run. Only for [`note`].
    pub tell: Tell,
    /// Until when nobody needs to look. Ignored by [`note`].
    pub wait: Duration,
    /// How the claim ends. Ignored by [`note`], which is progress.
    pub ended: Ended,
}

/// Whether a client must be told of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// It has an endpoint for this.
    Owed,
    /// If it has a standing endpoint when this is written: the claim has found none, and one may have been set since.
    IfEndpoint,
    Not,
}

impl Tell {
    pub const fn of(url: Option<&str>) -> Self {
        if url.is_some() { Self::Owed } else { Self::IfEndpoint }
    }

    pub(super) const fn decided(self) -> Option<bool> {
        match self {
            Self::Owed => Some(true),
            Self::IfEndpoint => None,
            Self::Not => Some(false),
        }
    }
}

impl Note {
    /// What happened, and what the command is after it: whoever reads the trail later has nothing else to know it by.
    fn stated(&self) -> Vec<Entry> {
        let mut trail = self.trail.clone();
        if let Some(last) = trail.last_mut() {
            last.state = Some(self.status);
        }
        trail
    }
}

/// What a released claim means for the count of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Something came of it.
    Well,
    /// The handler failed.
    Badly,
}

/// The notes as columns, for `unnest`.
#[derive(Default)]
struct Columns {
    nos: Vec<i64>,
    lanes: Vec<i16>,
    tokens: Vec<i64>,
    nudges: Vec<i32>,
    sequences: Vec<i32>,
    statuses: Vec<&'static str>,
    steps: Vec<&'static str>,
    progress: Vec<Json<Progress>>,
    trails: Vec<Json<Vec<Entry>>>,
    anchors: Vec<Vec<u8>>,
    sent: Vec<bool>,
    next_try_s: Vec<Option<f64>>,
    settle_s: Vec<Option<f64>>,
    wait_s: Vec<f64>,
    next_partner: Vec<bool>,
    tells: Vec<Option<bool>>,
    failed: Vec<bool>,
}

impl Columns {
    fn of(notes: &[&Note]) -> Self {
        let mut notes = notes.to_vec();
        notes.sort_by_key(|note| note.hold.no);
        let mut columns = Self::default();
        for note in notes {
            columns.nos.push(note.hold.no.0);
            columns.lanes.push(Lane::Run.code());
            columns.tokens.push(note.hold.token.0);
            columns.nudges.push(note.nudge);
            columns.sequences.push(note.sequence);
            columns.statuses.push(note.status.name());
            columns.steps.push(note.step.name());
            columns.progress.push(Json(note.progress.clone()));
            columns.trails.push(Json(note.stated()));
            columns.anchors.push(note.anchor.0.to_vec());
            columns.sent.push(note.sent);
            columns.next_try_s.push(note.next_try_in.map(|wait| wait.as_secs_f64()));
            columns.settle_s.push(note.settle_within.map(|wait| wait.as_secs_f64()));
            columns.wait_s.push(note.wait.as_secs_f64());
            columns.next_partner.push(note.next_partner);
            columns.tells.push(note.tell.decided());
            columns.failed.push(note.ended == Ended::Badly);
        }
        columns
    }
}

/// Writes down what must survive a crash at once, and keeps the claim. Not returned: the claim is lost, or this very note
/// was written before.
pub async fn note(pool: &Pool, notes: &[&Note]) -> Result<Vec<Hold>> {
    let columns = Columns::of(notes);
    let query = sqlx::query!(
        r#"with d as (
             select *
               from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::jsonb[], $6::jsonb[], $7::bool[],
                           $8::float8[], $9::float8[], $10::int[], $11::bool[], $12::bool[], $13::smallint[],
                           $14::bytea[])
                 as d(no, token, status, step, progress, trail, sent, next_try_s, settle_s, sequence, next_partner,
                      tell, lane, anchor)
           ),
           g as (
             update wakeups w
                set status = d.status,
                    step = d.step,
                    progress = d.progress,
                    sent = w.sent or d.sent,
                    next_try_at = holdfast_now() + make_interval(secs => d.next_try_s),
                    settle_deadline = case when not d.next_partner
                      then coalesce(w.settle_deadline, holdfast_now() + make_interval(secs => d.settle_s)) end,
                    first_sent_at = case when d.next_partner then holdfast_now() else w.first_sent_at end,
                    failures = 0,
                    alone = 0,
                    sequence = w.sequence + 1,
                    previous = coalesce(w.chain, d.anchor),
                    chain = holdfast_event_hash(coalesce(w.chain, d.anchor), w.no, w.sequence + 1, 0::smallint,
                                                holdfast_now(), d.trail)
               from d
              where w.no = any(array[d.no]) and w.lane + 0 = d.lane and w.token = d.token and w.sequence = d.sequence
             returning w.no, w.kind, w.token, w.sequence, d.tell, d.trail, w.previous, w.chain
           ),
           e as (
             insert into events (no, sequence, at, data, previous, hash)
             select no, sequence, holdfast_now(), trail, previous, chain from g
           ),
           t as (
             insert into wakeups as w (no, lane, kind, due_at, sequence)
             select no, 1, kind, holdfast_now(), sequence
               from g
              -- As in `finish`.
              where coalesce(tell, (select k.callback_url is not null
                                      from commands c join clients k on k.no = c.client where c.no = g.no))
              order by no
                 -- An earlier state is still owed: whoever sees to it tells this one.
                 on conflict (no, lane) do update
                set nudge = w.nudge + 1, tries = 0, failures = 0, alone = 0, sequence = excluded.sequence,
                    run_at = least(w.run_at, holdfast_now()),
                    due_at = case when w.token is null then holdfast_now() else w.due_at end
           )
           select no as "no!", token as "token!" from g"#,
        &columns.nos,
        &columns.tokens,
        &columns.statuses as &[&str],
        &columns.steps as &[&str],
        &columns.progress as &[Json<Progress>],
        &columns.trails as &[Json<Vec<Entry>>],
        &columns.sent,
        &columns.next_try_s as &[Option<f64>],
        &columns.settle_s as &[Option<f64>],
        &columns.sequences,
        &columns.next_partner,
        &columns.tells as &[Option<bool>],
        &columns.lanes,
        &columns.anchors,
    );
    let rows = pool.fetch_all(query).await?;
    Ok(rows.into_iter().map(|row| Hold { no: CommandNo(row.no), token: Token(row.token) }).collect())
}

/// Releases the claim until `wait` has passed, or at once if somebody nudged since the claim. Where nothing happened, the
/// trail stays as it is. Not returned: the claim was lost.
pub async fn wait(pool: &Pool, notes: &[&Note]) -> Result<Vec<Hold>> {
    let columns = Columns::of(notes);
    let query = sqlx::query!(
        r#"with d as (
             select *
               from unnest($1::bigint[], $2::bigint[], $3::int[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[],
                           $8::bool[], $9::float8[], $10::float8[], $11::float8[], $12::bool[], $13::smallint[],
                           $14::bytea[])
                 as d(no, token, nudge, status, step, progress, trail, sent, next_try_s, settle_s, wait_s, failed, lane,
                      anchor)
           ),
           g as (
             update wakeups w
                set token = null,
                    worker = null,
                    lease_until = null,
                    dirty = 0,
                    failures = case when d.failed then least(w.failures + 1, 1000) else 0 end,
                    -- Who runs alone is counted when it begins.
                    alone = case when d.failed then w.alone else 0 end,
                    publishes = 0,
                    status = d.status,
                    step = d.step,
                    progress = d.progress,
                    sent = w.sent or d.sent,
                    first_sent_at = case when w.sent or d.sent then w.first_sent_at end,
                    next_try_at = holdfast_now() + make_interval(secs => d.next_try_s),
                    settle_deadline = coalesce(w.settle_deadline, holdfast_now() + make_interval(secs => d.settle_s)),
                    sequence = w.sequence + case d.trail when '[]' then 0 else 1 end,
                    previous = case d.trail when '[]' then w.previous else coalesce(w.chain, d.anchor) end,
                    chain = case d.trail when '[]' then w.chain
                      else holdfast_event_hash(coalesce(w.chain, d.anchor), w.no, w.sequence + 1, 0::smallint,
                                               holdfast_now(), d.trail) end,
                    due_at = holdfast_now() + make_interval(secs => case when w.nudge = d.nudge then d.wait_s else 0 end),
                    run_at = holdfast_now() + make_interval(secs => case when w.nudge = d.nudge then d.wait_s else 0 end)
               from d
              where w.no = any(array[d.no]) and w.lane + 0 = d.lane and w.token = d.token
             returning w.no, d.token, w.sequence, d.trail, w.previous, w.chain
           ),
           e as (
             insert into events (no, sequence, at, data, previous, hash)
             select no, sequence, holdfast_now(), trail, previous, chain from g where trail <> '[]'
           )
           select no as "no!", token as "token!" from g"#,
        &columns.nos,
        &columns.tokens,
        &columns.nudges,
        &columns.statuses as &[&str],
        &columns.steps as &[&str],
        &columns.progress as &[Json<Progress>],
        &columns.trails as &[Json<Vec<Entry>>],
        &columns.sent,
        &columns.next_try_s as &[Option<f64>],
        &columns.settle_s as &[Option<f64>],
        &columns.wait_s,
        &columns.failed,
        &columns.lanes,
        &columns.anchors,
    );
    let rows = pool.fetch_all(query).await?;
    Ok(rows.into_iter().map(|row| Hold { no: CommandNo(row.no), token: Token(row.token) }).collect())
}
