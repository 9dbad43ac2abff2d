//! Real aborts. After a restart: one effect, one final state, the client told.

use crate::every_kind::assert_whole;
use holdfast_domain::Kind;
use holdfast_testkit::{Options, Stack};
use reqwest::StatusCode;
use serde_json::json;

#[tokio::test]
async fn an_api_killed_after_its_commit_has_lost_nothing() {
    let mut stack = Stack::with(Options::default()).await;
    stack.stop_api().await;
    stack.start_api(&[("HOLDFAST_FAILPOINT", "accepted")]).await;
    let callback_url = format!("{}/callbacks", stack.inbox_url);
    let body = json!({ "transactionId": "k", "amount": "1.00", "currency": "EUR", "callbackUrl": callback_url });
    let answer = stack.request("POST", "/api/v1/transactions").json(&body).send().await;
    assert!(answer.is_err(), "nobody got a 202");
    assert!(stack.api_died().await);
    stack.start_api(&[]).await;
    let again = stack.post(&body).await;
    assert_eq!(again.status(), StatusCode::ACCEPTED);
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    let submission = stack.submit_body(&body).await;
    stack.start_worker();
    // Nothing was published: the relay finds the wakeup.
    assert_whole(&stack, Kind::Transaction, &submission, "accepted").await;
}

#[tokio::test]
async fn a_claim_of_a_killed_worker_is_freed_by_its_silence() {
    let mut stack = Stack::with(Options::default()).await;
    // .08 answers after three seconds: killed in the middle of the request.
    stack.start_worker();
    let submission = stack.submit("silence", "1.08").await;
    holdfast_testkit::eventually("the creation has arrived", || async {
        (stack.at_partner(&submission).requests == 1).then_some(())
    })
    .await;
    stack.kill_workers().await;
    stack.start_worker();
    // The clock is not moved: what frees the claim is the missing heartbeat, long before the lease of 30 s.
    assert_whole(&stack, Kind::Transaction, &submission, "silence").await;
    let trail = stack.trail(&submission).await;
    assert!(trail.iter().any(|event| event["type"] == "looked_up"), "{trail:?}");
    assert!(trail.iter().any(|event| event["takenOver"] == true), "{trail:?}");
}
