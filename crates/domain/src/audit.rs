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
mod tests {
    use super::*;
    use uuid::Uuid;

    const ANY_TIME: DateTime<Utc> = DateTime::<Utc>::MAX_UTC;

    fn row(sequence: i32, attempt: i16, data: &str) -> Row {
        let at = DateTime::from_timestamp(1_795_000_000 + i64::from(sequence), 0).expect("a time");
        Row { sequence, attempt, at, data: data.to_owned(), previous: None, hash: None }
    }

    fn link(row: &mut Row, previous: &[u8]) -> Vec<u8> {
        let hash = row.hash_after(CommandNo(1), previous).0.to_vec();
        (row.previous, row.hash) = (Some(previous.to_vec()), Some(hash.clone()));
        hash
    }

    fn identity() -> Identity {
        let body = r#"{"a":1}"#.to_owned();
        let fingerprint = json::parse(body.as_bytes()).expect("JSON").root.fingerprint().to_vec();
        Identity { client: ClientNo(1), kind: Kind::Order.code(), key: "k".to_owned(), fingerprint, body }
    }

    #[test]
    fn a_command_is_held_against_its_id_and_its_fingerprint() {
        let key = ServerKey::parse(&"A".repeat(44)).expect("valid key");
        let found = |change: fn(&mut Audited, &ServerKey)| {
            let id = CommandId::compute(&key, ClientNo(1), Kind::Order, "k");
            let mut audited = Audited { id, ..whole() };
            change(&mut audited, &key);
            check_identity(&audited, &key).map(|found| found.breach)
        };
        assert_eq!(found(|_, _| {}), None);
        assert_eq!(found(|audited, _| audited.identity.client = ClientNo(2)), Some(Breach::OtherId));
        assert_eq!(found(|audited, _| audited.identity.key = "l".to_owned()), Some(Breach::OtherId));
        assert_eq!(found(|audited, _| audited.identity.kind = Kind::Refund.code()), Some(Breach::OtherId));
        assert_eq!(found(|audited, _| audited.identity.kind = 99), None, "of a version that knows more");
        assert_eq!(found(|audited, _| audited.identity.body = r#"{"a":2}"#.to_owned()), Some(Breach::OtherContent));
        assert_eq!(found(|audited, _| audited.identity.body = r#"{"a":1,"currency":"EUR"}"#.to_owned()), None);
        assert_eq!(found(|audited, _| audited.identity.fingerprint = vec![0; 32]), Some(Breach::OtherContent));
        let archive = |audited: &mut Audited, _: &ServerKey| {
            (audited.archived, audited.identity.body) = (true, String::new());
        };
        assert_eq!(found(archive), None);
        let reject = |audited: &mut Audited, key: &ServerKey| {
            let fingerprint = audited.identity.fingerprint.as_slice().try_into().expect("32 bytes");
            audited.id = CommandId::of_rejected(key, ClientNo(1), Kind::Order, "k", fingerprint);
        };
        assert_eq!(found(reject), None);
    }

    /// A run of three rows; its second state was told twice, its end once.
    fn whole() -> Audited {
        let accepted = Hash([1; 32]);
        let end = r#"[{"at": "2026-11-22T00:00:00Z", "type": "finished", "status": "completed"}]"#;
        let mut rows = vec![
            row(1, 0, "[]"),
            row(2, 0, "[]"),
            row(2, 1, "[1]"),
            row(2, 2, "[2]"),
            row(3, 0, end),
            row(3, 1, "[3]"),
        ];
        let first = link(&mut rows[0], &accepted.0);
        let second = link(&mut rows[1], &first);
        let told = link(&mut rows[2], &second);
        link(&mut rows[3], &told);
        let last = link(&mut rows[4], &second);
        link(&mut rows[5], &last);
        let outcome = Outcome { status: "completed".to_owned(), finished_at: rows[4].at };
        let end = Some(End { sequence: 3, chain: Some(last), outcome: Some(outcome) });
        let (no, id, created_at) = (CommandNo(1), CommandId(Uuid::nil()), rows[0].at);
        Audited { no, id, created_at, identity: identity(), accepted, archived: false, end, rows }
    }

    fn breaks(audited: &Audited) -> Vec<(i32, i16, Breach)> {
        check(audited, ANY_TIME).breaks.iter().map(|at| (at.sequence, at.attempt, at.breach)).collect()
    }

    fn after(change: impl FnOnce(&mut Audited)) -> Vec<(i32, i16, Breach)> {
        let mut audited = whole();
        change(&mut audited);
        breaks(&audited)
    }

    #[test]
    fn a_trail_as_it_was_written_has_no_breaks() {
        let checked = check(&whole(), ANY_TIME);
        assert_eq!((checked.chained, checked.unchained, checked.breaks), (6, 0, Vec::new()));
    }

    #[test]
    fn what_was_changed_is_found_where_it_was_changed() {
        assert_eq!(after(|audited| audited.rows[1].data = "[0]".to_owned()), [(2, 0, Breach::Changed)]);
        assert_eq!(after(|audited| audited.rows[5].data = "[0]".to_owned()), [(3, 1, Breach::Changed)]);
        assert_eq!(
            after(|audited| audited.rows[0].at += chrono::TimeDelta::microseconds(1)),
            [(1, 0, Breach::Changed)]
        );
        assert_eq!(after(|audited| audited.rows[2].hash = None), [(2, 1, Breach::Changed)]);
    }

    #[test]
    fn a_hash_that_was_made_to_fit_breaks_what_comes_next() {
        let forge = |at: usize| {
            after(|audited| {
                audited.rows[at].data = r#"["forged"]"#.to_owned();
                let previous = audited.rows[at].previous.clone().expect("it has one");
                link(&mut audited.rows[at], &previous);
            })
        };
        assert_eq!(forge(0), [(2, 0, Breach::Unlinked)]);
        assert_eq!(forge(1), [(2, 1, Breach::Unlinked), (3, 0, Breach::Unlinked)]);
        assert_eq!(forge(4), [(3, 1, Breach::Unlinked), (3, 0, Breach::WrongHead)]);
    }

    #[test]
    fn what_was_taken_away_is_missed() {
        assert_eq!(after(|audited| drop(audited.rows.remove(0))), [(1, 0, Breach::Missing)]);
        assert_eq!(after(|audited| drop(audited.rows.remove(2))), [(2, 1, Breach::Missing)]);
        assert_eq!(after(|audited| drop(audited.rows.remove(4))), [(3, 0, Breach::Missing)]);
        assert_eq!(after(|audited| audited.rows.truncate(4)), [(3, 0, Breach::Missing)]);
        assert_eq!(after(|audited| audited.rows.clear()), [(1, 0, Breach::Missing)]);
        assert_eq!(after(|audited| audited.end = None), [(3, 0, Breach::NoEnd)]);
    }

    #[test]
    fn an_acceptance_that_was_changed_breaks_the_first_row() {
        assert_eq!(after(|audited| audited.accepted = Hash([2; 32])), [(1, 0, Breach::Unlinked)]);
    }

    #[test]
    fn what_was_archived_has_no_trail() {
        let mut archived = Audited { archived: true, ..whole() };
        assert_eq!(breaks(&archived), [(1, 0, Breach::Surplus)]);
        archived.rows.clear();
        assert_eq!(breaks(&archived), []);
    }

    #[test]
    fn an_end_that_says_something_else_is_found() {
        let end = |change: fn(&mut End)| after(|audited| change(audited.end.as_mut().expect("an end")));
        let head = [(3, 0, Breach::WrongHead)];
        assert_eq!(end(|end| end.chain = Some(vec![0; 32])), head);
        assert_eq!(end(|end| end.chain = None), head);
        assert_eq!(end(|end| end.sequence = 2), [(3, 0, Breach::Surplus)]);
        assert_eq!(
            end(|end| end.outcome = Some(Outcome { status: "failed".to_owned(), finished_at: DateTime::UNIX_EPOCH })),
            [(3, 0, Breach::OtherEnd)]
        );
    }

    /// An earlier release has no hashes, and leaves what it finds of them as it is.
    #[test]
    fn rows_of_an_earlier_release_are_counted_and_stepped_over() {
        let mut mixed = whole();
        let first = mixed.rows[0].hash.clone().expect("a hash");
        for at in [1, 2] {
            (mixed.rows[at].previous, mixed.rows[at].hash) = (None, None);
        }
        let accepted = mixed.accepted.0;
        link(&mut mixed.rows[3], &accepted);
        let last = link(&mut mixed.rows[4], &first);
        link(&mut mixed.rows[5], &last);
        mixed.end.as_mut().expect("an end").chain = Some(last);
        let checked = check(&mixed, ANY_TIME);
        assert_eq!((checked.chained, checked.unchained, checked.breaks), (4, 2, Vec::new()));
        assert_eq!(checked.last_unchained_at, Some(mixed.rows[1].at));
        let late = check(&mixed, DateTime::UNIX_EPOCH);
        let places: Vec<_> = late.breaks.iter().map(|at| (at.sequence, at.attempt, at.breach)).collect();
        assert_eq!(places, [(2, 0, Breach::Unhashed), (2, 1, Breach::Unhashed)]);
        // Nor does it write the hash of its last row down.
        let mut ended = mixed;
        for at in [4, 5] {
            (ended.rows[at].previous, ended.rows[at].hash) = (None, None);
        }
        ended.end.as_mut().expect("an end").chain = None;
        assert_eq!(breaks(&ended), []);
    }

    #[test]
    fn a_run_that_goes_on_ends_where_its_wakeup_says() {
        let mut under_way = whole();
        under_way.rows.truncate(2);
        let chain = under_way.rows[1].hash.clone();
        under_way.end = Some(End { sequence: 2, chain, outcome: None });
        assert_eq!(breaks(&under_way), []);
        under_way.rows.truncate(1);
        assert_eq!(breaks(&under_way), [(2, 0, Breach::Missing)]);
    }
}
