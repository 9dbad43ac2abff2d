//! Whose turn it is at a sink, and who may say how far it is.

use super::{LEASE, command, database};
use chrono::{DateTime, Utc};
use holdfast_domain::Token;
use holdfast_store::Pool;
use holdfast_store::event_sinks::{self, Held, Progress, Standing, Start};
use holdfast_store::operator::Operator;
use holdfast_store::outbox::{self, Position};
use holdfast_testkit::clock::advance;
use holdfast_testkit::eventually;
use std::time::Duration;

const OPERATOR: Operator<'_> = Operator { by: "tester", why: "a test" };
const MINE: Token = Token(1);
const THEIRS: Token = Token(2);

async fn hold(pool: &Pool, token: Token) -> Vec<String> {
    event_sinks::hold(pool, &["a".to_owned()], token, LEASE).await.expect("hold")
}

async fn standing(pool: &Pool) -> Standing {
    event_sinks::standing(pool, 10).await.expect("read").pop().expect("a sink")
}

/// That of the server.
async fn timeline(pool: &Pool) -> i64 {
    let sql = "select timeline_id::bigint from pg_control_checkpoint()";
    sqlx::query_scalar(sql).fetch_one(pool.connections()).await.expect("the timeline")
}

/// Notes what was read from a place and confirmed.
async fn note(pool: &Pool, token: Token, from: Position, to: Position) -> bool {
    let progress = Progress { from, to, timeline: timeline(pool).await, skipped: false };
    event_sinks::advance(pool, "a", token, progress).await.expect("advance")
}

async fn accept(pool: &Pool, n: u128) {
    holdfast_store::commands::accept(pool, &[&command(n)], super::REQUEST).await.expect("accept");
}

/// Once no other test has an older transaction.
async fn waiting(pool: &Pool, token: Token) -> Held {
    eventually("something waits", || async { event_sinks::waiting(pool, token).await.expect("ask").pop() }).await
}

#[tokio::test]
async fn one_publishes_at_a_time_and_who_has_lost_the_turn_writes_nothing() {
    let pool = database().await;
    event_sinks::begin(&pool, "a", Start::Beginning).await.expect("begin");
    assert_eq!(hold(&pool, MINE).await, ["a"]);
    assert!(hold(&pool, THEIRS).await.is_empty());
    assert_eq!(hold(&pool, MINE).await, ["a"], "it keeps it");
    let (from, to) = (standing(&pool).await.position, Position { xid: 7, no: 1, sequence: 2 });
    advance(pool.connections(), LEASE).await;
    assert_eq!(hold(&pool, THEIRS).await, ["a"], "its time is over");
    assert!(!note(&pool, MINE, from, to).await);
    assert!(!event_sinks::fail(&pool, "a", MINE, "no", None).await.expect("fail"));
    event_sinks::release(&pool, MINE).await.expect("release");
    let before = standing(&pool).await;
    assert_eq!((before.position.xid, before.failures, before.is_held), (0, 0, true));
    assert!(note(&pool, THEIRS, from, to).await);
    assert_eq!(standing(&pool).await.position, to);
    event_sinks::release(&pool, THEIRS).await.expect("release");
    assert_eq!(hold(&pool, MINE).await, ["a"], "at once");
    event_sinks::leave(&pool, "a", THEIRS).await.expect("leave");
    assert!(hold(&pool, THEIRS).await.is_empty(), "it is not theirs to leave");
    event_sinks::leave(&pool, "a", MINE).await.expect("leave");
    assert_eq!(hold(&pool, THEIRS).await, ["a"]);
}

#[tokio::test]
async fn who_was_held_up_and_gets_the_turn_again_sets_nothing_back() {
    let pool = database().await;
    event_sinks::begin(&pool, "a", Start::Beginning).await.expect("begin");
    hold(&pool, MINE).await;
    let from = standing(&pool).await.position;
    let (early, late) = (Position { xid: 3, no: 9, sequence: 1 }, Position { xid: 3, no: 9, sequence: 2 });
    advance(pool.connections(), LEASE).await;
    hold(&pool, THEIRS).await;
    assert!(note(&pool, THEIRS, from, late).await);
    event_sinks::release(&pool, THEIRS).await.expect("release");
    hold(&pool, MINE).await;
    assert!(!note(&pool, MINE, from, early).await, "it has been there");
    assert_eq!(standing(&pool).await.position, late);
}

