//! The cursor of the outbox: it skips nothing that is committed late, and keeps the order of each command.

use super::chain::{hold, waiting};
use super::{LEASE, ME, REQUEST, accepted, claim, command, database, entry, finish, note};
use holdfast_domain::{CommandNo, Status};
use holdfast_store::Pool;
use holdfast_store::commands;
use holdfast_store::outbox::{self, Batch, Position, Stretch};
use holdfast_store::wakeups::{self, Finish, Note};
use holdfast_testkit::eventually;
use std::time::Duration;

const START: Position = Position { xid: 0, no: 0, sequence: 0 };

fn places(batch: &Batch) -> Vec<(i64, i32)> {
    batch.rows.iter().map(|row| (row.no.0, row.sequence)).collect()
}

async fn read(pool: &Pool, after: Position, limit: i64) -> Batch {
    outbox::batch(pool, after, limit).await.expect("read")
}

/// What can be read once every transaction of other tests has ended that is older.
async fn all(pool: &Pool, count: usize) -> Batch {
    eventually("all rows can be read", || async {
        let batch = read(pool, START, 100).await;
        (batch.rows.len() >= count).then_some(batch)
    })
    .await
}

async fn accept(pool: &Pool, n: u128) -> CommandNo {
    commands::accept(pool, &[&command(n)], REQUEST).await.expect("accept")[0].no
}

/// Open, with a number of its own, until it is dropped.
async fn under_way(pool: &Pool) -> sqlx::Transaction<'_, sqlx::Postgres> {
    let mut transaction = pool.connections().begin().await.expect("begin");
    sqlx::query("select pg_current_xact_id()::text").execute(&mut *transaction).await.expect("draw a number");
    transaction
}

#[tokio::test]
async fn every_write_is_read_once_and_in_order_but_for_attempts_to_tell() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    claim(&pool, ME, no, 1).await.expect("claimed");
    let first = Note { trail: vec![entry()], status: Status::Pending, ..note(no, 1, 0, Duration::ZERO) };
    wakeups::note(&pool, &[&first]).await.expect("note");
    let end = Finish { trail: vec![entry()], ..finish(no, 1, true) };
    wakeups::finish(&pool, ME, LEASE, &[&end]).await.expect("finish");
    let told = "insert into events (no, sequence, attempt, data) values ($1, 2, 1, '[]')";
    sqlx::query(told).bind(no.0).execute(pool.connections()).await.expect("an attempt");
    let whole = all(&pool, 3).await;
    assert_eq!(places(&whole), [(no.0, 0), (no.0, 1), (no.0, 2)]);
    let written: Vec<_> = whole.rows.iter().map(|row| row.written.as_ref().expect("it is readable")).collect();
    assert_eq!(written[1].entries.last().expect("an entry").state, Some(Status::Pending), "it says what it was then");
    assert_eq!(written[2].before.as_ref().expect("a row before"), &written[1].entries);
    assert!(written[1].before.is_none(), "that was the acceptance");
    let (mut after, mut seen) = (START, Vec::new());
    while let Batch { end: Some(end), rows, .. } = read(&pool, after, 1).await {
        assert_eq!(rows.len(), 1);
        seen.extend(rows.iter().map(|row| row.sequence));
        after = end;
    }
    assert_eq!((seen, Some(after)), (vec![0, 1, 2], whole.end));
}

#[tokio::test]
async fn what_is_committed_late_is_not_skipped() {
    let pool = database().await;
    let mut late = pool.connections().begin().await.expect("begin");
    let insert = "insert into commands (id, client, kind, key, fingerprint, body)
                  values (gen_random_uuid(), 1, 1, 'late', decode(repeat('00', 32), 'hex'), '{}')";
    sqlx::query(insert).execute(&mut *late).await.expect("insert");
    let other = accept(&pool, 2).await;
    let (seen, xid): (i64, i64) =
        sqlx::query_as("select no, xid::text::bigint from commands").fetch_one(pool.connections()).await.expect("one");
    assert_eq!(seen, other.0, "it is committed, and anybody can see it");
    assert!(places(&read(&pool, START, 100).await).is_empty(), "but who went on behind it would miss the other");
    late.commit().await.expect("commit");
    let batch = all(&pool, 2).await;
    assert_eq!(places(&batch), [(1, 0), (other.0, 0)]);
    assert_eq!(batch.end, Some(Position { xid, no: other.0, sequence: 0 }));
}

