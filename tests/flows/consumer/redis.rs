//! Redis Streams: order, gaps, and what cannot be handled.

use super::{Bench, NEVER, a_moment, event, hasty, impatient, nothing_is_pending, plain, stream};
use holdfast_consumer::{Begin, RedisStream, Settings};
use holdfast_testkit::channel::Any;
use holdfast_testkit::{Channel, eventually};
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test]
async fn events_are_handled_once_and_in_order() {
    let channel = Channel::open().await;
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    // A publisher that died goes on with what it had published already.
    let sequences = [0, 1, 2, 0, 1, 2, 3];
    channel.add(&sequences.map(|sequence| plain("a", sequence))).await;
    bench.read(&channel);
    bench.becomes("a", &[0, 1, 2, 3]).await;
    bench.counts(r#"events_total{source="events",outcome="duplicate"}"#, 3).await;
    nothing_is_pending(&channel).await;
    assert!(channel.dead_letters().await.is_empty());
}

#[tokio::test]
async fn an_event_waits_for_its_predecessor_and_others_do_not_wait_for_it() {
    let channel = Channel::open().await;
    // One slot: whoever waits must not keep it.
    let bench = Bench::new(channel.pool.clone(), Settings { concurrency: 1, ..hasty() }).await;
    channel.add(&[plain("a", 2), plain("a", 1), plain("b", 0), plain("b", 1)]).await;
    bench.read(&channel);
    bench.becomes("b", &[0, 1]).await;
    bench.counts(r#"held_back_total{source="events"}"#, 2).await;
    a_moment().await;
    assert_eq!(bench.effects("a").await, [0; 0]);
    // Longer than what is abandoned: nobody has taken it over, or counted a delivery.
    assert_eq!(channel.pending("group").await, Some(2));
    channel.add(&[plain("a", 0)]).await;
    bench.becomes("a", &[0, 1, 2]).await;
    nothing_is_pending(&channel).await;
    assert_eq!(bench.counted(r#"overtaken_total{source="events"}"#), 0);
}

#[tokio::test]
async fn patience_ends_and_who_comes_too_late_is_a_dead_letter() {
    let channel = Channel::open().await;
    let bench = Bench::new(channel.pool.clone(), impatient()).await;
    channel.add(&[plain("a", 0), plain("a", 3), plain("a", 2), plain("b", 7)]).await;
    bench.read_as(RedisStream { most_deliveries: 1, ..stream(&channel) });
    bench.becomes("a", &[0, 2, 3]).await;
    bench.becomes("b", &[7]).await;
    bench.counts(r#"overtaken_total{source="events"}"#, 2).await;
    channel.add(&[plain("a", 1), plain("a", 0), plain("b", 6)]).await;
    bench.counts(r#"dead_total{source="events",why="late"}"#, 2).await;
    bench.counts(r#"events_total{source="events",outcome="duplicate"}"#, 1).await;
    nothing_is_pending(&channel).await;
    let dead = channel.dead_letters().await;
    let mut ids: Vec<_> = dead.iter().map(|letter| letter["event"].contains("a/1")).collect();
    ids.sort_unstable();
    assert_eq!(ids, [false, true]);
    assert!(dead[0]["reason"].contains("successors"), "{dead:?}");
    assert_eq!((bench.effects("a").await, bench.effects("b").await), (vec![0, 2, 3], vec![7]));
}

#[tokio::test]
async fn who_joins_in_the_middle_may_begin_anywhere() {
    let channel = Channel::open().await;
    let bench = Bench::new(channel.pool.clone(), Settings { begin: Begin::Anywhere, ..hasty() }).await;
    channel.add(&[plain("a", 5), plain("a", 6), plain("a", 5), plain("b", 0), plain("b", 1)]).await;
    bench.read(&channel);
    bench.becomes("a", &[5, 6]).await;
    bench.becomes("b", &[0, 1]).await;
    channel.add(&[plain("a", 8), plain("a", 7)]).await;
    // Only the beginning is free.
    bench.becomes("a", &[5, 6, 7, 8]).await;
    assert_eq!(bench.counted(r#"overtaken_total{source="events"}"#), 0);
    // What comes from before it was never handled: it is no duplicate.
    channel.add(&[plain("a", 3)]).await;
    bench.counts(r#"dead_total{source="events",why="late"}"#, 1).await;
    nothing_is_pending(&channel).await;
}

#[tokio::test]
async fn a_source_that_needs_more_patience_is_refused() {
    let channel = Channel::open().await;
    let bench = Bench::new(channel.pool.clone(), impatient()).await;
    let stream = RedisStream { idle: Duration::from_secs(30), ..stream(&channel) };
    let refused = stream.run(bench.consumer.clone(), bench.stop.clone()).await.expect_err("too short");
    assert!(refused.to_string().contains("a patience of 2s is too short"), "{refused}");
}

#[tokio::test]
async fn a_dead_letter_that_is_not_taken_is_no_outage() {
    let channel = Channel::open().await;
    let bench = Bench::new(channel.pool.clone(), Settings { concurrency: 1, ..hasty() }).await;
    let _set: String = channel.ask(&["SET", "events:dead:group", "no stream"]).await;
    channel.add(&[event("a", 0, json!({ "then": "refuse" })), plain("a", 1), plain("b", 0)]).await;
    bench.read(&channel);
    bench.becomes("b", &[0]).await;
    eventually("it is given back", async || {
        (bench.counted(r#"events_total{source="events",outcome="failed"}"#) > 0).then_some(())
    })
    .await;
    let _deleted: u64 = channel.ask(&["DEL", "events:dead:group"]).await;
    bench.becomes("a", &[1]).await;
    assert_eq!(channel.dead_letters().await.len(), 1);
    assert_eq!(bench.counted(r#"away_total{source="events"}"#), 0);
}

#[tokio::test]
async fn what_is_committed_is_kept_whatever_the_database_is_set_to() {
    let channel = Channel::open().await;
    let options: PgConnectOptions = channel.database_url.parse().expect("a URL");
    let pool = PgPool::connect_with(options.options([("synchronous_commit", "off")])).await.expect("connect");
    let bench = Bench::new(pool, hasty()).await;
    channel.add(&[event("a", 0, json!({ "then": "insist on durability" }))]).await;
    bench.read(&channel);
    bench.becomes("a", &[0]).await;
}

#[tokio::test]
async fn what_cannot_be_handled_is_a_dead_letter_and_its_successors_go_on() {
    let channel = Channel::open().await;
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    let events = [
        "no JSON".to_owned(),
        plain("a", 0),
        event("a", 1, json!({ "then": "refuse" })),
        plain("a", 2),
        event("b", 0, json!({ "then": "panic" })),
        plain("b", 1),
        event("c", 0, json!({ "then": "fail" })),
        plain("c", 1),
    ];
    channel.add(&events).await;
    let _id: String = channel.ask(&["XADD", Channel::STREAM, "*", "another field", "x"]).await;
    bench.read_as(RedisStream { most_deliveries: 2, ..stream(&channel) });
    for (subject, effects) in [("a", &[0, 2][..]), ("b", &[1]), ("c", &[1])] {
        bench.becomes(subject, effects).await;
    }
    for (why, count) in [("unreadable", 2), ("refused", 1), ("exhausted", 2)] {
        bench.counts(&format!(r#"dead_total{{source="events",why="{why}"}}"#), count).await;
    }
    nothing_is_pending(&channel).await;
    let dead = channel.dead_letters().await;
    let of = |text: &str| {
        let found = dead.iter().find(|letter| letter.iter().any(|(name, value)| name == text || value.contains(text)));
        found.unwrap_or_else(|| panic!("{text}: {dead:?}"))
    };
    assert_eq!(of("no JSON")["reason"], "no CloudEvent in JSON (line 1, column 2)");
    assert_eq!(of("another field").get("event"), None);
    assert_eq!((of("a/1")["reason"].as_str(), of("a/1")["deliveries"].as_str()), ("it was told to", "1"));
    assert_eq!(of("b/0")["reason"], "the handler panicked");
    assert_eq!((of("c/0")["reason"].as_str(), of("c/0")["deliveries"].as_str()), ("it was told to fail", "2"));
    let original = &of("c/0")["original-id"];
    let there: Vec<Any> = channel.ask(&["XRANGE", Channel::STREAM, original, original]).await;
    assert_eq!(there.len(), 1, "it names the entry");
    assert_eq!(of("c/0")["group"], "group");
}

#[tokio::test]
async fn two_consumers_of_a_group_share_the_work_and_keep_the_order() {
    let channel = Channel::open().await;
    let (one, other) =
        (Bench::new(channel.pool.clone(), hasty()).await, Bench::new(channel.pool.clone(), hasty()).await);
    one.read(&channel);
    other.read(&channel);
    for sequence in 0..5 {
        for part in 0..4 {
            channel.add(&(0..25).map(|n| plain(&format!("s{part}-{n}"), sequence)).collect::<Vec<_>>()).await;
        }
    }
    let handled = |bench: &Bench| bench.counted(r#"events_total{source="events",outcome="handled"}"#);
    eventually("everything is handled", async || (handled(&one) + handled(&other) == 500).then_some(())).await;
    assert!(handled(&one) > 0 && handled(&other) > 0, "both had something to do");
    for subject in (0..4).flat_map(|part| (0..25).map(move |n| format!("s{part}-{n}"))) {
        assert_eq!(one.effects(&subject).await, [0, 1, 2, 3, 4]);
    }
    nothing_is_pending(&channel).await;
}

#[tokio::test]
async fn a_stop_lets_the_handler_end_and_leaves_the_rest_to_others() {
    let channel = Channel::open().await;
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    let mut gate = channel.pool.begin().await.expect("begin");
    sqlx::query("select pg_advisory_xact_lock(7)").execute(&mut *gate).await.expect("close the gate");
    channel.add(&[event("a", 0, json!({ "then": "wait for the gate" })), plain("a", 1), plain("b", 1)]).await;
    let reader = bench.read_as(RedisStream { idle: NEVER, ..stream(&channel) });
    eventually("the handler is under way", async || {
        (bench.handler.tries.load(Ordering::SeqCst) == 1 && channel.pending("group").await == Some(3)).then_some(())
    })
    .await;
    bench.stop.cancel();
    a_moment().await;
    assert!(!reader.is_finished(), "a handler is not cut off");
    gate.commit().await.expect("open the gate");
    reader.await.expect("it ends");
    assert_eq!(bench.effects("a").await, [0]);
    assert_eq!(channel.pending("group").await, Some(2));
    assert_eq!(bench.counted(r#"events_total{source="events",outcome="stopped"}"#), 2);

    let other = Bench::new(channel.pool.clone(), hasty()).await;
    let reader = other.read(&channel);
    other.becomes("a", &[0, 1]).await;
    channel.add(&[plain("b", 0)]).await;
    other.becomes("b", &[0, 1]).await;
    nothing_is_pending(&channel).await;
    other.stop.cancel();
    reader.await.expect("it ends");
    let left: Vec<Any> = channel.ask(&["XINFO", "CONSUMERS", "events", "group"]).await;
    assert_eq!(left.len(), 1, "who has nothing pending takes its name away: only the first one's is there");
}
