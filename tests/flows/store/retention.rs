//! Archiving in single statements: what decides against whoever comes at the same moment, and what it costs.

use super::{accepted, claim, database, finish};
use crate::store::{LEASE, ME};
use holdfast_domain::CommandNo;
use holdfast_store::retention::{self, Batch, Done, Stretch};
use holdfast_store::{Pool, wakeups};
use holdfast_testkit::clock::advance;
use holdfast_testkit::eventually;
use std::collections::BTreeMap;
use std::time::Duration;

const AGE: Duration = Duration::from_secs(30 * 86_400);

const NOTHING: Done = Done::Batch(Batch { archived: 0, postponed: 1 });

/// A command that ended longer ago than payloads are kept, and whose client was told.
async fn ended(pool: &Pool) -> CommandNo {
    let no = accepted(pool).await.no;
    claim(pool, ME, no, 1).await.expect("claimed");
    assert_eq!(wakeups::finish(pool, ME, LEASE, &[&finish(no, 1, false)]).await.expect("finish").len(), 1);
    run(pool, "delete from wakeups").await;
    advance(pool.connections(), AGE * 2).await;
    no
}

async fn run(pool: &Pool, sql: &'static str) {
    sqlx::query(sql).execute(pool.connections()).await.expect("sql");
}

async fn archive(pool: &Pool) -> Done {
    let stretch = retention::stretch(pool, AGE, 100).await.expect("read");
    retention::archive(pool, &stretch, AGE).await.expect("archive")
}

async fn owe_again(pool: &Pool, no: CommandNo) -> bool {
    wakeups::owe_again(pool, no, 1).await.expect("owe")
}