/// A statement that writes for two commands draws its number first, and waits. What is written meanwhile for the second has
/// a higher one, and comes first in its trail.
async fn inverted(pool: &Pool, between: bool) -> (CommandNo, CommandNo, Option<sqlx::Transaction<'_, sqlx::Postgres>>) {
    let (first, second) = (accept(pool, 1).await, accept(pool, 2).await);
    claim(pool, ME, first, 1).await.expect("claimed");
    claim(pool, ME, second, 2).await.expect("claimed");
    let held = hold(pool, "wakeups", first).await;
    let finishing = tokio::spawn({
        let pool = pool.clone();
        async move {
            let end = |no, token| Finish { trail: vec![entry()], ..finish(no, token, true) };
            let both = [end(first, 1), end(second, 2)];
            wakeups::finish(&pool, ME, LEASE, &[&both[0], &both[1]]).await.expect("finish").len()
        }
    });
    waiting(pool, 1).await;
    let other = if between { Some(under_way(pool).await) } else { None };
    let progress = Note { trail: vec![entry()], ..note(second, 2, 0, Duration::ZERO) };
    assert_eq!(wakeups::note(pool, &[&progress]).await.expect("note").len(), 1);
    held.rollback().await.expect("let go");
    assert_eq!(finishing.await.expect("no panic"), 2);
    let order = "select array_agg(sequence order by xid) from events where no = $1";
    let order: Vec<i32> = sqlx::query_scalar(order).bind(second.0).fetch_one(pool.connections()).await.expect("rows");
    assert_eq!(order, [2, 1], "the case that this is about");
    (first, second, other)
}

#[tokio::test]
async fn what_comes_first_in_a_trail_is_read_first_whatever_its_transaction() {
    let pool = database().await;
    let (first, second, _) = inverted(&pool, false).await;
    let whole = eventually("the last of them is reached", || async {
        let batch = read(&pool, START, 100).await;
        let is_last = |end: &Position| (end.no, end.sequence) == (second.0, 1);
        batch.end.as_ref().is_some_and(is_last).then_some(batch)
    })
    .await;
    let expected = [(first.0, 0), (first.0, 1), (second.0, 0), (second.0, 1), (second.0, 2)];
    assert_eq!(places(&whole), expected);
    let mut after = START;
    let mut batches = Vec::new();
    while let Batch { end: Some(end), rows, .. } = read(&pool, after, 1).await {
        batches.push(rows.iter().map(|row| (row.no.0, row.sequence)).collect::<Vec<_>>());
        after = end;
    }
    let expected = [
        vec![(first.0, 0)],
        vec![(second.0, 0)],
        vec![(first.0, 1)],
        vec![(second.0, 1), (second.0, 2)],
        vec![(second.0, 1)],
    ];
    assert_eq!(batches, expected, "the one before comes along, and again when it is reached");
}

#[tokio::test]
async fn it_comes_along_even_from_above_what_is_read() {
    let pool = database().await;
    let (first, second, other) = inverted(&pool, true).await;
    let batch = all(&pool, 5).await;
    assert_eq!(places(&batch)[2..], [(second.0, 0), (second.0, 1), (second.0, 2)]);
    let end = batch.end.expect("it has moved");
    assert_eq!((end.no, end.sequence), (second.0, 2), "not behind what came along");
    assert!(read(&pool, end, 100).await.rows.is_empty(), "a transaction is under way");
    drop(other);
    let rest = eventually("the rest can be read", || async {
        let batch = read(&pool, end, 100).await;
        (!batch.rows.is_empty()).then_some(batch)
    });
    assert_eq!(places(&rest.await), [(second.0, 1)], "{first:?}");
}

