//! A claimed row, as it is read.

use super::claim::Claim;
use super::run::Hold;
use crate::commands::{kind, step};
use crate::{Error, Pool, Result, chain};
use chrono::{DateTime, Utc};
use holdfast_domain::chain::{Acceptance, Hash};
use holdfast_domain::progress::Progress;
use holdfast_domain::status::Step;
use holdfast_domain::{ClientNo, CommandId, CommandNo, Kind, Lane, Token, WorkerId};

use serde_json::Value;
use std::fmt;
use std::time::Duration;
use uuid::Uuid;

/// How long a row is left alone that this version cannot read.
const UNREADABLE: Duration = Duration::from_secs(30);

/// A claimed row with all that its handler needs.
#[derive(Clone)]
pub struct Claimed {
    pub no: CommandNo,
    pub id: CommandId,
    pub lane: Lane,
    pub kind: Kind,
    pub token: Token,
    pub worker: WorkerId,
    /// As seen at the claim; a wait that sees another number looks again at once.
    pub nudge: i32,
    /// Of the last row in the audit trail.
    pub sequence: i32,
    /// The claim before this one was not released: what it did is unknown.
    pub taken_over: bool,
    /// Claims before this one that ended without any progress.
    pub failures: i16,
    pub step: Step,
    pub tries: i16,
    pub progress: Progress,
    /// Time left until the next try may be made.
    pub next_try_in: Option<Duration>,
    /// Time since something may first have been sent to a partner.
    pub first_sent_ago: Duration,
    /// Time left to settle; zero when it is over.
    pub settle_within: Option<Duration>,
    /// Postgres' time of the claim.
    pub claimed_at: DateTime<Utc>,
    pub client: ClientNo,
    pub client_callback_url: Option<String>,
    pub key: String,
    pub body: String,
    pub traceparent: Option<String>,
    pub created_at: DateTime<Utc>,
    /// What the first row of its audit trail follows: its acceptance. See [`chain`].
    pub anchor: Hash,
    /// Its business row was written by the claim, as [`First`] has it.
    pub recorded: bool,
}

/// What a claim reads.
pub(super) struct Row {
    pub(super) no: i64,
    pub(super) lane: i16,
    pub(super) token: i64,
    pub(super) worker: i64,
    pub(super) nudge: i32,
    pub(super) sequence: i32,
    pub(super) dirty: i16,
    pub(super) failures: i16,
    pub(super) step: String,
    pub(super) tries: i16,
    pub(super) progress: Option<Value>,
    pub(super) next_try_in_ms: Option<i64>,
    pub(super) first_sent_ago_ms: i64,
    pub(super) settle_within_ms: Option<i64>,
    pub(super) claimed_at: DateTime<Utc>,
    pub(super) id: Uuid,
    pub(super) client: i32,
    pub(super) kind: i16,
    pub(super) key: String,
    pub(super) body: String,
    pub(super) traceparent: Option<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) fingerprint: Vec<u8>,
    pub(super) callback_url: Option<String>,
    pub(super) unlinked: bool,
    pub(super) recorded: bool,
}

/// A row that this version cannot read must not take its neighbours with it.
pub(super) async fn readable(pool: &Pool, rows: Vec<Row>) -> Result<Vec<Claimed>> {
    let (mut claimed, mut unreadable, mut unlinked) = (Vec::with_capacity(rows.len()), Vec::new(), Vec::new());
    for row in rows {
        let (id, no, lane, token) = (row.id, row.no, row.lane, row.token);
        if row.unlinked {
            unlinked.push(CommandNo(no));
        }
        match Claimed::try_from(row) {
            Ok(row) => claimed.push(row),
            Err(error) => {
                tracing::error!(command.id = %id, %error, "claimed what cannot be read");
                unreadable.push((no, lane, token));
            }
        }
    }
    if !unreadable.is_empty() {
        leave(pool, &unreadable).await?;
    }
    if !unlinked.is_empty() {
        let heads = chain::heads(pool, &unlinked).await?;
        let is_run = |claimed: &&mut Claimed| claimed.lane == Lane::Run;
        for claimed in claimed.iter_mut().filter(is_run) {
            claimed.anchor = heads.get(&claimed.no).copied().unwrap_or(claimed.anchor);
        }
    }
    Ok(claimed)
}

