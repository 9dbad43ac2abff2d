//! SQS: standard queues, which keep no order, and FIFO queues, which do.

use super::{Bench, event, hasty, plain};
use holdfast_consumer::queue::{Clients, Endpoint};
use holdfast_consumer::{Settings, Sqs};
use holdfast_testkit::{Channel, TestQueue, eventually};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinHandle;

async fn consume(bench: &Bench, queue: &TestQueue) -> JoinHandle<()> {
    let mut source = Sqs::new(Clients::connect(Endpoint::default()).await, &queue.name);
    source.wait = Duration::from_secs(1);
    let running = source.run(bench.consumer.clone(), bench.stop.clone());
    tokio::spawn(async move { running.await.expect("it suits") })
}

async fn is_empty(queue: &TestQueue) {
    eventually("the queue is empty", async || (queue.messages().await == 0).then_some(())).await;
}

#[tokio::test]
async fn whatever_the_order_of_delivery_effects_are_in_order_and_once() {
    let channel = Channel::open().await;
    let queue = channel.queue("").await;
    for sequence in [3, 1, 1, 2, 0, 3, 0] {
        for subject in ["a", "b", "c"] {
            queue.send(subject, "", &plain(subject, sequence)).await;
        }
    }
    let bench = Bench::new(channel.pool.clone(), Settings { concurrency: 4, ..hasty() }).await;
    consume(&bench, &queue).await;
    for subject in ["a", "b", "c"] {
        bench.becomes(subject, &[0, 1, 2, 3]).await;
    }
    is_empty(&queue).await;
    assert!(queue.dead_letter().await.is_none());
}

