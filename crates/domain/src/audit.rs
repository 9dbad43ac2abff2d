//! Whether the audit trail of a command is as it was written. A function of what is stored; nothing is asked of Postgres.
//!
//! The chain runs over the rows that have hashes. Rows of processes of an earlier release have none: they are counted as
//! unchained, wherever they stand, and the next row with a hash follows the last one before them. Each breach is reported
//! where it is, once: what comes after it is compared with what is stored, not with what should be.

use crate::chain::{Hash, Row};
use crate::trail::{Entry, Happening};
use crate::{ClientNo, CommandId, CommandNo, Kind, ServerKey, Status, content, json};
use chrono::{DateTime, Utc};
use std::fmt;

/// A command with its trail, all as of one moment.
#[derive(Clone, Debug)]
pub struct Audited {
    pub no: CommandNo,
    pub id: CommandId,
    pub created_at: DateTime<Utc>,
    pub identity: Identity,
    /// What the first row of its trail follows.
    pub accepted: Hash,
    /// Its trail was taken away when its time was over.
    pub archived: bool,
    /// Where its trail ends. `None`: nothing says so.
    pub end: Option<End>,
    /// In the order of sequence and attempt.
    pub rows: Vec<Row>,
}

/// What the id of a command and its fingerprint are made of.
#[derive(Clone, Debug)]
pub struct Identity {
    pub client: ClientNo,
    /// The code of it, which a newer version may have added.
    pub kind: i16,
    pub key: String,
    pub fingerprint: Vec<u8>,
    /// Empty where it was archived.
    pub body: String,
}

/// What the outcome says, or the wakeup of a run that goes on.
#[derive(Clone, Debug)]
pub struct End {
    pub sequence: i32,
    /// The hash of the run's last row.
    pub chain: Option<Vec<u8>>,
    /// `None`: the run goes on.
    pub outcome: Option<Outcome>,
}

#[derive(Clone, Debug)]
pub struct Outcome {
    pub status: String,
    pub finished_at: DateTime<Utc>,
}

/// What is wrong with a row, or with a place where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    Changed,
    Unlinked,
    Missing,
    Surplus,
    Unhashed,
    WrongHead,
    OtherEnd,
    NoEnd,
    NoCommand,
    OtherId,
    OtherContent,
}

impl Breach {
    /// For programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unlinked => "unlinked",
            Self::Missing => "missing",
            Self::Surplus => "surplus",
            Self::Unhashed => "unhashed",
            Self::WrongHead => "wrong_head",
            Self::OtherEnd => "other_end",
            Self::NoEnd => "no_end",
            Self::NoCommand => "no_command",
            Self::OtherId => "other_id",
            Self::OtherContent => "other_content",
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Changed => "its content does not give its hash",
            Self::Unlinked => "it does not follow the row before it",
            Self::Missing => "there is no such row, and there must be one",
            Self::Surplus => "it comes after the end of its trail",
            Self::Unhashed => "it was written without a hash, and not by an earlier release",
            Self::WrongHead => "it is the last row, but the outcome or wakeup has the hash of another one",
            Self::OtherEnd => "the outcome says another end than it does",
            Self::NoEnd => "neither an outcome nor a wakeup says that it is the last row",
            Self::NoCommand => "there is no such command",
            Self::OtherId => "the id of the command is not that of its client, kind and key",
            Self::OtherContent => "the fingerprint of the command is not that of its body",
        })
    }
}

/// A breach and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Break {
    pub sequence: i32,
    pub attempt: i16,
    pub breach: Breach,
}

/// What came of one trail.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Rows with a hash.
    pub chained: u64,
    pub unchained: u64,
    /// When the latest of those was written.
    pub last_unchained_at: Option<DateTime<Utc>>,
    pub breaks: Vec<Break>,
}

/// Whether a command is the one that its id was computed for, and its body what its client sent: the chain is no secret, and
/// whoever writes the database can make a whole one anew, but no id.
pub fn check_identity(audited: &Audited, server_key: &ServerKey) -> Option<Break> {
    let Identity { client, kind, key, fingerprint, body } = &audited.identity;
    let kind = Kind::from_code(*kind)?;
    let is_own = || CommandId::compute(server_key, *client, kind, key) == audited.id;
    let is_of_rejected = || {
        let of = |fingerprint| CommandId::of_rejected(server_key, *client, kind, key, fingerprint) == audited.id;
        fingerprint.as_slice().try_into().is_ok_and(of)
    };
    let is_sent =
        || json::parse(body.as_bytes()).is_ok_and(|document| content::is_fingerprint(kind, document.root, fingerprint));
    let breach = match () {
        () if !is_own() && !is_of_rejected() => Breach::OtherId,
        () if !audited.archived && !is_sent() => Breach::OtherContent,
        () => return None,
    };
    Some(Break { sequence: 0, attempt: 0, breach })
}

/// `unchained_until`: a row without a hash that was written later is a breach.
pub fn check(audited: &Audited, unchained_until: DateTime<Utc>) -> Checked {
    let accepted = Some(&audited.accepted.0[..]);
    let walk = Walk {
        audited,
        unchained_until,
        place: (0, 0),
        run: accepted,
        told: accepted,
        last_run: None,
        checked: Checked::default(),
    };
    walk.all()
}