/// Gives back what this version cannot read: another one may.
async fn leave(pool: &Pool, claims: &[(i64, i16, i64)]) -> Result<()> {
    let nos: Vec<i64> = claims.iter().map(|claim| claim.0).collect();
    let lanes: Vec<i16> = claims.iter().map(|claim| claim.1).collect();
    let tokens: Vec<i64> = claims.iter().map(|claim| claim.2).collect();
    let query = sqlx::query!(
        "update wakeups w
            set token = null, worker = null, lease_until = null,
                due_at = holdfast_now() + make_interval(secs => $4),
                run_at = holdfast_now() + make_interval(secs => $4)
           from unnest($1::bigint[], $2::smallint[], $3::bigint[]) l(no, lane, token)
          where w.no = any(array[l.no]) and w.lane + 0 = l.lane and w.token = l.token",
        &nos,
        &lanes,
        &tokens,
        UNREADABLE.as_secs_f64()
    );
    pool.execute(query).await?;
    Ok(())
}

/// Without what its client has written.
impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, lane, token, step, .. } = self;
        let mut shown = f.debug_struct("Claimed");
        shown.field("id", id).field("lane", lane).field("token", token).field("step", step).finish_non_exhaustive()
    }
}

impl Claimed {
    /// The wish that led here. Made again, it renews the claim while it stands.
    pub const fn claim(&self) -> Claim {
        Claim { no: self.no, lane: self.lane, token: self.token }
    }

    pub const fn hold(&self) -> Hold {
        Hold { no: self.no, token: self.token }
    }
}

impl Row {
    fn acceptance(&self) -> Acceptance<'_> {
        let Self { no, id, client, kind, created_at, fingerprint, key, body, .. } = self;
        let (no, id, client) = (CommandNo(*no), CommandId(*id), ClientNo(*client));
        Acceptance { no, id, client, kind: *kind, created_at: *created_at, fingerprint, key, body }
    }
}

impl TryFrom<Row> for Claimed {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let anchor = row.acceptance().hash();
        let left = |ms: i64| Duration::from_millis(ms.try_into().unwrap_or(0));
        Ok(Self {
            no: CommandNo(row.no),
            id: CommandId(row.id),
            lane: lane(row.lane)?,
            kind: kind(row.kind)?,
            token: Token(row.token),
            worker: WorkerId(row.worker),
            nudge: row.nudge,
            sequence: row.sequence,
            taken_over: row.dirty > 0,
            failures: row.failures,
            step: step(&row.step)?,
            tries: row.tries,
            progress: row.progress.map(progress).transpose()?.unwrap_or_default(),
            next_try_in: row.next_try_in_ms.map(left).filter(|wait| !wait.is_zero()),
            first_sent_ago: left(row.first_sent_ago_ms),
            settle_within: row.settle_within_ms.map(left),
            claimed_at: row.claimed_at,
            client: ClientNo(row.client),
            client_callback_url: row.callback_url,
            key: row.key,
            body: row.body,
            traceparent: row.traceparent,
            created_at: row.created_at,
            anchor,
            recorded: row.recorded,
        })
    }
}

/// Read one by one: what a newer version wrote must not fail a whole batch.
fn progress(json: Value) -> Result<Progress> {
    serde_json::from_value(json).map_err(|_| Error::Unreadable { what: "progress" })
}

pub(in crate::wakeups) fn lane(code: i16) -> Result<Lane> {
    Lane::from_code(code).ok_or(Error::Unreadable { what: "wakeup lane" })
}
