//! Trails that somebody has tampered with.

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
    let mut rows =
        vec![row(1, 0, "[]"), row(2, 0, "[]"), row(2, 1, "[1]"), row(2, 2, "[2]"), row(3, 0, end), row(3, 1, "[3]")];
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
    assert_eq!(after(|audited| audited.rows[0].at += chrono::TimeDelta::microseconds(1)), [(1, 0, Breach::Changed)]);
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
