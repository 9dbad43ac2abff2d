//! The worker's own behaviour: messages that mislead, workers that compete, and ends in order.

use holdfast_devstack::sandbox::Sandbox;
use holdfast_domain::message;
use holdfast_domain::{ClientNo, Command, CommandId, CommandNo, Kind, Lane, json};
use holdfast_testkit::partner::slow_to;
use holdfast_testkit::{Options, Stack, Submission, eventually};
use std::time::Duration;

#[tokio::test]
async fn a_message_that_cannot_be_read_is_kept_with_the_reason() {
    let stack = Stack::start().await;
    stack.send_message(Kind::Transaction, "not even JSON").await;
    let (body, cause) = eventually("a dead letter", || async {
        let letter = sqlx::query_as::<_, (String, String)>("select body, cause from dead_letters");
        letter.fetch_optional(&stack.pool).await.expect("read")
    })
    .await;
    assert_eq!(body, "not even JSON");
    assert!(cause.contains("expected"), "{cause}");
}

#[tokio::test]
async fn a_whole_command_stands_in_for_a_missing_row() {
    let stack = Stack::start().await;
    let body = format!(
        r#"{{"transactionId":"ghost","amount":"1.00","currency":"EUR","callbackUrl":"{}/callbacks"}}"#,
        stack.inbox_url
    );
    let id = CommandId::compute(&stack.app.server_key, ClientNo(1), Kind::Transaction, "ghost");
    let command = Command {
        id,
        client: ClientNo(1),
        kind: Kind::Transaction,
        key: "ghost".to_owned(),
        header_key: None,
        fingerprint: json::parse(body.as_bytes()).expect("JSON").root.fingerprint(),
        body,
        traceparent: None,
        accepted_at: None,
    };
    // As after a failover that lost the commit: the number names nothing, or another command.
    let message = message::first(&stack.app.server_key, CommandNo(4711), command);
    stack.send_message(Kind::Transaction, &serde_json::to_string(&message).expect("serialises")).await;
    let this = format!("/api/v1/transactions/{id}");
    eventually("the row", || async { (stack.get(&this).await["createdAt"].is_string()).then_some(()) }).await;
    let submission = Submission { id: id.to_string(), this };
    assert_eq!(stack.settled(&submission).await["status"], "completed");
}

#[tokio::test]
async fn a_message_of_a_finished_command_does_nothing() {
    let stack = Stack::start().await;
    let submission = stack.submit("twice", "1.00").await;
    let settled = stack.settled(&submission).await;
    let no: i64 = sqlx::query_scalar("select no from commands").fetch_one(&stack.pool).await.expect("a row");
    let id = CommandId(submission.id.parse().expect("an id"));
    for lane in [Lane::Run, Lane::Tell, Lane::Run] {
        let nudge = message::nudge(CommandNo(no), id, Kind::Transaction, lane);
        stack.send_message(Kind::Transaction, &serde_json::to_string(&nudge).expect("serialises")).await;
    }
    let url = stack.queue_url("transactions").await;
    eventually("the queue is empty", || async {
        use aws_sdk_sqs::types::QueueAttributeName as Name;
        let names = [Name::ApproximateNumberOfMessages, Name::ApproximateNumberOfMessagesNotVisible];
        let request = stack.sqs.get_queue_attributes().queue_url(&url).set_attribute_names(Some(names.to_vec()));
        let attributes = request.send().await.ok()?.attributes?;
        attributes.values().all(|count| count == "0").then_some(())
    })
    .await;
    assert_eq!(stack.get(&submission.this).await, settled);
    assert_eq!(stack.at_partner(&submission).requests, 1);
    assert_eq!(stack.told(&submission).len(), 1);
}

#[tokio::test]
async fn two_workers_share_the_work_and_double_nothing() {
    let mut stack = Stack::start().await;
    stack.start_worker();
    let mut submissions = Vec::new();
    for n in 0..200 {
        submissions.push(stack.submit(&format!("two-{n}"), "1.00").await);
    }
    for submission in &submissions {
        assert_eq!(stack.settled(submission).await["status"], "completed");
        let book = stack.at_partner(submission);
        assert_eq!((book.requests, book.effects), (1, 1));
        assert_eq!(stack.told(submission).len(), 1);
    }
}

