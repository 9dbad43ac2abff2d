//! Redis Streams when somebody dies: a consumer, Redis, Postgres.

use super::{Bench, a_moment, event, hasty, impatient, nothing_is_pending, plain, stream};
use holdfast_consumer::queue::backoff;
use holdfast_consumer::{Begin, RedisStream, Settings};
use holdfast_testkit::channel::Any;
use holdfast_testkit::{Channel, Gate, Stack, eventually};
use serde_json::json;
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test]
async fn what_a_dead_consumer_had_in_hand_is_taken_over() {
    let channel = Channel::open().await;
    let dying = Bench::new(channel.pool.clone(), hasty()).await;
    let mut gate = channel.pool.begin().await.expect("begin");
    sqlx::query("select pg_advisory_xact_lock(7)").execute(&mut *gate).await.expect("close the gate");
    channel.add(&[event("a", 0, json!({ "then": "wait for the gate" })), plain("a", 1)]).await;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (stream_of_the_dying, consumer, stop) = (stream(&channel), dying.consumer.clone(), dying.stop.clone());
    runtime.spawn(async move { stream_of_the_dying.run(consumer, stop).await });
    eventually("the handler is under way", async || {
        (dying.handler.tries.load(Ordering::SeqCst) == 1 && channel.pending("group").await == Some(2)).then_some(())
    })
    .await;
    // Everything that it did ends here, wherever it was.
    runtime.shutdown_background();
    gate.commit().await.expect("open the gate");

    let other = Bench::new(channel.pool.clone(), hasty()).await;
    channel.add(&[plain("a", 2)]).await;
    other.read(&channel);
    other.becomes("a", &[0, 1, 2]).await;
    nothing_is_pending(&channel).await;
}

#[tokio::test]
async fn what_takes_its_consumer_down_each_time_is_a_dead_letter_in_the_end() {
    let channel = Channel::open().await;
    channel.add(&[plain("a", 0), plain("a", 1)]).await;
    let _created: String = channel.ask(&["XGROUP", "CREATE", "events", "group", "0"]).await;
    // Somebody receives the first one and dies, three times.
    let entries: Any =
        channel.ask(&["XREADGROUP", "GROUP", "group", "dead-0", "COUNT", "1", "STREAMS", "events", ">"]).await;
    for n in 1..3 {
        let name = format!("dead-{n}");
        let _taken: Any = channel.ask(&["XAUTOCLAIM", "events", "group", &name, "0", "0"]).await;
    }
    drop(entries);
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    bench.read_as(RedisStream { most_deliveries: 3, ..stream(&channel) });
    bench.becomes("a", &[1]).await;
    let dead = channel.dead_letters().await;
    assert_eq!(dead[0]["reason"], "delivered 3 times, and never handled to the end");
    assert_eq!(bench.handler.tries.load(Ordering::SeqCst), 1, "it was not tried again");
}

