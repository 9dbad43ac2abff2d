//! One row decides: effects are there once, and in order, whatever is delivered to whomever.

use super::{Bench, event, hasty, nothing_is_pending, plain, stream};
use holdfast_consumer::{RedisStream, Settings, Store};
use holdfast_testkit::{Channel, eventually};
use serde_json::json;
use std::time::Duration;

const SUBJECTS: usize = 40;
const SEQUENCES: i64 = 4;

#[tokio::test]
async fn of_many_that_have_the_same_event_at_the_same_time_one_handles_it() {
    let channel = Channel::open().await;
    // Each group gets every entry, and all of them share one memory. Each process has turns of its own.
    let mut benches = Vec::new();
    for _ in 0..4 {
        benches.push(Bench::new(channel.pool.clone(), hasty()).await);
    }
    let twice = |n: i64| (0..2).flat_map(move |_| (0..SUBJECTS).map(move |subject| plain(&format!("s{subject}"), n)));
    channel.add(&(0..SEQUENCES).flat_map(twice).collect::<Vec<_>>()).await;
    let readers: Vec<_> = benches
        .iter()
        .enumerate()
        .map(|(n, bench)| bench.read_as(RedisStream { group: format!("group-{n}"), ..stream(&channel) }))
        .collect();
    for (n, bench) in benches.iter().enumerate() {
        let group = format!("group-{n}");
        let all = SUBJECTS as u64 * SEQUENCES as u64 * 2;
        let what = "every group has acknowledged everything";
        eventually(what, async || {
            let read: u64 = channel.ask(&["XLEN", Channel::STREAM]).await;
            let ended = bench.counted(r#"events_total{source="events",outcome="handled"}"#)
                + bench.counted(r#"events_total{source="events",outcome="duplicate"}"#);
            (read == all && ended == all && channel.pending(&group).await == Some(0)).then_some(())
        })
        .await;
    }
    for subject in 0..SUBJECTS {
        assert_eq!(benches[0].effects(&format!("s{subject}")).await, (0..SEQUENCES).collect::<Vec<_>>());
    }
    let handled = |bench: &Bench| bench.counted(r#"events_total{source="events",outcome="handled"}"#);
    assert_eq!(benches.iter().map(handled).sum::<u64>(), SUBJECTS as u64 * SEQUENCES as u64);
    benches.iter().for_each(|bench| bench.stop.cancel());
    for reader in readers {
        reader.await.expect("it ends");
    }
}

#[tokio::test]
async fn a_try_that_fails_leaves_nothing_behind() {
    let channel = Channel::open().await;
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    channel.add(&[event("a", 0, json!({ "then": "fail once" })), plain("a", 1)]).await;
    bench.read(&channel);
    bench.becomes("a", &[0, 1]).await;
    assert_eq!(bench.counted(r#"failures_total{source="events"}"#), 1);
    nothing_is_pending(&channel).await;
}

#[tokio::test]
async fn a_handler_that_ends_its_transaction_has_not_handled_its_event() {
    for then in ["roll back", "swallow an error"] {
        let channel = Channel::open().await;
        let bench = Bench::new(channel.pool.clone(), Settings { tries: 2, ..hasty() }).await;
        channel.add(&[event("a", 0, json!({ "then": then }))]).await;
        bench.read_as(RedisStream { most_deliveries: 1, ..stream(&channel) });
        bench.counts(r#"dead_total{source="events",why="exhausted"}"#, 1).await;
        assert_eq!(bench.effects("a").await, [0; 0], "{then}");
        assert_eq!(channel.dead_letters().await.len(), 1);
    }
}

#[tokio::test]
async fn many_install_at_once_and_old_subjects_are_forgotten() {
    let channel = Channel::open().await;
    let stores: Vec<_> = (0..8).map(|_| Store::new(channel.pool.clone(), "test")).collect();
    for installed in futures::future::join_all(stores.iter().map(Store::install)).await {
        installed.expect("install");
    }
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    channel.add(&[plain("a", 0), plain("b", 0)]).await;
    bench.read(&channel);
    nothing_is_pending(&channel).await;
    bench.becomes("b", &[0]).await;
    bench.becomes("a", &[0]).await;
    let older = "update holdfast_seen set handled_at = handled_at - interval '2 hours' where subject = 'a'";
    sqlx::raw_sql(older).execute(&channel.pool).await.expect("move the time");
    assert_eq!(stores[0].prune(Duration::from_secs(3600)).await.expect("prune"), 1);
    assert_eq!(stores[0].last("a").await.expect("read"), None);
    assert_eq!(stores[0].last("b").await.expect("read"), Some(0));
    let another = Store::new(channel.pool.clone(), "another");
    assert_eq!(another.last("b").await.expect("read"), None, "each consumer has a memory of its own");
}