#[tokio::test]
async fn sigterm_lets_handlers_end_and_releases_what_waits() {
    let mut stack = Stack::start().await;
    // One is in the middle of a slow creation, one waits for its partner's decision.
    let slow = stack.submit("slow", "1.08").await;
    let waiting = stack.submit("waiting", "1.02").await;
    eventually("both are under way", || async {
        let both = stack.at_partner(&slow).requests == 1 && stack.at_partner(&waiting).requests == 1;
        both.then_some(())
    })
    .await;
    stack.stop_workers().await;
    let held: i64 = sqlx::query_scalar("select count(*) from wakeups where token is not null or dirty > 0")
        .fetch_one(&stack.pool)
        .await
        .expect("count");
    assert_eq!(held, 0, "everything was finished or released cleanly");
    let alive: i64 = sqlx::query_scalar("select count(*) from workers").fetch_one(&stack.pool).await.expect("count");
    assert_eq!(alive, 0);
    stack.start_worker();
    for submission in [&slow, &waiting] {
        assert_eq!(stack.settled(submission).await["status"], "completed");
        assert_eq!(stack.at_partner(submission).requests, 1);
    }
}

#[tokio::test]
async fn a_worker_that_was_declared_dead_goes_on_under_another_name() {
    let stack = Stack::start().await;
    let before = eventually("a heartbeat", || async { worker(&stack).await }).await;
    sqlx::query("delete from workers").execute(&stack.pool).await.expect("declare dead");
    eventually("another life", || async { worker(&stack).await.filter(|id| *id != before) }).await;
    let submission = stack.submit("reborn", "1.00").await;
    assert_eq!(stack.settled(&submission).await["status"], "completed");
}

async fn worker(stack: &Stack) -> Option<i64> {
    sqlx::query_scalar("select id from workers").fetch_optional(&stack.pool).await.expect("read")
}

#[tokio::test]
async fn the_trace_context_reaches_partner_message_and_callback() {
    let mut stack = Stack::with(Options::default()).await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let body = serde_json::json!({
        "transactionId": "traced", "amount": "1.00", "currency": "EUR",
        "callbackUrl": format!("{}/callbacks", stack.inbox_url),
    });
    let post = stack.request("POST", "/api/v1/transactions").header("traceparent", traceparent).json(&body);
    let response: serde_json::Value = post.send().await.expect("an answer").json().await.expect("a body");
    let url = stack.queue_url("transactions").await;
    eventually("the message carries it", || async {
        let request = stack.sqs.receive_message().queue_url(&url).message_attribute_names("All");
        let request = request.visibility_timeout(0).wait_time_seconds(1);
        let message = request.send().await.ok()?.messages?.pop()?;
        let attributes = message.message_attributes?;
        (attributes["traceparent"].string_value() == Some(traceparent)).then_some(())
    })
    .await;
    stack.start_worker();
    let id = response["id"].as_str().expect("an id").to_owned();
    let submission = Submission { this: format!("/api/v1/transactions/{id}"), id };
    stack.advance(Duration::from_secs(3)).await;
    stack.settled(&submission).await;
    assert_eq!(stack.told(&submission)[0].headers["traceparent"], traceparent);
}

#[tokio::test]
async fn nobody_is_given_up_unasked_because_the_partner_takes_few_at_once() {
    const COUNT: usize = 8;
    let sandbox = Sandbox::default();
    let partner = slow_to(sandbox.router(), "GET", Duration::from_millis(300));
    let environment = vec![("HOLDFAST__PARTNERS__PROCESSOR__POLL_FIRST_MS", "60000".to_owned())];
    let mut stack = Stack::with(Options { environment, partner: Some(partner), ..Options::default() }).await;
    stack.start_worker();
    let mut submissions = Vec::new();
    for n in 0..COUNT {
        submissions.push(stack.submit(&format!("t{n}"), "1.02").await);
    }
    let waiting = "select (select count(*) from wakeups where lane = 0 and step = 'settle' and token is null)
                        + (select count(*) from outcomes)";
    eventually("everybody has been asked about once", || async {
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&stack.pool).await.expect("count");
        (waiting == COUNT as i64).then_some(())
    })
    .await;
    stack.stop_workers().await;
    eventually("the partner has decided", || async {
        submissions.iter().all(|submission| sandbox.has_decided(&submission.id)).then_some(())
    })
    .await;
    // Nobody has asked for so long that the time of each is over.
    stack.advance(Duration::from_secs(24 * 3600)).await;
    stack.start_worker_with(&[("HOLDFAST__PARTNERS__PROCESSOR__CONCURRENCY", "1")]);
    for submission in &submissions {
        let settled = stack.settled_in_time(submission).await;
        assert_eq!(settled["status"], "completed", "{settled}");
    }
}