/// Waits until so many sessions of this database wait for a lock.
async fn waiting(pool: &Pool, sessions: i64) {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    eventually("they wait", || async {
        let waiting: i64 = sqlx::query_scalar(sql).fetch_one(pool.connections()).await.expect("look");
        (waiting == sessions).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_owed_again_while_a_batch_begins_is_left_alone() {
    let pool = database().await;
    let no = ended(&pool).await;
    // The statement has begun, and sees nothing of what is written from now on but in rows that it locks.
    let mut held = pool.connections().begin().await.expect("begin");
    sqlx::query("select from retention_progress for update").execute(&mut *held).await.expect("lock");
    let archiving = tokio::spawn({
        let pool = pool.clone();
        async move { archive(&pool).await }
    });
    waiting(&pool, 1).await;
    assert!(owe_again(&pool, no).await);
    held.rollback().await.expect("let go");
    assert_eq!(archiving.await.expect("no panic"), NOTHING);
    assert!(wakeups::owed(&pool, no).await.expect("read").is_some());
}

#[tokio::test]
async fn what_is_being_owed_again_is_not_waited_for() {
    let pool = database().await;
    let no = ended(&pool).await;
    let mut held = pool.connections().begin().await.expect("begin");
    let same = "insert into wakeups (no, lane, kind, due_at) values ($1, 1, 1, holdfast_now())";
    sqlx::query(same).bind(no.0).execute(&mut *held).await.expect("insert");
    let owing = tokio::spawn({
        let pool = pool.clone();
        async move { owe_again(&pool, no).await }
    });
    waiting(&pool, 1).await;
    assert_eq!(archive(&pool).await, NOTHING);
    held.rollback().await.expect("let go");
    assert!(owing.await.expect("no panic"));
    advance(pool.connections(), AGE).await;
    let late = retention::archive_postponed(&pool, AGE, 100).await.expect("archive");
    assert_eq!(late, Some(Batch { archived: 0, postponed: 1 }), "its client has not been told yet");
}

#[tokio::test]
async fn what_is_being_archived_is_not_owed_again() {
    let pool = database().await;
    let no = ended(&pool).await;
    run(&pool, "insert into events (no, sequence, data) select no, 7, '[]' from commands").await;
    let mut held = pool.connections().begin().await.expect("begin");
    sqlx::query("select from events for update").execute(&mut *held).await.expect("lock");
    let archiving = tokio::spawn({
        let pool = pool.clone();
        async move { archive(&pool).await }
    });
    waiting(&pool, 1).await;
    let owing = tokio::spawn({
        let pool = pool.clone();
        async move { owe_again(&pool, no).await }
    });
    waiting(&pool, 2).await;
    held.rollback().await.expect("let go");
    assert_eq!(archiving.await.expect("no panic"), Done::Batch(Batch { archived: 1, postponed: 0 }));
    assert!(!owing.await.expect("no panic"));
    assert!(wakeups::owed(&pool, no).await.expect("read").is_none());
}

#[tokio::test]
async fn a_stretch_is_gone_along_once() {
    let pool = database().await;
    ended(&pool).await;
    let stretch = retention::stretch(&pool, AGE, 100).await.expect("read");
    let twice = [&stretch, &stretch].map(|stretch| retention::archive(&pool, stretch, AGE));
    let mut done: Vec<_> = Vec::new();
    for one in twice {
        done.push(one.await.expect("archive"));
    }
    assert_eq!(done, [Done::Batch(Batch { archived: 1, postponed: 0 }), Done::Overtaken]);
    let behind = retention::stretch(&pool, AGE, 100).await.expect("read");
    assert_eq!((behind.position, behind.nos.len()), (stretch.nos[0], 0));
    let nothing = Stretch { position: behind.position, nos: Vec::new() };
    assert_eq!(retention::archive(&pool, &nothing, AGE).await.expect("archive"), Done::Overtaken);
}

const MANY: u64 = 40_000;
const BATCH: u64 = 500;

/// More batches than it takes until Postgres plans for any arguments.
const BATCHES: u64 = 12;

/// Commands that ended long ago, with a gap of a billion among their numbers.
const FILL: [&str; 6] = [
    "insert into commands (no, id, client, kind, key, fingerprint, body, created_at) overriding system value
     select n + case when n > 2000 then 1000000000 else 0 end, gen_random_uuid(), 1, 1, n, sha256('x'), repeat('x', 100),
            holdfast_now() - interval '400 days'
       from generate_series(1, 40000) n",
    "insert into outcomes (no, status, progress, sequence, client, kind, created_at, finished_at)
     select no, 'completed', '{\"partners\": []}', 1, 1, 1, created_at, created_at from commands",
    "insert into events (no, sequence, data) select no, 1, '[]' from commands",
    "insert into partner_updates (partner, event_id, command_id, status) select 'p', no, id, 'completed' from commands",
    "insert into wakeups (no, lane, kind, due_at) select no, 1, 1, holdfast_now() from commands where no % 100 = 0",
    "analyze",
];

/// Rows that were read of each table: by going through it, and by an index.
async fn read(pool: &Pool, archived: u64) -> BTreeMap<String, (i64, i64)> {
    let updated = "select n_tup_upd from pg_stat_user_tables where relname = 'commands'";
    eventually("the statistics", || async {
        sqlx::raw_sql("select pg_stat_force_next_flush()").execute(pool.connections()).await.ok()?;
        let updated: i64 = sqlx::query_scalar(updated).fetch_one(pool.connections()).await.ok()?;
        (updated as u64 >= archived).then_some(())
    })
    .await;
    let sql = "select relname::text, seq_tup_read, coalesce(idx_tup_fetch, 0) from pg_stat_user_tables
                where relname in ('commands', 'outcomes', 'events', 'partner_updates', 'wakeups')";
    let rows = sqlx::query_as::<_, (String, i64, i64)>(sql).fetch_all(pool.connections()).await.expect("read");
    rows.into_iter().map(|(table, whole, by_index)| (table, (whole, by_index))).collect()
}

#[tokio::test]
async fn a_batch_reads_its_own_rows_however_many_there_are() {
    let pool = database().await;
    let mut connection = pool.connections().acquire().await.expect("a connection");
    // What it has read itself is told at once, not in the middle of what is measured.
    for sql in FILL.into_iter().chain(["select pg_stat_force_next_flush()"]) {
        sqlx::raw_sql(sql).execute(&mut *connection).await.expect("sql");
    }
    let before = read(&pool, 0).await;
    let (mut archived, mut postponed) = (0, 0);
    for _ in 0..BATCHES {
        let stretch = retention::stretch(&pool, AGE, BATCH as i64).await.expect("read");
        assert_eq!(stretch.nos.len() as u64, BATCH, "a gap costs nothing");
        let Done::Batch(batch) = retention::archive(&pool, &stretch, AGE).await.expect("archive") else {
            panic!("nobody else archives")
        };
        archived += batch.archived;
        postponed += batch.postponed;
    }
    assert_eq!((archived, postponed), (BATCHES * BATCH * 99 / 100, BATCHES * BATCH / 100));
    let after = read(&pool, archived).await;
    for (table, (whole, by_index)) in after {
        let (whole_before, by_index_before) = before[&table];
        assert_eq!(whole - whole_before, 0, "{table} was gone through as a whole");
        let rows = (by_index - by_index_before) as u64;
        assert!(rows <= 5 * BATCHES * BATCH, "{rows} rows of {table} were read for {}", BATCHES * BATCH);
    }
    assert!(archived < MANY);
}

#[tokio::test]
async fn what_partners_said_of_no_command_goes_after_a_while() {
    let pool = database().await;
    let no = ended(&pool).await;
    let say = |event: &'static str, command: &'static str| {
        let sql = "insert into partner_updates (partner, event_id, command_id, status) values ('p', $1, $2::uuid, 'completed')";
        sqlx::query(sql).bind(event).bind(command).execute(pool.connections())
    };
    const NOBODYS: &str = "ffffffff-0000-8000-8000-000000000000";
    say("old", NOBODYS).await.expect("say");
    let of_ours = "insert into partner_updates (partner, event_id, command_id, status)
                   select 'p', 'ours', id, 'completed' from commands";
    run(&pool, of_ours).await;
    advance(pool.connections(), AGE * 2).await;
    say("young", NOBODYS).await.expect("say");
    let left = async || {
        let mut last = retention::words(&pool, None, AGE, 1).await.expect("forget").last;
        while last.is_some() {
            last = retention::words(&pool, last, AGE, 10).await.expect("forget").last;
        }
        let left = "select coalesce(string_agg(event_id, ',' order by event_id), '') from partner_updates";
        sqlx::query_scalar::<_, String>(left).fetch_one(pool.connections()).await.expect("read")
    };
    assert_eq!(left().await, "ours,young");
    // As one that came while its command was archived.
    sqlx::query("update outcomes set expunged_at = holdfast_now() where no = $1")
        .bind(no.0)
        .execute(pool.connections())
        .await
        .expect("archive");
    assert_eq!(left().await, "young");
}
