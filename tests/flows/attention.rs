//! Parked commands in the hands of operators.

use holdfast_domain::Kind;
use holdfast_testkit::{Line, Options, Script, Stack, Submission, eventually};
use serde_json::{Value, json};

const WHY: [&str; 4] = ["--why", "the partner has mended it", "--by", "tester"];

async fn is(stack: &Stack, submission: &Submission, status: &str) -> Value {
    eventually(status, || async {
        let resource = stack.get(&submission.this).await;
        (resource["status"] == status).then_some(resource)
    })
    .await
}

/// A refund of ours that is half done: one partner has refused it, the first ones have not.
async fn half_refunded() -> (Stack, Submission) {
    let stack = Stack::start().await;
    let transaction = stack.submit("t", "10.00").await;
    stack.settled(&transaction).await;
    stack.sandbox.set_rejecting("ledger", true);
    let refund = stack.refund("r", "t", Some("4.00")).await;
    assert_eq!(stack.settled(&refund).await["reason"]["code"], "partly_refunded");
    stack.sandbox.set_rejecting("ledger", false);
    (stack, refund)
}

#[tokio::test]
async fn what_is_retried_carries_on_where_it_was_and_looks_before_it_creates() {
    let (stack, refund) = half_refunded().await;
    let listed = stack.cli(&["attention", "list"]).await;
    assert!(listed.contains(&refund.id) && listed.contains("partly_refunded"), "{listed}");
    let words = ["attention", "retry", "--reason", "partly_refunded"];
    let planned = stack.cli(&[&words[..], &WHY, &["--dry-run"]].concat()).await;
    assert!(planned.starts_with("would carry on"), "{planned}");
    assert_eq!(stack.cli(&[&words[..], &WHY].concat()).await, "1 carried on\n");
    is(&stack, &refund, "completed").await;
    stack.settled(&refund).await;
    for book in stack.at_partners(Kind::Refund, &refund) {
        assert_eq!((book.effects, book.while_unknown), (1, 0));
    }
    let trail = stack.trail(&refund).await;
    let at = trail.iter().position(|event| event["type"] == "retried").expect("it is in the trail");
    assert_eq!((&trail[at]["by"], &trail[at]["why"]), (&json!("tester"), &json!(WHY[1])));
    assert!(trail[at..].iter().any(|event| event["type"] == "looked_up" && event["partner"] == "ledger"));
    assert_eq!(stack.cli(&["attention", "list"]).await, "");
}

#[tokio::test]
async fn what_is_resolved_as_failed_and_undone_gives_back_its_sum_and_the_client_is_told() {
    let (stack, refund) = half_refunded().await;
    stack.cli(&[&["attention", "resolve", &refund.id, "--as", "failed", "--undone"], &WHY[..]].concat()).await;
    let settled = stack.settled(&refund).await;
    assert_eq!((&settled["status"], &settled["reason"]["code"]), (&json!("failed"), &json!("resolved_by_operator")));
    let transaction = stack.refund("whole", "t", Some("10.00")).await;
    assert_eq!(stack.settled(&transaction).await["status"], "completed");
}

#[tokio::test]
async fn what_a_partner_has_refunded_cannot_be_refunded_again() {
    let (stack, refund) = half_refunded().await;
    stack.cli(&[&["attention", "resolve", &refund.id, "--as", "failed"], &WHY[..]].concat()).await;
    assert_eq!(stack.settled(&refund).await["status"], "failed");
    let whole = stack.refund("whole", "t", Some("10.00")).await;
    assert_eq!(stack.settled(&whole).await["reason"]["code"], "refund_exceeds_transaction");
}

#[tokio::test]
async fn what_is_resolved_as_completed_is_told_after_what_was_told_before() {
    let lines = [Line::Create(504, "")].into_iter().chain(vec![Line::LookUp(404, ""); 20]);
    let environment = vec![("HOLDFAST__PARTNERS__PROCESSOR__AT_MOST_ONCE", "true".to_owned())];
    let partner = Some(Script::new(lines).router());
    let mut stack = Stack::with(Options { environment, partner, ..Options::default() }).await;
    stack.start_worker();
    let submission = stack.submit("t", "1.00").await;
    assert_eq!(stack.settled_in_time(&submission).await["reason"]["code"], "outcome_unknown");
    stack.cli(&[&["attention", "resolve", &submission.id, "--as", "completed"], &WHY[..]].concat()).await;
    let settled = stack.settled(&submission).await;
    assert_eq!((&settled["status"], &settled["reason"]), (&json!("completed"), &Value::Null));
    let told: Vec<(String, i64)> = stack
        .told(&submission)
        .iter()
        .map(|delivery| {
            let event: Value = serde_json::from_str(&delivery.body).expect("JSON");
            (delivery.kind.clone(), event["sequence"].as_str().expect("text").parse().expect("a number"))
        })
        .collect();
    assert_eq!((told[0].0.as_str(), told[1].0.as_str()), ("transaction.needs_attention", "transaction.completed"));
    assert!(told[0].1 < told[1].1, "{told:?}");
}

#[tokio::test]
async fn a_webhook_that_contradicts_the_end_is_shown_and_changes_nothing() {
    let stack = Stack::start().await;
    let submission = stack.submit("t", "1.00").await;
    let settled = stack.settled(&submission).await;
    let body = json!({ "id": submission.id, "status": "failed", "reason": "no" }).to_string();
    assert!(stack.webhooks.send("processor", "evt_1", &body).await);
    assert_eq!(stack.settled(&submission).await, settled);
    let listed = stack.cli(&["attention", "list"]).await;
    assert!(listed.contains("contradicting_webhook") && listed.contains(&submission.id), "{listed}");
    let listed = stack.as_operator(&["attention", "list", "-o", "json"]).await.lines();
    let item = listed[0]["item"].to_string();
    stack.cli(&[&["attention", "close", &item], &WHY[..]].concat()).await;
    assert_eq!(stack.cli(&["attention", "list"]).await, "");
}

#[tokio::test]
async fn a_word_that_comes_after_an_operators_is_shown() {
    let (stack, refund) = half_refunded().await;
    stack.cli(&[&["attention", "resolve", &refund.id, "--as", "failed"], &WHY[..]].concat()).await;
    stack.settled(&refund).await;
    // Nobody knew how it had ended at the last partner, which was never asked.
    let body = json!({ "id": refund.id, "status": "completed" }).to_string();
    assert!(stack.webhooks.send("gateway", "evt_1", &body).await);
    let listed = stack.cli(&["attention", "list"]).await;
    assert!(listed.contains("gateway says completed") && listed.contains(&refund.id), "{listed}");
    // The partner repeats it: no other item.
    assert!(stack.webhooks.send("gateway", "evt_1", &body).await);
    assert_eq!(stack.cli(&["attention", "list"]).await, listed);
}