#[tokio::test]
async fn an_event_waits_longer_than_its_visibility_lasts() {
    let channel = Channel::open().await;
    let queue = channel.queue("").await;
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    consume(&bench, &queue).await;
    queue.send("a", "", &plain("a", 1)).await;
    bench.counts(&format!(r#"held_back_total{{source="{}"}}"#, queue.name), 1).await;
    // Three times the visibility timeout: unrenewed, it would be received again, and then be a dead letter.
    super::backoff::sleep(Duration::from_secs(6)).await;
    assert_eq!(bench.counted(&format!(r#"in_hand{{source="{}"}}"#, queue.name)), 1);
    queue.send("a", "", &plain("a", 0)).await;
    bench.becomes("a", &[0, 1]).await;
    is_empty(&queue).await;
    assert!(queue.dead_letter().await.is_none());
}

#[tokio::test]
async fn refused_events_go_to_the_dead_letter_queue_at_once_and_failing_ones_by_its_policy() {
    for suffix in ["", ".fifo"] {
        let channel = Channel::open().await;
        let queue = channel.queue(suffix).await;
        let bench = Bench::new(channel.pool.clone(), hasty()).await;
        queue.send("a", "1", "no JSON").await;
        queue.send("b", "2", &event("b", 0, json!({ "then": "refuse" }))).await;
        queue.send("b", "3", &plain("b", 1)).await;
        consume(&bench, &queue).await;
        bench.becomes("b", &[1]).await;
        let mut reasons = Vec::new();
        while reasons.len() < 2 {
            let letter = eventually("a dead letter", async || queue.dead_letter().await).await;
            let attributes = letter.message_attributes.expect("attributes");
            assert!(attributes["original-id"].string_value().is_some_and(|id| !id.is_empty()));
            reasons.push(attributes["reason"].string_value().unwrap_or_default().to_owned());
        }
        reasons.sort_unstable();
        assert_eq!(reasons, ["it was told to", "no CloudEvent in JSON (line 1, column 2)"], "{suffix}");

        queue.send("c", "4", &event("c", 0, json!({ "then": "fail" }))).await;
        let letter = eventually("what was received three times", async || queue.dead_letter().await).await;
        assert!(letter.body.expect("a body").contains("c/0"));
        assert_eq!(bench.effects("c").await, [0; 0]);
        is_empty(&queue).await;
    }
}

#[tokio::test]
async fn a_fifo_queue_keeps_the_order_itself() {
    let channel = Channel::open().await;
    let queue = channel.queue(".fifo").await;
    for sequence in 0..6 {
        for subject in ["a", "b"] {
            queue.send(subject, &format!("{subject}-{sequence}"), &plain(subject, sequence)).await;
        }
    }
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    consume(&bench, &queue).await;
    for subject in ["a", "b"] {
        bench.becomes(subject, &[0, 1, 2, 3, 4, 5]).await;
    }
    is_empty(&queue).await;
}

#[tokio::test]
async fn what_fails_in_a_fifo_queue_is_buried_before_its_successors() {
    let channel = Channel::open().await;
    let queue = channel.queue(".fifo").await;
    for sequence in 0..4 {
        let then = if sequence == 1 { json!({ "then": "fail" }) } else { json!({}) };
        queue.send("a", &sequence.to_string(), &event("a", sequence, then)).await;
    }
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    consume(&bench, &queue).await;
    bench.becomes("a", &[0, 2, 3]).await;
    let letter = eventually("a dead letter", async || queue.dead_letter().await).await;
    assert!(letter.body.expect("a body").contains("a/1"));
    is_empty(&queue).await;
    assert!(queue.dead_letter().await.is_none(), "no successor died with it");
}

#[tokio::test]
async fn a_fifo_queue_keeps_what_has_no_predecessor_for_as_many_receives_as_it_may() {
    let channel = Channel::open().await;
    let queue = channel.queue(".fifo").await;
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    queue.send("a", "1", &plain("a", 1)).await;
    consume(&bench, &queue).await;
    bench.becomes("a", &[1]).await;
    is_empty(&queue).await;
    let of = |series: &str| bench.counted(&series.replace("SOURCE", &format!(r#"source="{}""#, queue.name)));
    assert_eq!(of(r#"events_total{SOURCE,outcome="given_back"}"#), 1);
    assert_eq!(of("overtaken_total{SOURCE}"), 1);
    queue.send("a", "0", &plain("a", 0)).await;
    let letter = eventually("it is late", async || queue.dead_letter().await).await;
    assert!(letter.body.expect("a body").contains("a/0"));
}

#[tokio::test]
async fn events_that_wait_do_not_keep_all_others_out() {
    let channel = Channel::open().await;
    let queue = channel.queue("").await;
    let bench = Bench::new(channel.pool.clone(), Settings { concurrency: 2, most_held: 1, ..hasty() }).await;
    consume(&bench, &queue).await;
    for subject in ["a", "b", "c", "d"] {
        queue.send(subject, "", &plain(subject, 1)).await;
    }
    eventually("those that find no room are given back", async || {
        let series = format!(r#"events_total{{source="{}",outcome="given_back"}}"#, queue.name);
        (bench.counted(&series) > 0).then_some(())
    })
    .await;
    queue.send("e", "", &plain("e", 0)).await;
    bench.becomes("e", &[0]).await;
    assert_eq!(bench.counted(&format!(r#"waiting{{source="{}"}}"#, queue.name)), 1);
}

#[tokio::test]
async fn a_stop_deletes_what_was_handled_and_leaves_the_rest() {
    let channel = Channel::open().await;
    let queue = channel.queue("").await;
    let bench = Bench::new(channel.pool.clone(), hasty()).await;
    let mut gate = channel.pool.begin().await.expect("begin");
    sqlx::query("select pg_advisory_xact_lock(7)").execute(&mut *gate).await.expect("close the gate");
    queue.send("a", "", &event("a", 0, json!({ "then": "wait for the gate" }))).await;
    queue.send("b", "", &plain("b", 1)).await;
    let reader = consume(&bench, &queue).await;
    eventually("the handler is under way", async || {
        let held = bench.counted(&format!(r#"held_back_total{{source="{}"}}"#, queue.name));
        (bench.handler.tries.load(Ordering::SeqCst) == 1 && held == 1).then_some(())
    })
    .await;
    bench.stop.cancel();
    gate.commit().await.expect("open the gate");
    reader.await.expect("it ends");
    assert_eq!(bench.effects("a").await, [0]);
    assert_eq!(queue.messages().await, 1, "what waited comes again");
}
