//! Partners that tell us by themselves.

use holdfast_devstack::settings::WEBHOOK_SECRET;
use holdfast_domain::Kind;
use holdfast_partners::signature::{show_secret, sign};
use holdfast_testkit::{Line, Options, Script, Stack, Submission, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use std::time::Duration;

const PENDING: &str = r#"{"id": "p1", "status": "pending"}"#;

/// A partner that says `pending` for ever, and asks are a minute apart from the second on.
pub(crate) async fn undecided(more: &[(&'static str, &str)]) -> Stack {
    let script = Script::new([Line::Create(201, PENDING)].into_iter().chain(vec![Line::LookUp(200, PENDING); 50]));
    let mut environment = vec![("HOLDFAST__PARTNERS__PROCESSOR__POLL_STEP_MS", "60000".to_owned())];
    environment.push(("HOLDFAST__PARTNERS__PROCESSOR__POLL_CAP_MS", "60000".to_owned()));
    environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let mut stack = Stack::with(Options { partner: Some(script.router()), environment, ..Options::default() }).await;
    stack.start_worker();
    stack
}

pub(crate) async fn is_pending(stack: &Stack, submission: &Submission) {
    eventually("it waits", || async {
        let waiting = "select count(*) from wakeups join commands using (no)
                        where id = $1::uuid and lane = 0 and token is null and run_at > holdfast_now()";
        let waiting: i64 = sqlx::query_scalar(waiting).bind(&submission.id).fetch_one(&stack.pool).await.ok()?;
        (waiting == 1).then_some(())
    })
    .await;
}

pub(crate) fn completed(id: &str) -> String {
    json!({ "id": id, "status": "completed" }).to_string()
}

/// Another implementation of the specification signs, as a partner's would. Answers the status.
pub(crate) async fn deliver(stack: &Stack, event_id: &str, at: i64, body: &str) -> StatusCode {
    deliver_as(stack, "processor", event_id, at, body).await
}

async fn deliver_as(stack: &Stack, partner: &str, event_id: &str, at: i64, body: &str) -> StatusCode {
    let webhook = Webhook::new(&show_secret(WEBHOOK_SECRET)).expect("a secret");
    let signature = webhook.sign(event_id, at, body.as_bytes()).expect("signs");
    let request = stack.request("POST", &format!("/api/v1/webhooks/{partner}")).body(body.to_owned());
    let request = request.header("webhook-id", event_id).header("webhook-timestamp", at);
    request.header("webhook-signature", signature).send().await.expect("an answer").status()
}

pub(crate) async fn database_time(stack: &Stack) -> i64 {
    let seconds = "select extract(epoch from holdfast_now())::bigint";
    sqlx::query_scalar(seconds).fetch_one(&stack.pool).await.expect("a time")
}

#[tokio::test]
async fn a_webhook_ends_the_polling_at_once() {
    let stack = undecided(&[]).await;
    let submission = stack.submit("t", "1.00").await;
    is_pending(&stack, &submission).await;
    let now = database_time(&stack).await;
    assert_eq!(deliver(&stack, "evt_1", now, &completed(&submission.id)).await, StatusCode::OK);
    // The next poll is a minute away, and the clock is not moved.
    let settled = stack.settled(&submission).await;
    assert_eq!(settled["status"], "completed");
    let trail = stack.trail(&submission).await;
    assert!(trail.iter().any(|event| event["type"] == "notified" && event["eventId"] == "evt_1"), "{trail:?}");
    // The same again, and another one that contradicts it: harmless.
    assert_eq!(deliver(&stack, "evt_1", now, &completed(&submission.id)).await, StatusCode::OK);
    let failed = json!({ "id": submission.id, "status": "failed", "reason": "no" }).to_string();
    assert_eq!(deliver(&stack, "evt_2", now, &failed).await, StatusCode::OK);
    assert_eq!(stack.settled(&submission).await, settled);
    assert_eq!(stack.told(&submission).len(), 1);
}

#[tokio::test]
async fn a_failure_by_webhook_is_the_end_with_the_partners_reason() {
    let stack = undecided(&[]).await;
    let submission = stack.submit("t", "1.00").await;
    is_pending(&stack, &submission).await;
    let failed = json!({ "id": submission.id, "status": "failed", "reason": "no funds" }).to_string();
    let now = database_time(&stack).await;
    assert_eq!(deliver(&stack, "evt_1", now, &failed).await, StatusCode::OK);
    let settled = stack.settled(&submission).await;
    let reason = json!({ "code": "failed_at_partner", "detail": "no funds" });
    assert_eq!((&settled["status"], &settled["reason"]), (&json!("failed"), &reason));
}

#[tokio::test]
async fn an_early_webhook_is_joined_later() {
    let lines = [Line::LookUp(404, ""), Line::Create(201, PENDING)];
    let script = Script::new(lines.into_iter().chain(vec![Line::LookUp(200, PENDING); 9]));
    let mut stack = Stack::with(Options { partner: Some(script.router()), ..Options::default() }).await;
    let submission = stack.submit("t", "1.00").await;
    let now = database_time(&stack).await;
    assert_eq!(deliver(&stack, "evt_1", now, &completed(&submission.id)).await, StatusCode::OK);
    stack.start_worker();
    assert_eq!(stack.settled(&submission).await["status"], "completed");
    assert_eq!(script.asked(), ["look up", "create"], "it was not sent yet, and then nobody had to be asked");
}

#[tokio::test]
async fn of_two_words_before_the_end_the_first_counts_and_the_other_is_shown() {
    let script = Script::new([Line::LookUp(404, ""), Line::Create(201, PENDING)]);
    let mut stack = Stack::with(Options { partner: Some(script.router()), ..Options::default() }).await;
    let submission = stack.submit("t", "1.00").await;
    let now = database_time(&stack).await;
    assert_eq!(deliver(&stack, "evt_1", now, &completed(&submission.id)).await, StatusCode::OK);
    let failed = json!({ "id": submission.id, "status": "failed", "reason": "no" }).to_string();
    assert_eq!(deliver(&stack, "evt_2", now, &failed).await, StatusCode::OK);
    assert_eq!(stack.cli(&["attention", "list"]).await, "", "it has not ended");
    stack.start_worker();
    assert_eq!(stack.settled(&submission).await["status"], "completed");
    let listed = stack.cli(&["attention", "list"]).await;
    let shown = "processor says failed (event evt_2), but it was completed";
    assert!(listed.contains(&submission.id) && listed.contains(shown), "{listed}");
}

#[tokio::test]
async fn a_late_webhook_takes_up_what_was_parked() {
    let stack = undecided(&[("HOLDFAST__PARTNERS__PROCESSOR__SETTLE_WITHIN_MS", "100")]).await;
    let submission = stack.submit("t", "1.00").await;
    let parked = stack.settled(&submission).await;
    assert_eq!(parked["reason"]["code"], "settlement_timeout");
    let now = database_time(&stack).await;
    assert_eq!(deliver(&stack, "evt_1", now, &completed(&submission.id)).await, StatusCode::OK);
    eventually("it is completed", || async {
        (stack.get(&submission.this).await["status"] == "completed").then_some(())
    })
    .await;
    stack.settled(&submission).await;
    let kinds: Vec<_> = stack.told(&submission).into_iter().map(|delivery| delivery.kind).collect();
    assert_eq!(kinds, ["transaction.needs_attention", "transaction.completed"]);
    let trail = stack.trail(&submission).await;
    let taken_up = trail.iter().find(|event| event["type"] == "retried").expect("others are told that it goes on");
    assert_eq!(taken_up["by"], "processor");
}

#[tokio::test]
async fn what_a_webhook_takes_up_again_does_not_get_a_new_lifetime_of_its_key() {
    let script = Script::new([Line::Create(503, ""), Line::LookUp(404, "")]);
    let environment = vec![("HOLDFAST__PARTNERS__PROCESSOR__KEY_LIFETIME_MS", "60000".to_owned())];
    let mut stack = Stack::with(Options { partner: Some(script.router()), environment, ..Options::default() }).await;
    stack.start_worker();
    let submission = stack.submit("t", "1.00").await;
    assert_eq!(stack.settled_in_time(&submission).await["reason"]["code"], "key_lifetime_over");
    let now = database_time(&stack).await;
    assert_eq!(deliver(&stack, "evt_1", now, &completed(&submission.id)).await, StatusCode::OK);
    eventually("it was looked at and parked again", || async { (stack.told(&submission).len() == 2).then_some(()) })
        .await;
    assert_eq!(stack.settled(&submission).await["reason"]["code"], "key_lifetime_over");
    assert_eq!(script.asked(), ["create", "look up"], "another creation could be a second one");
    // It is heard once.
    assert_eq!(deliver(&stack, "evt_1", now, &completed(&submission.id)).await, StatusCode::OK);
    assert_eq!(stack.settled(&submission).await["reason"]["code"], "key_lifetime_over");
    assert_eq!(stack.told(&submission).len(), 2);
}

/// A creation whose outcome is unknown, and a partner that has since forgotten it, or cannot be asked.
async fn in_doubt(then: Line) -> (Stack, Submission, Script) {
    let script = Script::new([Line::Create(504, "")].into_iter().chain(vec![then; 500]));
    let environment = [
        ("HOLDFAST__PARTNERS__PROCESSOR__KEY_LIFETIME_MS", "60000".to_owned()),
        ("HOLDFAST__PARTNERS__PROCESSOR__IDEMPOTENT", "false".to_owned()),
    ];
    let options = Options { partner: Some(script.router()), environment: environment.into(), ..Options::default() };
    let mut stack = Stack::with(options).await;
    stack.start_worker();
    let submission = stack.submit("t", "1.00").await;
    (stack, submission, script)
}

#[tokio::test]
async fn a_404_past_the_keys_lifetime_proves_nothing_but_a_webhook_does() {
    let (stack, submission, script) = in_doubt(Line::LookUp(404, "")).await;
    let parked = stack.settled_in_time(&submission).await;
    assert_eq!(
        (&parked["status"], &parked["reason"]["code"]),
        (&"needs_attention".into(), &"key_lifetime_over".into())
    );
    let now = database_time(&stack).await;
    assert_eq!(deliver(&stack, "evt_1", now, &completed(&submission.id)).await, StatusCode::OK);
    eventually("it is completed", || async {
        (stack.get(&submission.this).await["status"] == "completed").then_some(())
    })
    .await;
    assert_eq!(script.asked().iter().filter(|asked| **asked == "create").count(), 1);
}

#[tokio::test]
async fn a_webhook_ends_a_doubt_although_lookups_fail() {
    let (stack, submission, _) = in_doubt(Line::LookUp(500, "")).await;
    is_pending(&stack, &submission).await;
    let now = database_time(&stack).await;
    assert_eq!(deliver(&stack, "evt_1", now, &completed(&submission.id)).await, StatusCode::OK);
    assert_eq!(stack.settled(&submission).await["status"], "completed");
}

#[tokio::test]
async fn another_partners_webhook_does_not_take_up_what_was_parked() {
    let environment = vec![("HOLDFAST__PARTNERS__LEDGER__SETTLE_WITHIN_MS", "300".to_owned())];
    let mut stack = Stack::with(Options { environment, ..Options::default() }).await;
    stack.sandbox.set_undecided("ledger");
    stack.start_worker();
    let submission = stack.submit_as(Kind::Refund, "r", "1.00").await;
    assert_eq!(stack.settled(&submission).await["reason"]["code"], "settlement_timeout");
    let now = database_time(&stack).await;
    for (partner, event) in [("ticketing", "evt_1"), ("gateway", "evt_2")] {
        assert_eq!(deliver_as(&stack, partner, event, now, &completed(&submission.id)).await, StatusCode::OK);
        assert_eq!(stack.settled(&submission).await["status"], "needs_attention", "{partner}");
        assert_eq!(stack.told(&submission).len(), 1, "{partner}");
    }
    assert_eq!(deliver_as(&stack, "ledger", "evt_3", now, &completed(&submission.id)).await, StatusCode::OK);
    eventually("it is completed", || async {
        (stack.get(&submission.this).await["status"] == "completed").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_not_authentic_is_refused_and_changes_nothing() {
    let stack = undecided(&[]).await;
    let submission = stack.submit("t", "1.00").await;
    is_pending(&stack, &submission).await;
    let body = completed(&submission.id);
    let now = database_time(&stack).await;
    // Replayed much later, or from a clock far ahead.
    assert_eq!(deliver(&stack, "evt_1", now - 400, &body).await, StatusCode::UNAUTHORIZED);
    assert_eq!(deliver(&stack, "evt_1", now + 400, &body).await, StatusCode::UNAUTHORIZED);
    let post = async |partner: &str, secret: &[u8], signed: &str, sent: &str| {
        let request = stack.request("POST", &format!("/api/v1/webhooks/{partner}")).body(sent.to_owned());
        let request = request.header("webhook-id", "evt_1").header("webhook-timestamp", now);
        let signature = sign(secret, "evt_1", now, signed.as_bytes());
        request.header("webhook-signature", signature).send().await.expect("an answer").status()
    };
    let wrong = [9; 32];
    assert_eq!(post("processor", &wrong, &body, &body).await, StatusCode::UNAUTHORIZED);
    assert_eq!(post("processor", WEBHOOK_SECRET, "{}", &body).await, StatusCode::UNAUTHORIZED);
    assert_eq!(post("nobody", WEBHOOK_SECRET, &body, &body).await, StatusCode::NOT_FOUND);
    assert_eq!(post("processor", WEBHOOK_SECRET, "{", "{").await, StatusCode::BAD_REQUEST);
    let unsigned = stack.request("POST", "/api/v1/webhooks/processor").body(body).send().await.expect("an answer");
    assert_eq!(unsigned.status(), StatusCode::UNAUTHORIZED);
    let stored: i64 =
        sqlx::query_scalar("select count(*) from partner_updates").fetch_one(&stack.pool).await.expect("count");
    assert_eq!((stored, &stack.get(&submission.this).await["status"]), (0, &Value::from("pending")));
}

#[tokio::test]
async fn a_nudge_does_not_bring_the_next_try_forward() {
    let done = r#"{"id": "p1", "status": "completed"}"#;
    let script = Script::new([Line::Create(503, ""), Line::LookUp(404, ""), Line::Create(201, done)]);
    let mut stack = Stack::with(Options { partner: Some(script.router()), ..Options::default() }).await;
    stack.start_worker();
    let submission = stack.submit("t", "1.00").await;
    is_pending(&stack, &submission).await;
    let now = database_time(&stack).await;
    assert_eq!(deliver(&stack, "evt_1", now, &completed(&submission.id)).await, StatusCode::OK);
    eventually("the nudge was looked at", || async {
        let trail = stack.trail(&submission).await;
        (trail.iter().filter(|event| event["type"] == "waiting").count() >= 2).then_some(())
    })
    .await;
    assert_eq!(script.asked(), ["create", "look up"]);
    stack.advance(Duration::from_secs(121)).await;
    assert_eq!(stack.settled(&submission).await["status"], "completed");
    assert_eq!(script.asked(), ["create", "look up", "create"]);
}

#[tokio::test]
async fn the_sandbox_sends_webhooks_too() {
    let stack = Stack::start().await;
    for kind in Kind::ALL {
        let submission = stack.submit_as(kind, "w", "1.07").await;
        // Its lookups say nothing else before a webhook was taken.
        assert_eq!(stack.settled(&submission).await["status"], "completed", "{kind}");
    }
}