/// A standby has taken over between reading and noting, and the last commits had not come to it.
#[tokio::test]
async fn a_place_on_the_way_of_a_server_that_was_replaced_is_not_noted() {
    let pool = database().await;
    event_sinks::begin(&pool, "a", Start::Beginning).await.expect("begin");
    hold(&pool, MINE).await;
    accept(&pool, 1).await;
    let held = waiting(&pool, MINE).await;
    let batch = outbox::batch(&pool, held.position, 10).await.expect("read");
    let (read_on, to) = (batch.timeline.expect("there was something"), batch.end.expect("it has moved"));
    assert_eq!(read_on, timeline(&pool).await);
    let progress = Progress { from: held.position, to, timeline: read_on - 1, skipped: false };
    assert!(!event_sinks::advance(&pool, "a", MINE, progress).await.expect("advance"));
    assert_eq!(standing(&pool).await.position, held.position);
    assert!(note(&pool, MINE, held.position, to).await);
}

/// The same where the server does not tell its timeline.
#[tokio::test]
async fn a_place_that_this_server_has_not_come_to_is_not_noted() {
    let pool = database().await;
    event_sinks::begin(&pool, "a", Start::Beginning).await.expect("begin");
    hold(&pool, MINE).await;
    let from = standing(&pool).await.position;
    let next = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    let next: i64 = sqlx::query_scalar(next).fetch_one(pool.connections()).await.expect("the next number");
    assert!(!note(&pool, MINE, from, Position { xid: next + 1_000, no: 1, sequence: 0 }).await);
    assert_eq!(standing(&pool).await.position, from);
}

/// As on Aurora.
#[tokio::test]
async fn where_the_server_does_not_tell_its_timeline_there_is_one() {
    let pool = database().await;
    let mut one = pool.connections().acquire().await.expect("a connection");
    let own: i64 = sqlx::query_scalar("select holdfast_timeline()").fetch_one(&mut *one).await.expect("the timeline");
    assert_eq!(own, timeline(&pool).await);
    let silent = "create schema aurora;
                  create function aurora.pg_current_wal_lsn() returns pg_lsn language plpgsql
                      as $$ begin raise object_not_in_prerequisite_state; end $$;
                  set search_path = aurora, pg_catalog, public";
    sqlx::raw_sql(silent).execute(&mut *one).await.expect("hide it");
    let none: i64 = sqlx::query_scalar("select holdfast_timeline()").fetch_one(&mut *one).await.expect("the timeline");
    assert_eq!(none, 0);
}

/// What the sink has confirmed before was lost there too.
#[tokio::test]
async fn nobody_goes_on_from_a_place_that_is_not_the_sinks() {
    let pool = database().await;
    event_sinks::begin(&pool, "a", Start::Beginning).await.expect("begin");
    hold(&pool, MINE).await;
    let (lost, to) = (Position { xid: 3, no: 9, sequence: 1 }, Position { xid: 3, no: 9, sequence: 2 });
    assert!(!note(&pool, MINE, lost, to).await, "between the sink's and this one something may be");
    assert_eq!(standing(&pool).await.position.xid, 0);
}

/// As it is restored, with the place of the server that it was in.
async fn restored(pool: &Pool, token: Token) {
    event_sinks::begin(pool, "a", Start::Now).await.expect("begin");
    let ahead =
        "update event_sinks set xid = (pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 1000)::text::xid8";
    sqlx::query(ahead).execute(pool.connections()).await.expect("as of another server");
    hold(pool, token).await;
}

#[tokio::test]
async fn a_place_of_another_server_stays_one_when_this_one_has_counted_past_it() {
    let pool = database().await;
    accept(&pool, 1).await;
    restored(&pool, MINE).await;
    accept(&pool, 2).await;
    let passed = "update event_sinks set xid = '3'";
    sqlx::query(passed).execute(pool.connections()).await.expect("as if this one had counted on");
    hold(&pool, MINE).await;
    assert!(standing(&pool).await.is_ahead, "what was written in between would be missing");
    assert!(event_sinks::waiting(&pool, MINE).await.expect("ask").is_empty(), "nothing goes there by itself");
}

/// The statements of a procedure in the handbook.
fn procedure(heading: &str) -> Vec<&'static str> {
    let page = include_str!("../../../docs/events.md");
    let part = page.split_once(heading).expect("the heading is there").1;
    let fenced = part.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sql\n"));
    fenced.collect()
}

