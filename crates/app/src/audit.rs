//! Verifying the audit trails: read as they are stored, computed anew, compared. Changes nothing, and keeps no more of it
//! in memory than one range.

use crate::App;
use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use holdfast_domain::audit::{self, Audited, Breach, Break};
use holdfast_domain::chain::Hash;
use holdfast_domain::{CommandId, CommandNo, Status};
use holdfast_store::audit as trails;
use sha2::{Digest as _, Sha256};

pub use holdfast_store::audit::{Filter, Range};

/// Numbers that are read at a time: far from what a statement may take.
const RANGE: i64 = 1_000;

/// What is written now may bear a time of a moment ago: that of its statement, which may have waited for a lock, by a clock
/// that a failover has set back. What is older than this stays as it is.
const SETTLED: TimeDelta = TimeDelta::minutes(1);

/// A rolling deployment has ended when this has passed since the migration.
const ROLLOUT: TimeDelta = TimeDelta::days(1);

/// A breach, and whose.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub no: CommandNo,
    /// `None`: there is no such command.
    pub id: Option<CommandId>,
    pub at: Break,
}

/// What the verification came to.
#[derive(Clone, Debug)]
pub struct Report {
    pub commands: u64,
    /// Of these, whose trail was taken away when its time was over.
    pub archived: u64,
    /// Rows with a hash.
    pub rows: u64,
    /// Rows of an earlier release, which have none.
    pub unchained: u64,
    pub last_unchained_at: Option<DateTime<Utc>>,
    pub breaks: u64,
    /// What the digests cover: what was written before.
    pub as_of: DateTime<Utc>,
    pub digests: Digests,
}

/// One value each for all that must never change again. Kept where nobody who can write to the database can write, they tell
/// whether it was rewritten as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digests {
    /// Of how every command has ended.
    pub ends: Hash,
    /// Of every row of every trail.
    pub rows: Hash,
}

/// A verification under way.
pub struct Audit<'a> {
    app: &'a App,
    filter: Filter,
    range: Range,
    next: i64,
    unchained_until: DateTime<Utc>,
    ends: Sha256,
    row_hashes: Sha256,
    report: Report,
}

impl<'a> Audit<'a> {
    /// `unchained_until`: rows without a hash that were written later are breaches. By default those that were written when
    /// every process had long been replaced.
    pub async fn begin(app: &'a App, filter: Filter, unchained_until: Option<DateTime<Utc>>) -> anyhow::Result<Self> {
        let now = app.pool.now().await.context("ask for the time")?;
        let since = trails::chained_since(&app.pool).await.context("ask since when trails are chained")?;
        let unchained_until = unchained_until.or_else(|| since?.checked_add_signed(ROLLOUT)).unwrap_or(now);
        let as_of = filter.until.unwrap_or(now - SETTLED);
        let range = trails::range(&app.pool, filter.id).await.context("find the commands")?;
        let (ends, row_hashes) =
            (Sha256::new_with_prefix(b"holdfast ends 1"), Sha256::new_with_prefix(b"holdfast rows 1"));
        let digests = Digests { ends: Hash([0; 32]), rows: Hash([0; 32]) };
        let report = Report {
            commands: 0,
            archived: 0,
            rows: 0,
            unchained: 0,
            last_unchained_at: None,
            breaks: 0,
            as_of,
            digests,
        };
        Ok(Self { app, filter, range, next: range.after, unchained_until, ends, row_hashes, report })
    }

    /// How many numbers there are, and how many of them were looked at.
    pub const fn progress(&self) -> (u64, u64) {
        (self.range.to.abs_diff(self.range.after), self.next.abs_diff(self.range.after))
    }

    /// Looks at the next range. `None`: that was all.
    pub async fn go_on(&mut self) -> anyhow::Result<Option<Vec<Found>>> {
        if self.next >= self.range.to {
            return Ok(None);
        }
        let range = Range { after: self.next, to: self.next.saturating_add(RANGE).min(self.range.to) };
        let pool = &self.app.pool;
        let audited = trails::read(pool, range, &self.filter).await.context("read the trails")?;
        let mut found = Vec::new();
        for audited in &audited {
            self.look_at(audited, &mut found);
        }
        if self.filter.client.is_none() && self.filter.id.is_none() {
            let orphans = trails::without_command(pool, range).await.context("look for trails without a command")?;
            let at = Break { sequence: 0, attempt: 0, breach: Breach::NoCommand };
            found.extend(orphans.into_iter().map(|no| Found { no, id: None, at }));
        }
        self.next = range.to;
        self.report.breaks += found.len() as u64;
        Ok(Some(found))
    }

    /// What it came to, when there is nothing left to look at.
    pub fn end(self) -> Report {
        let digests =
            Digests { ends: Hash(self.ends.finalize().into()), rows: Hash(self.row_hashes.finalize().into()) };
        Report { digests, ..self.report }
    }

    fn look_at(&mut self, audited: &Audited, found: &mut Vec<Found>) {
        let checked = audit::check(audited, self.unchained_until);
        let forged = audit::check_identity(audited, &self.app.server_key);
        self.report.commands += 1;
        self.report.archived += u64::from(audited.archived);
        self.report.rows += checked.chained;
        self.report.unchained += checked.unchained;
        self.report.last_unchained_at = self.report.last_unchained_at.max(checked.last_unchained_at);
        found.extend(forged.into_iter().chain(checked.breaks).map(|at| Found {
            no: audited.no,
            id: Some(audited.id),
            at,
        }));
        self.digest(audited);
    }

    /// A final end never changes, nor does a row, whatever comes later: a callback that is sent again, or a parked command
    /// that is carried on.
    fn digest(&mut self, audited: &Audited) {
        let as_of = self.report.as_of;
        if audited.created_at >= as_of {
            return;
        }
        for row in audited.rows.iter().filter(|row| row.at < as_of) {
            let previous = row.previous.as_deref().unwrap_or_default();
            self.row_hashes.update(row.hash_after(audited.no, previous).0);
        }
        let Some(end) = &audited.end else { return };
        let Some(outcome) = &end.outcome else { return };
        if outcome.status == Status::NeedsAttention.name() || outcome.finished_at >= as_of {
            return;
        }
        self.ends.update(audited.no.0.to_be_bytes());
        self.ends.update(audited.id.0.as_bytes());
        for part in [outcome.status.as_bytes(), end.chain.as_deref().unwrap_or_default()] {
            self.ends.update((part.len() as u32).to_be_bytes());
            self.ends.update(part);
        }
    }
}