#[tokio::test]
async fn redis_may_die_and_come_back_and_nothing_is_lost() {
    let mut channel = Channel::open().await;
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    let events = |from: i64, to: i64| -> Vec<String> {
        (from..to).flat_map(|sequence| (0..50).map(move |n| plain(&format!("s{n}"), sequence))).collect()
    };
    channel.add(&events(0, 10)).await;
    bench.read(&channel);
    eventually("some were handled", async || {
        (bench.counted(r#"events_total{source="events",outcome="handled"}"#) > 50).then_some(())
    })
    .await;
    channel.redis.crash().await.expect("kill redis");
    a_moment().await;
    channel.redis.recover().await.expect("start redis");
    channel.add(&events(10, 12)).await;
    for n in 0..50 {
        bench.becomes(&format!("s{n}"), &(0..12).collect::<Vec<_>>()).await;
    }
    nothing_is_pending(&channel).await;
    assert!(channel.dead_letters().await.is_empty());
}

#[tokio::test]
async fn a_flushed_redis_gets_its_group_again() {
    let channel = Channel::open().await;
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    channel.add(&[plain("a", 0)]).await;
    bench.read(&channel);
    bench.becomes("a", &[0]).await;
    let _flushed: String = channel.ask(&["FLUSHALL"]).await;
    // The publisher repeats what it does not know to be there.
    channel.add(&[plain("a", 0), plain("a", 1)]).await;
    bench.becomes("a", &[0, 1]).await;
}

#[tokio::test]
async fn what_was_cut_off_the_stream_while_it_was_pending_is_counted() {
    let channel = Channel::open().await;
    channel.add(&[plain("a", 0)]).await;
    let _created: String = channel.ask(&["XGROUP", "CREATE", "events", "group", "0"]).await;
    let _entries: Any = channel.ask(&["XREADGROUP", "GROUP", "group", "dead", "STREAMS", "events", ">"]).await;
    let _trimmed: u64 = channel.ask(&["XTRIM", "events", "MAXLEN", "0"]).await;
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    bench.read(&channel);
    bench.counts(r#"trimmed_total{source="events"}"#, 1).await;
    assert_eq!(channel.pending("group").await, Some(0));
}

#[tokio::test]
async fn what_was_cut_off_the_stream_while_it_was_in_hand_is_a_dead_letter() {
    let channel = Channel::open().await;
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    channel.add(&[plain("a", 1)]).await;
    let reader = bench.read(&channel);
    bench.counts(r#"held_back_total{source="events"}"#, 1).await;
    let _trimmed: u64 = channel.ask(&["XTRIM", "events", "MAXLEN", "0"]).await;
    bench.counts(r#"trimmed_total{source="events"}"#, 1).await;
    bench.stop.cancel();
    reader.await.expect("it ends");
    let dead = channel.dead_letters().await;
    assert!(dead[0]["event"].contains("a/1") && dead[0]["reason"].contains("deleted from the stream"), "{dead:?}");
}

#[tokio::test]
async fn consumers_that_never_came_back_are_forgotten() {
    let channel = Channel::open().await;
    channel.add(&[plain("a", 0)]).await;
    let _created: String = channel.ask(&["XGROUP", "CREATE", "events", "group", "0"]).await;
    let _created: u64 = channel.ask(&["XGROUP", "CREATECONSUMER", "events", "group", "gone"]).await;
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    bench.read(&channel);
    bench.becomes("a", &[0]).await;
    eventually("only the one that lives is there", async || {
        let there: Vec<BTreeMap<String, Any>> = channel.ask(&["XINFO", "CONSUMERS", "events", "group"]).await;
        let names: Vec<_> = there.iter().map(|one| format!("{:?}", one["name"])).collect();
        (names.len() == 1 && !names[0].contains("gone")).then_some(())
    })
    .await;
    assert!(bench.counted(r#"looked_at_seconds{source="events"}"#) > 1_700_000_000);
}

#[tokio::test]
async fn patience_begins_anew_after_an_outage() {
    let channel = Channel::open().await;
    let gate = Gate::before(Stack::postgres_address()).await;
    let pool = PgPool::connect(&channel.database_at(gate.address)).await.expect("connect");
    let bench = Bench::new(pool, impatient()).await;
    channel.add(&[plain("a", 1)]).await;
    bench.read_as(RedisStream { most_deliveries: 1, ..stream(&channel) });
    bench.counts(r#"held_back_total{source="events"}"#, 1).await;
    gate.close();
    backoff::sleep(2 * impatient().patience).await;
    gate.open();
    a_moment().await;
    channel.add(&[plain("a", 0)]).await;
    bench.becomes("a", &[0, 1]).await;
    assert_eq!(bench.counted(r#"overtaken_total{source="events"}"#), 0);
    assert!(bench.counted(r#"away_total{source="events"}"#) > 0);
}

#[tokio::test]
async fn who_may_begin_anywhere_waits_for_what_a_dead_consumer_had() {
    let channel = Channel::open().await;
    channel.add(&[plain("a", 0)]).await;
    let _created: String = channel.ask(&["XGROUP", "CREATE", "events", "group", "0"]).await;
    let _entries: Any = channel.ask(&["XREADGROUP", "GROUP", "group", "dead", "STREAMS", "events", ">"]).await;
    channel.add(&[plain("a", 1)]).await;
    let bench = Bench::new(channel.pool.clone(), Settings { begin: Begin::Anywhere, ..hasty() }).await;
    bench.read(&channel);
    bench.becomes("a", &[0, 1]).await;
    nothing_is_pending(&channel).await;
}

#[tokio::test]
async fn a_lock_of_somebody_who_has_vanished_is_freed() {
    let channel = Channel::open().await;
    let link = Gate::before(Stack::postgres_address()).await;
    let pool = PgPool::connect(&channel.database_at(link.address)).await.expect("connect");
    let settings = || Settings { timeout: Duration::from_secs(1), ..hasty() };
    let (vanishing, other) = (Bench::new(pool, settings()).await, Bench::new(channel.pool.clone(), settings()).await);
    vanishing.handler.is_deadly.store(true, Ordering::SeqCst);
    channel.add(&[plain("a", 0)]).await;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (stream_of_the_vanishing, consumer, stop) =
        (stream(&channel), vanishing.consumer.clone(), vanishing.stop.clone());
    runtime.spawn(async move { stream_of_the_vanishing.run(consumer, stop).await });
    eventually("the handler is under way", async || {
        (vanishing.handler.tries.load(Ordering::SeqCst) == 1).then_some(())
    })
    .await;
    // Postgres is not told.
    link.freeze();
    runtime.shutdown_background();
    other.read(&channel);
    other.becomes("a", &[0]).await;
    nothing_is_pending(&channel).await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_lock() {
    let channel = Channel::open().await;
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    let mut other = channel.pool.begin().await.expect("begin");
    let taken = "insert into holdfast_seen (consumer, subject, last) values ('test', 'a', 0)";
    sqlx::raw_sql(taken).execute(&mut *other).await.expect("take the turn");
    channel.add(&[plain("a", 0)]).await;
    let reader = bench.read(&channel);
    eventually("it waits", async || {
        let sql =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        let waiting: i64 = sqlx::query_scalar(sql).fetch_one(&channel.pool).await.expect("count");
        (waiting == 1).then_some(())
    })
    .await;
    bench.stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), reader).await.expect("in time").expect("it ends");
    other.rollback().await.expect("roll back");
}

#[tokio::test]
async fn who_was_in_hand_when_others_took_their_consumer_down_is_no_dead_letter() {
    let channel = Channel::open().await;
    let subjects = ["a", "b", "c", "d"];
    channel.add(&subjects.map(|subject| plain(subject, 0))).await;
    let three = || RedisStream { most_deliveries: 3, ..stream(&channel) };
    // The last of them has one alone.
    for at_once in [4, 4, 1] {
        // So many that whoever reads does not hold all of them.
        let dying = Bench::new(channel.pool.clone(), Settings { concurrency: 200, ..hasty() }).await;
        dying.handler.is_deadly.store(true, Ordering::SeqCst);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (stream, consumer, stop) = (three(), dying.consumer.clone(), dying.stop.clone());
        runtime.spawn(async move { stream.run(consumer, stop).await });
        eventually("they are under way", async || {
            (dying.handler.tries.load(Ordering::SeqCst) >= at_once).then_some(())
        })
        .await;
        runtime.shutdown_background();
    }
    let other = Bench::new(channel.pool.clone(), hasty()).await;
    other.read_as(three());
    for subject in &subjects[1..] {
        other.becomes(subject, &[0]).await;
    }
    nothing_is_pending(&channel).await;
    let dead = channel.dead_letters().await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert!(dead[0]["event"].contains("a/0"));
}

#[tokio::test]
async fn while_postgres_is_away_no_try_is_counted() {
    let channel = Channel::open().await;
    let gate = Gate::before(Stack::postgres_address()).await;
    let pool = PgPool::connect(&channel.database_at(gate.address)).await.expect("connect");
    let bench = Bench::new(pool, Settings { tries: 1, ..hasty() }).await;
    gate.close();
    channel.add(&[plain("a", 0), plain("a", 1)]).await;
    bench.read_as(RedisStream { most_deliveries: 1, idle: Duration::from_secs(600), ..stream(&channel) });
    eventually("they were received", async || (channel.pending("group").await == Some(2)).then_some(())).await;
    a_moment().await;
    gate.open();
    bench.becomes("a", &[0, 1]).await;
    nothing_is_pending(&channel).await;
    assert!(channel.dead_letters().await.is_empty());
    assert_eq!(bench.counted(r#"failures_total{source="events"}"#), 0);
}
