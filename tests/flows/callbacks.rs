//! Telling the client.

use holdfast_testkit::{Options, Stack, Submission, eventually};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use std::time::Duration;

async fn submit_to(stack: &Stack, path: &str) -> Submission {
    let callback_url = format!("{}{path}", stack.inbox_url);
    let body = json!({ "transactionId": path, "amount": "1.00", "currency": "EUR", "callbackUrl": callback_url });
    stack.submit_body(&body).await
}

#[tokio::test]
async fn a_callback_verifies_with_the_standard_library_and_says_what_get_says() {
    let stack = Stack::start().await;
    let submission = submit_to(&stack, "/callbacks").await;
    let settled = stack.settled(&submission).await;
    let told = stack.told(&submission);
    assert_eq!(told.len(), 1);
    let headers: http::HeaderMap = (&told[0].headers).try_into().expect("headers");
    let webhook = Webhook::new(&stack.callback_secret).expect("a secret");
    webhook.verify(told[0].body.as_bytes(), &headers).expect("the signature is right");
    assert_eq!(headers["content-type"], "application/cloudevents+json");

    let event: Value = serde_json::from_str(&told[0].body).expect("JSON");
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "transaction.completed");
    assert_eq!(event["id"], told[0].headers["webhook-id"]);
    assert_eq!(event["sequence"], "1");
    assert_eq!(event["data"], settled);
}

#[tokio::test]
async fn a_failed_attempt_is_repeated_under_the_same_id() {
    let stack = Stack::start().await;
    let submission = submit_to(&stack, "/flaky/2").await;
    for attempt in 1..=2 {
        eventually("an attempt", || async { (stack.told(&submission).len() == attempt).then_some(()) }).await;
        eventually("the wait is written", || async {
            let tries = sqlx::query_scalar::<_, i16>("select tries from wakeups where token is null");
            let tries = tries.fetch_optional(&stack.pool).await.expect("read");
            (tries == i16::try_from(attempt).ok()).then_some(())
        })
        .await;
        stack.advance(Duration::from_secs(3600)).await;
    }
    stack.settled(&submission).await;
    let told = stack.told(&submission);
    let statuses: Vec<_> = told.iter().map(|delivery| delivery.status).collect();
    assert_eq!(statuses, [500, 500, 200]);
    let ids: std::collections::HashSet<_> = told.iter().map(|delivery| &delivery.headers["webhook-id"]).collect();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn a_410_ends_the_telling() {
    let stack = Stack::start().await;
    let submission = submit_to(&stack, "/status/410").await;
    let settled = stack.settled(&submission).await;
    assert_eq!((settled["status"].as_str(), stack.told(&submission).len()), (Some("completed"), 1));
    let trail = stack.trail(&submission).await;
    assert_eq!(trail.last().expect("events")["type"], "callback_given_up");
}

#[tokio::test]
async fn the_schedule_has_an_end_and_a_redirect_is_a_failure() {
    let schedule = ("HOLDFAST__CALLBACKS__SCHEDULE_MS", "1,1".to_owned());
    let mut stack = Stack::with(Options { environment: vec![schedule], ..Options::default() }).await;
    stack.start_worker();
    let submission = submit_to(&stack, "/status/302").await;
    stack.settled(&submission).await;
    assert_eq!(stack.told(&submission).len(), 3);
    let trail = stack.trail(&submission).await;
    assert_eq!(trail.last().expect("events")["why"], "the schedule has ended");
}

#[tokio::test]
async fn the_clients_own_endpoint_is_used_where_the_command_names_none() {
    let stack = Stack::start().await;
    let set = "update clients set callback_url = $1";
    let url = format!("{}/callbacks", stack.inbox_url);
    sqlx::query(set).bind(url).execute(&stack.pool).await.expect("set the endpoint");
    let body = json!({ "transactionId": "default", "amount": "1.06", "currency": "EUR" });
    let submission = stack.submit_body(&body).await;
    stack.settled(&submission).await;
    let event: Value = serde_json::from_str(&stack.told(&submission)[0].body).expect("JSON");
    assert_eq!(event["type"], "transaction.failed");
    assert_eq!(event["data"]["reason"]["code"], "rejected_by_partner");
}

#[tokio::test]
async fn nobody_is_told_where_there_is_no_endpoint() {
    let stack = Stack::start().await;
    let submission = stack.submit_body(&json!({ "transactionId": "mute", "amount": "1.00", "currency": "EUR" })).await;
    assert_eq!(stack.settled(&submission).await["status"], "completed");
    assert!(stack.told(&submission).is_empty());
}

#[tokio::test]
async fn a_client_is_told_that_its_command_is_pending_and_then_of_the_end() {
    let stack = Stack::start().await;
    let submission = stack.submit("p", "1.02").await;
    let settled = stack.settled(&submission).await;
    assert_eq!(settled["status"], "completed");
    let (pending, end) = (stack.told_pending(&submission), stack.told(&submission));
    assert_eq!((pending.len(), end.len()), (1, 1));
    let sequence = |delivery: &holdfast_devstack::inbox::Delivery| {
        let event: Value = serde_json::from_str(&delivery.body).expect("JSON");
        event["sequence"].as_str().expect("text").parse::<i32>().expect("a number")
    };
    assert!(sequence(&pending[0]) < sequence(&end[0]));
    let event: Value = serde_json::from_str(&pending[0].body).expect("JSON");
    assert_eq!((&event["type"], &event["data"]["status"]), (&json!("transaction.pending"), &json!("pending")));
    let trail = stack.trail(&submission).await;
    let attempts: Vec<_> = trail.iter().filter(|event| event["type"] == "callback_attempted").collect();
    assert_eq!(attempts.len(), 2, "{trail:?}");
}

#[tokio::test]
async fn a_pending_state_that_could_not_be_told_is_superseded_by_the_end() {
    let stack = Stack::start().await;
    // Each event's first attempt fails: that of the pending state is not repeated once the end is known.
    let callback_url = format!("{}/flaky/1", stack.inbox_url);
    let body = json!({ "transactionId": "p", "amount": "1.02", "currency": "EUR", "callbackUrl": callback_url });
    let submission = stack.submit_body(&body).await;
    assert_eq!(stack.settled_in_time(&submission).await["status"], "completed");
    let statuses = |deliveries: Vec<holdfast_devstack::inbox::Delivery>| {
        deliveries.iter().map(|delivery| delivery.status).collect::<Vec<_>>()
    };
    assert_eq!(statuses(stack.told_pending(&submission)), [500]);
    assert_eq!(statuses(stack.told(&submission)), [500, 200]);
}
