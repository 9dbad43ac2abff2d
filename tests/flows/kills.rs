//! Real aborts, at every step. After a restart: one effect, one final state, the client told.

use holdfast_app::failpoint::POINTS;
use holdfast_testkit::{Options, Stack, Submission};
use reqwest::StatusCode;
use serde_json::json;
use std::time::Duration;

/// Past every lease and every first retry.
const LATER: Duration = Duration::from_secs(60);

/// One effect if it is completed, at most one otherwise, told at least once, nothing sent while in doubt.
async fn assert_whole(stack: &Stack, submission: &Submission, point: &str) {
    let settled = stack.settled(submission).await;
    let book = stack.at_partner(submission);
    assert_eq!(settled["status"], "completed", "{point}");
    assert_eq!((book.effects, book.while_unknown), (1, 0), "{point}");
    let told = stack.told(submission);
    assert!(!told.is_empty(), "{point}: the client was told");
    let ids: std::collections::HashSet<_> = told.iter().map(|delivery| &delivery.headers["webhook-id"]).collect();
    assert_eq!(ids.len(), 1, "{point}: one state, one id");
    let outcomes: i64 =
        sqlx::query_scalar("select count(*) from outcomes").fetch_one(&stack.pool).await.expect("count");
    assert_eq!(outcomes, 1, "{point}");
    assert_trail_has_no_gaps(stack, submission, point).await;
}

async fn assert_trail_has_no_gaps(stack: &Stack, submission: &Submission, point: &str) {
    let trail = stack.trail(submission).await;
    let mut sequences: Vec<_> = trail.iter().map(|event| event["sequence"].as_i64().expect("a number")).collect();
    assert!(sequences.is_sorted(), "{point}");
    sequences.dedup();
    let expected: Vec<_> = (0..sequences.len() as i64).collect();
    assert_eq!(sequences, expected, "{point}: {trail:?}");
}

#[tokio::test]
async fn a_worker_killed_at_any_step_leaves_one_effect() {
    for point in POINTS.into_iter().filter(|point| *point != "accepted") {
        let mut stack = Stack::with(Options::default()).await;
        // A partner that does not dedupe: a missing lookup would be a second effect.
        stack.sandbox.set_dedupe(false);
        // The answer that is lost leads through the note.
        let amount = if point == "noted" { "1.04" } else { "1.00" };
        stack.start_worker_with(&[("HOLDFAST_FAILPOINT", point)]);
        let submission = stack.submit(point, amount).await;
        assert!(stack.worker_died().await, "{point}: killed by a signal");
        stack.advance(LATER).await;
        stack.start_worker();
        assert_whole(&stack, &submission, point).await;
    }
}

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
    assert_whole(&stack, &submission, "accepted").await;
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
    assert_whole(&stack, &submission, "silence").await;
    let trail = stack.trail(&submission).await;
    assert!(trail.iter().any(|event| event["type"] == "looked_up"), "{trail:?}");
    assert!(trail.iter().any(|event| event["takenOver"] == true), "{trail:?}");
}
