//! Cancelling, while nothing was sent.

use holdfast_domain::Kind;
use holdfast_testkit::{Line, Options, Script, Stack, Submission, eventually};
use reqwest::StatusCode;
use serde_json::Value;

async fn cancel(stack: &Stack, submission: &Submission) -> (StatusCode, Value) {
    let answer = stack.request("POST", &format!("{}/cancel", submission.this)).send().await.expect("an answer");
    (answer.status(), answer.json().await.expect("a body"))
}

#[tokio::test]
async fn what_nobody_has_begun_is_cancelled_and_the_client_told() {
    for kind in Kind::ALL {
        let mut stack = Stack::with(Options::default()).await;
        let submission = stack.submit_as(kind, "c", "1.00").await;
        let (status, body) = cancel(&stack, &submission).await;
        assert_eq!((status, &body["status"]), (StatusCode::OK, &"cancelled".into()), "{kind}");
        // Its message arrives afterwards, and finds nothing to do.
        stack.start_worker();
        assert_eq!(stack.settled(&submission).await["status"], "cancelled");
        assert!(stack.at_partners(kind, &submission).iter().all(|book| book.requests == 0), "{kind}");
        let told: Vec<_> = stack.told(&submission).into_iter().map(|delivery| delivery.kind).collect();
        assert_eq!(told, [format!("{kind}.cancelled")]);
        assert_eq!(cancel(&stack, &submission).await.0, StatusCode::OK, "again");
        let trail = stack.trail(&submission).await;
        assert_eq!(trail[1]["type"], "cancelled", "{trail:?}");
    }
}

#[tokio::test]
async fn what_was_sent_or_has_ended_is_not_cancelled() {
    let script = Script::new([Line::Create(503, ""), Line::Create(201, r#"{"id": "p", "status": "completed"}"#)]);
    let mut stack = Stack::with(Options { partner: Some(script.router()), ..Options::default() }).await;
    stack.start_worker();
    let submission = stack.submit("c", "1.00").await;
    eventually("it waits for its second try", || async {
        let trail = stack.trail(&submission).await;
        trail.iter().any(|event| event["type"] == "waiting").then_some(())
    })
    .await;
    let (status, problem) = cancel(&stack, &submission).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &"/problems/not-cancellable".into()));
    assert_eq!(problem["detail"], "Something was sent to a partner");
    assert_eq!(stack.settled_in_time(&submission).await["status"], "completed");
    let (status, problem) = cancel(&stack, &submission).await;
    assert_eq!((status, &problem["detail"]), (StatusCode::CONFLICT, &"It is completed".into()));
    let nobody = Submission { id: String::new(), this: "/api/v1/orders/0189".to_owned() };
    assert_eq!(cancel(&stack, &nobody).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_cancelled_refund_gives_back_what_it_had_reserved() {
    let environment = vec![
        ("HOLDFAST__PARTNERS__TICKETING__BREAKER_FAILURES", "1".to_owned()),
        ("HOLDFAST__PARTNERS__TICKETING__BREAKER_OPEN_MS", "60000".to_owned()),
    ];
    let mut stack = Stack::with(Options { environment, ..Options::default() }).await;
    stack.start_worker();
    let transaction = stack.submit("t", "10.00").await;
    stack.settled(&transaction).await;
    stack.sandbox.set_down("ticketing", true);
    // The first one opens the breaker, the second is recorded and sends nothing.
    let (opens, waits) = (stack.refund("r1", "t", Some("1.00")).await, "r2");
    eventually("the breaker is open", || async {
        (stack.at_partners(Kind::Refund, &opens)[0].requests > 0).then_some(())
    })
    .await;
    let refund = stack.refund(waits, "t", Some("4.00")).await;
    let reserved = async || {
        let sum = sqlx::query_scalar::<_, i64>("select refunded from transactions");
        sum.fetch_one(&stack.pool).await.expect("a row")
    };
    eventually("it is recorded and postponed", || async {
        let trail = stack.trail(&refund).await;
        trail.iter().any(|event| event["type"] == "waiting").then_some(())
    })
    .await;
    assert_eq!(reserved().await, 500);
    assert_eq!(cancel(&stack, &refund).await.0, StatusCode::OK);
    assert_eq!(reserved().await, 100);
}

#[tokio::test]
async fn the_row_decides_the_race_with_the_workers() {
    let stack = Stack::start().await;
    let mut submissions = Vec::new();
    for n in 0..40 {
        let submission = stack.submit(&format!("c{n}"), "1.00").await;
        let (status, _) = cancel(&stack, &submission).await;
        submissions.push((submission, status));
    }
    for (submission, status) in &submissions {
        let settled = stack.settled(submission).await;
        let effects = stack.at_partner(submission).effects;
        match *status {
            StatusCode::OK => assert_eq!((&settled["status"], effects), (&"cancelled".into(), 0)),
            StatusCode::CONFLICT => assert_eq!((&settled["status"], effects), (&"completed".into(), 1)),
            other => panic!("{other}"),
        }
    }
}