/// On the way along a trail.
struct Walk<'a> {
    audited: &'a Audited,
    unchained_until: DateTime<Utc>,
    /// Of the row before.
    place: (i32, i16),
    /// What the next row of the run, or the next attempt to tell its state, must follow. `None`: that is missing.
    run: Option<&'a [u8]>,
    told: Option<&'a [u8]>,
    last_run: Option<&'a Row>,
    checked: Checked,
}

impl<'a> Walk<'a> {
    fn all(mut self) -> Checked {
        let audited = self.audited;
        if audited.archived {
            if let Some(row) = audited.rows.first() {
                self.breach((row.sequence, row.attempt), Breach::Surplus);
            }
            return self.checked;
        }
        for row in &audited.rows {
            self.look_for_gap(row);
            match row.attempt {
                0 => self.step(row),
                _ => self.told = self.link(row, self.told),
            }
            self.place = (row.sequence, row.attempt);
        }
        self.look_at_end();
        self.checked
    }

    fn breach(&mut self, (sequence, attempt): (i32, i16), breach: Breach) {
        let found = Break { sequence, attempt, breach };
        if !self.checked.breaks.contains(&found) {
            self.checked.breaks.push(found);
        }
    }

    /// Sequences, and the attempts of each, have no gaps. What follows one is linked to what nobody knows.
    fn look_for_gap(&mut self, row: &Row) {
        let (sequence, attempt) = self.place;
        let missing = match row.attempt {
            _ if row.sequence > sequence + 1 => Some((sequence + 1, 0)),
            0 => None,
            _ if row.sequence != sequence => Some((row.sequence, 0)),
            at if at != attempt + 1 => Some((sequence, attempt + 1)),
            _ => None,
        };
        let Some(missing) = missing else { return };
        self.breach(missing, Breach::Missing);
        self.told = None;
        if row.sequence != sequence {
            self.run = None;
        }
    }

    /// A row of the run: what is told of its state follows it, if it has a hash.
    fn step(&mut self, row: &'a Row) {
        self.run = self.link(row, self.run);
        self.told = if row.hash.is_some() { self.run } else { Some(&self.audited.accepted.0[..]) };
        self.last_run = Some(row);
    }

    /// Looks at one row, and answers what the next one must follow.
    fn link(&mut self, row: &'a Row, before: Option<&'a [u8]>) -> Option<&'a [u8]> {
        let place = (row.sequence, row.attempt);
        let (previous, hash) = match (&row.previous, &row.hash) {
            (None, None) => {
                self.checked.unchained += 1;
                self.checked.last_unchained_at = self.checked.last_unchained_at.max(Some(row.at));
                if row.at > self.unchained_until {
                    self.breach(place, Breach::Unhashed);
                }
                return before;
            }
            (previous, hash) => (previous.as_deref().unwrap_or_default(), hash.as_deref().unwrap_or_default()),
        };
        self.checked.chained += 1;
        if before.is_some_and(|before| before != previous) {
            self.breach(place, Breach::Unlinked);
        }
        if row.hash_after(self.audited.no, previous).0 != hash {
            self.breach(place, Breach::Changed);
        }
        row.hash.as_deref()
    }

    /// The trail ends where the outcome, or the wakeup of its run, says.
    fn look_at_end(&mut self) {
        let last = self.last_run.map_or(0, |row| row.sequence);
        let audited = self.audited;
        let Some(end) = &audited.end else { return self.breach((last, 0), Breach::NoEnd) };
        if last < end.sequence {
            return self.breach((last + 1, 0), Breach::Missing);
        }
        if last > end.sequence {
            return self.breach((end.sequence + 1, 0), Breach::Surplus);
        }
        let is_chained = self.last_run.is_some_and(|row| row.hash.is_some());
        let is_head = match &end.chain {
            Some(chain) => self.run.is_none_or(|head| head == chain),
            // The wakeup of a run may have lost it to an earlier release; whoever claims it finds it again.
            None => end.outcome.is_none() || !is_chained,
        };
        if !is_head {
            self.breach((last, 0), Breach::WrongHead);
        }
        let told = self.last_run.and_then(end_of);
        if let (Some(outcome), Some(told)) = (&end.outcome, told)
            && outcome.status != told
        {
            self.breach((last, 0), Breach::OtherEnd);
        }
    }
}

/// How a run has ended, as its last row tells it. `None`: it does not say so in words that this version knows.
fn end_of(row: &Row) -> Option<&'static str> {
    let entries: Vec<Entry> = serde_json::from_str(&row.data).ok()?;
    let status = match &entries.last()?.what {
        Happening::Finished { status, .. } | Happening::Resolved { status, .. } => *status,
        Happening::Cancelled => Status::Cancelled,
        Happening::Rejected { .. } => Status::Failed,
        _ => return None,
    };
    Some(status.name())
}

#[cfg(test)]
mod tests;
