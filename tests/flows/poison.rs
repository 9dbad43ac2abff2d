//! A command that kills every worker, and its neighbours.

use holdfast_testkit::{Options, Stack, eventually};
use std::time::Duration;

const POISONED: [(&str, &str); 1] = [("HOLDFAST_FAILPOINT", "before_create=poison")];

#[tokio::test]
async fn what_kills_every_worker_is_parked_and_its_neighbours_are_not() {
    let mut stack = Stack::with(Options::default()).await;
    let poison = stack.submit("poison", "1.00").await;
    let mut neighbours = Vec::new();
    for n in 0..10 {
        neighbours.push(stack.submit(&format!("n-{n}"), "1.00").await);
    }
    let mut deaths = 0;
    stack.start_worker_with(&POISONED);
    while stack.get(&poison.this).await["status"] != "needs_attention" {
        if stack.worker_runs() {
            holdfast_app::pause(Duration::from_millis(20)).await;
            continue;
        }
        assert!(stack.worker_died().await, "killed by a signal");
        deaths += 1;
        assert!(deaths < 20, "it is never parked");
        stack.advance(Duration::from_secs(60)).await;
        stack.start_worker_with(&POISONED);
    }
    assert_eq!(deaths, 8, "twice beside others, three times beside other suspects, three times alone");
    let parked = stack.settled(&poison).await;
    assert_eq!(parked["reason"]["code"], "handler_keeps_failing");
    assert_eq!(stack.told(&poison)[0].kind, "transaction.needs_attention");
    for neighbour in &neighbours {
        assert_eq!(stack.settled_in_time(neighbour).await["status"], "completed");
        assert_eq!(stack.at_partner(neighbour).effects, 1);
    }
}

#[tokio::test]
async fn a_handler_that_fails_without_having_sent_anything_is_tried_again_and_then_parked() {
    let mut stack = Stack::with(Options::default()).await;
    // No such partner: an internal error each time.
    let submission = stack.submit("t", "1.00").await;
    stack.start_worker_with(&[
        ("HOLDFAST__TRANSACTIONS__PARTNER", "other"),
        ("HOLDFAST__PARTNERS__OTHER__BASE_URL", "http://127.0.0.1:9"),
    ]);
    eventually("it is recorded for the other partner", || async {
        sqlx::query_scalar::<_, i64>("select no from transactions").fetch_optional(&stack.pool).await.ok()?
    })
    .await;
    stack.stop_workers().await;
    stack.start_worker();
    let parked = stack.settled_in_time(&submission).await;
    assert_eq!(parked["reason"]["code"], "handler_keeps_failing");
    assert_eq!(stack.at_partner(&submission).requests, 0);
    // Its message was left to SQS each time, and nothing is doubtful: it was never sent.
    let trail = stack.trail(&submission).await;
    assert!(trail.iter().all(|event| event["takenOver"] != true), "{trail:?}");
}
