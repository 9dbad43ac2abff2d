//! SQS or Postgres goes away and comes back.

use holdfast_testkit::{Gate, Options, Stack, eventually};
use reqwest::StatusCode;
use serde_json::json;

#[tokio::test]
async fn with_sqs_unreachable_everything_is_accepted_and_later_completed() {
    let real = Stack::sqs_address();
    let gate = Gate::before(real).await;
    let sqs_url = Some(format!("http://{}", gate.address));
    let mut stack = Stack::with(Options { sqs_url, ..Options::default() }).await;
    gate.close();
    let mut submissions = Vec::new();
    for n in 0..100 {
        submissions.push(stack.submit(&format!("o-{n}"), "1.00").await);
    }
    // The worker cannot receive either: what is due it claims from Postgres.
    stack.start_worker();
    gate.open();
    for submission in &submissions {
        assert_eq!(stack.settled(submission).await["status"], "completed");
        assert_eq!(stack.at_partner(submission).effects, 1);
        assert_eq!(stack.told(submission).len(), 1);
    }
}

#[tokio::test]
async fn while_sqs_stays_away_work_goes_on() {
    let gate = Gate::before(Stack::sqs_address()).await;
    gate.close();
    let sqs_url = Some(format!("http://{}", gate.address));
    let mut stack = Stack::with(Options { sqs_url, ..Options::default() }).await;
    stack.start_worker();
    let submission = stack.submit("no-sqs", "1.00").await;
    assert_eq!(stack.settled(&submission).await["status"], "completed");
}

#[tokio::test]
async fn an_api_alone_publishes_what_is_overdue() {
    // Nobody else would: with no worker running there is no other relay.
    let gate = Gate::before(Stack::sqs_address()).await;
    gate.close();
    let overdue = ("HOLDFAST__WORKER__OVERDUE_MS", "100".to_owned());
    let sqs_url = Some(format!("http://{}", gate.address));
    let stack = Stack::with(Options { sqs_url, environment: vec![overdue], ..Options::default() }).await;
    stack.submit_body(&json!({ "transactionId": "a", "amount": "1.00", "currency": "EUR" })).await;
    gate.open();
    stack.advance(std::time::Duration::from_secs(10)).await;
    let url = stack.queue_url("transactions").await;
    eventually("a message in the queue", || async {
        let received = stack.sqs.receive_message().queue_url(&url).wait_time_seconds(1).send().await.ok()?;
        received.messages.filter(|messages| !messages.is_empty())
    })
    .await;
}

/// A host that vanishes sends no reset. Without a limit of our own every connection would wait for it for a quarter of an
/// hour, and long after it is back.
#[tokio::test]
async fn a_postgres_that_falls_silent_is_given_up_and_found_again() {
    let gate = Gate::before(Stack::postgres_address()).await;
    let environment = vec![
        ("HOLDFAST__DATABASE__STATEMENT_TIMEOUT_MS", "2000".to_owned()),
        ("HOLDFAST__DATABASE__ACQUIRE_TIMEOUT_MS", "2000".to_owned()),
    ];
    let mut stack =
        Stack::with(Options { database_address: Some(gate.address), environment, ..Options::default() }).await;
    stack.start_worker();
    let before = json!({ "transactionId": "before", "amount": "1.00", "currency": "EUR" });
    stack.submit_until_accepted(&before).await;

    gate.freeze();
    let body = json!({ "transactionId": "silent", "amount": "1.00", "currency": "EUR" });
    assert_eq!(stack.post(&body).await.status(), StatusCode::SERVICE_UNAVAILABLE);

    gate.open();
    let after = stack.submit_until_accepted(&body).await;
    assert_eq!(stack.settled(&after).await["status"], "completed");
}