#[tokio::test]
async fn a_row_that_this_version_cannot_read_spares_its_neighbours() {
    let pool = database().await;
    let nos = [accept(&pool, 1).await, accept(&pool, 2).await, accept(&pool, 3).await, accept(&pool, 4).await];
    let newer = "update commands set body = '{\"newer\": 1}' where no = 1";
    let unknown =
        "alter table commands drop constraint commands_kind_check; update commands set kind = 99 where no = 2";
    let archived = "update commands set body = '' where no = 3";
    for sql in [newer, unknown, archived] {
        sqlx::raw_sql(sql).execute(pool.connections()).await.expect("sql");
    }
    let batch = all(&pool, 4).await;
    assert_eq!(batch.rows.iter().map(|row| row.no).collect::<Vec<_>>(), nos);
    assert_eq!(batch.rows.iter().map(|row| row.written.is_some()).collect::<Vec<_>>(), [false, false, true, true]);
    assert_eq!(batch.rows.iter().map(|row| row.kind.is_some()).collect::<Vec<_>>(), [true, false, true, true]);
    let kept = |row: &outbox::Found| row.written.as_ref().is_some_and(|written| written.content.is_some());
    assert_eq!(batch.rows.iter().map(kept).collect::<Vec<_>>(), [false, false, false, true]);
    assert!(batch.rows.iter().all(|row| row.position.is_some()));
}

#[tokio::test]
async fn a_row_without_a_transaction_is_replayed_only() {
    let pool = database().await;
    let old = accept(&pool, 1).await;
    sqlx::query("update commands set xid = null").execute(pool.connections()).await.expect("as of an earlier release");
    let new = accept(&pool, 2).await;
    assert_eq!(places(&all(&pool, 1).await), [(new.0, 0)]);
    let now = pool.now().await.expect("the time");
    let (from, to) = (now - Duration::from_secs(60), now + Duration::from_secs(60));
    assert_eq!(outbox::before(&pool, from).await.expect("halve"), CommandNo(0));
    let last = outbox::before(&pool, to).await.expect("halve");
    assert_eq!(last, new);
    let nos = outbox::numbers(&pool, CommandNo(0), last, 10).await.expect("read");
    assert_eq!(nos, [old, new]);
    let written = outbox::written(&pool, &nos, Stretch { from, to, kind: None }).await.expect("read");
    assert_eq!(written.iter().map(|row| row.no).collect::<Vec<_>>(), [old, new]);
    let later = Stretch { from: to, to: to + Duration::from_secs(1), kind: None };
    assert!(outbox::written(&pool, &nos, later).await.expect("read").is_empty());
}

#[tokio::test]
async fn a_time_is_found_among_the_numbers_by_halving_whatever_is_missing() {
    let pool = database().await;
    let insert = "insert into commands (id, client, kind, key, fingerprint, body, created_at)
                  select gen_random_uuid(), 1, 1, n::text, decode(repeat('00', 32), 'hex'), '{}',
                         '2026-01-01'::timestamptz + n * interval '1 s'
                    from generate_series(1, 100) n";
    sqlx::query(insert).execute(pool.connections()).await.expect("insert");
    sqlx::query("delete from commands where no between 30 and 60").execute(pool.connections()).await.expect("a gap");
    for (second, expected) in
        [(0, 0), (1, 0), (2, 1), (29, 28), (30, 60), (45, 60), (61, 60), (62, 61), (100, 99), (500, 100)]
    {
        let time = chrono::DateTime::from_timestamp(1_767_225_600 + second, 0).expect("a time");
        let found = outbox::before(&pool, time).await.expect("halve");
        assert_eq!(found, CommandNo(expected), "at second {second}");
    }
}