#[tokio::test]
async fn after_a_restore_into_another_server_the_handbook_misses_nothing() {
    let pool = database().await;
    let [first, second, third] = [1, 2, 3].map(command);
    holdfast_store::commands::accept(&pool, &[&first], super::REQUEST).await.expect("accept");
    event_sinks::begin(&pool, "a", Start::Beginning).await.expect("begin");
    hold(&pool, MINE).await;
    let held = waiting(&pool, MINE).await;
    let end = outbox::batch(&pool, held.position, 10).await.expect("read").end.expect("it has moved");
    holdfast_store::commands::accept(&pool, &[&second], super::REQUEST).await.expect("accept");
    let backlog = pool.now().await.expect("the time");
    // The sink is behind, and its place moves all the same.
    advance(pool.connections(), Duration::from_secs(7_200)).await;
    assert!(note(&pool, MINE, held.position, end).await);
    // Every number of the other server is far above those of this one.
    let raise = "update event_sinks set xid = (xid::text::bigint + 1000000)::text::xid8;
                 update commands set xid = (xid::text::bigint + 1000000)::text::xid8";
    sqlx::raw_sql(raise).execute(pool.connections()).await.expect("as of another server");
    hold(&pool, MINE).await;
    let [from, reset] = procedure("### After a restore")[..] else { panic!("two blocks of statements") };
    let (name, from): (String, DateTime<Utc>) = sqlx::query_as(from).fetch_one(pool.connections()).await.expect("from");
    assert!(name == "a" && from <= backlog, "{from} is behind {backlog}");
    sqlx::raw_sql(reset).execute(pool.connections()).await.expect("as it is written");
    hold(&pool, MINE).await;
    assert!(!standing(&pool).await.is_ahead);
    holdfast_store::commands::accept(&pool, &[&third], super::REQUEST).await.expect("accept");
    let held = waiting(&pool, MINE).await;
    let batch = outbox::batch(&pool, held.position, 10).await.expect("read");
    assert_eq!(batch.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [third.id], "the others are replayed");
}

#[tokio::test]
async fn a_new_sink_begins_now_or_at_the_beginning_and_keeps_its_place() {
    let pool = database().await;
    accept(&pool, 1).await;
    event_sinks::begin(&pool, "now", Start::Now).await.expect("begin");
    event_sinks::begin(&pool, "whole", Start::Beginning).await.expect("begin");
    accept(&pool, 2).await;
    event_sinks::begin(&pool, "now", Start::Beginning).await.expect("begin");
    let lags = |standing: Vec<Standing>| standing.into_iter().map(|one| (one.name, one.lag)).collect::<Vec<_>>();
    let found = event_sinks::standing(&pool, 10).await.expect("read");
    // Another test's transaction may have been under way then: what is newer than that is published too.
    let from_now = outbox::batch(&pool, found[0].position, 10).await.expect("read");
    assert!(from_now.rows.iter().all(|row| row.no.0 >= 1));
    assert_eq!(lags(found)[1], ("whole".to_owned(), 2));
    let one = event_sinks::standing(&pool, 1).await.expect("read");
    assert_eq!(one[1].lag, 1, "counted so far and no further");
}

#[tokio::test]
async fn what_waits_is_seen_without_reading_it() {
    let pool = database().await;
    event_sinks::begin(&pool, "a", Start::Now).await.expect("begin");
    hold(&pool, MINE).await;
    accept(&pool, 1).await;
    let held = waiting(&pool, MINE).await;
    let batch = outbox::batch(&pool, held.position, 10).await.expect("read");
    let end = batch.end.expect("it has moved");
    assert!(note(&pool, MINE, held.position, end).await);
    assert!(event_sinks::waiting(&pool, MINE).await.expect("ask").is_empty());
    let there = standing(&pool).await;
    assert_eq!((there.lag, there.oldest.as_secs(), there.is_ahead), (0, 0, false));
    restored(&pool, MINE).await;
    assert!(standing(&pool).await.is_ahead, "of another server's transactions");
}

#[tokio::test]
async fn what_a_sink_refuses_is_left_out_only_when_somebody_says_so() {
    let pool = database().await;
    event_sinks::begin(&pool, "a", Start::Beginning).await.expect("begin");
    let skip = async |event| event_sinks::skip(&pool, "a", event, OPERATOR).await.expect("skip");
    assert!(!skip("id/0").await, "it refuses nothing");
    hold(&pool, MINE).await;
    accept(&pool, 1).await;
    assert!(event_sinks::fail(&pool, "a", MINE, "HTTP 400", Some("id/0")).await.expect("fail"));
    let held = waiting(&pool, MINE).await;
    assert_eq!((held.refused.as_deref(), held.skip.as_deref()), (Some("id/0"), None));
    assert!(!skip("id/1").await, "that is another one than it refuses now");
    assert_eq!(waiting(&pool, MINE).await.skip, None);
    assert!(skip("id/0").await);
    assert_eq!(waiting(&pool, MINE).await.skip.as_deref(), Some("id/0"));
    let batch = outbox::batch(&pool, held.position, 10).await.expect("read");
    let to = batch.end.expect("it has moved");
    let timeline = batch.timeline.expect("there was something");
    let progress = Progress { from: held.position, to, timeline, skipped: true };
    assert!(event_sinks::advance(&pool, "a", MINE, progress).await.expect("advance"));
    let after = standing(&pool).await;
    assert_eq!((after.skipped, after.failures, after.refused, after.error), (1, 0, None, None));
}
