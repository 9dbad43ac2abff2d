//! Commands with a time of their own: no partner is asked to carry out what has come too late.

use holdfast_devstack::settings::REFUND_PARTNERS;
use holdfast_domain::Kind;
use holdfast_testkit::{Line, Options, Script, Stack, Submission, eventually};
use serde_json::{Value, json};

const PAST: &str = "2020-01-01T00:00:00Z";

fn with_expiry(kind: Kind, expires_at: &str) -> Value {
    let mut body = match kind {
        Kind::Transaction => json!({ "transactionId": "late", "amount": "1.00", "currency": "EUR" }),
        Kind::Refund => {
            json!({ "refundId": "late", "originalReference": "a sale", "amount": "1.00", "currency": "EUR" })
        }
        Kind::Order => json!({
            "orderId": "late", "userId": "u", "productName": "tea", "quantity": 1, "totalPrice": "1.00",
        }),
    };
    body["expiresAt"] = expires_at.into();
    body
}

/// An hour from now by the database's clock.
async fn in_an_hour(stack: &Stack) -> String {
    let sql = "select to_char(holdfast_now() + interval '1 h', 'YYYY-MM-DD\"T\"HH24:MI:SSOF:00')";
    sqlx::query_scalar(sql).fetch_one(&stack.pool).await.expect("a time")
}

async fn submit(stack: &Stack, kind: Kind, body: &Value) -> Submission {
    stack.submit_body_as(kind, body).await
}

fn end(settled: &Value) -> (&str, &str) {
    (settled["status"].as_str().expect("text"), settled["reason"]["code"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_stale_command_of_any_kind_is_refused_and_no_partner_is_asked() {
    let stack = Stack::start().await;
    for kind in Kind::ALL {
        let submission = submit(&stack, kind, &with_expiry(kind, PAST)).await;
        let settled = stack.settled(&submission).await;
        assert_eq!(end(&settled), ("failed", "expired"), "{kind}");
        assert_eq!(settled["expiresAt"], PAST);
        assert!(stack.at_partners(kind, &submission).iter().all(|book| book.requests == 0), "{kind}");
    }
}

#[tokio::test]
async fn a_command_in_time_is_carried_out() {
    let stack = Stack::start().await;
    for kind in Kind::ALL {
        let submission = submit(&stack, kind, &with_expiry(kind, &in_an_hour(&stack).await)).await;
        assert_eq!(end(&stack.settled(&submission).await), ("completed", ""), "{kind}");
    }
}

#[tokio::test]
async fn a_stale_order_that_nobody_fulfils_is_refused_too() {
    let environment = vec![("HOLDFAST__ORDERS__PARTNER", String::new())];
    let mut stack = Stack::with(Options { environment, ..Options::default() }).await;
    stack.start_worker();
    let submission = submit(&stack, Kind::Order, &with_expiry(Kind::Order, PAST)).await;
    assert_eq!(end(&stack.settled(&submission).await), ("failed", "expired"));
}

/// The first creation's outcome is unknown, and the time runs out before the next one.
async fn unknown_then_stale(answers: &[Line]) -> (Script, Value) {
    let script = Script::new(answers.iter().cloned());
    let environment = vec![("HOLDFAST__PARTNERS__PROCESSOR__IDEMPOTENT", "false".to_owned())];
    let partner = Some(script.router());
    let mut stack = Stack::with(Options { environment, partner, ..Options::default() }).await;
    stack.start_worker();
    let body = with_expiry(Kind::Transaction, &in_an_hour(&stack).await);
    let submission = submit(&stack, Kind::Transaction, &body).await;
    eventually("it was looked up", || async { (script.asked().len() == 2).then_some(()) }).await;
    // Else its claim would be over in the middle of what it does: a takeover, with a lookup of its own.
    eventually("it waits", || async {
        let waits = "select token is null and run_at > holdfast_now() from wakeups where lane = 0";
        sqlx::query_scalar::<_, bool>(waits).fetch_one(&stack.pool).await.ok()?.then_some(())
    })
    .await;
    stack.advance(std::time::Duration::from_secs(7_200)).await;
    let settled = stack.settled_in_time(&submission).await;
    (script, settled)
}

#[tokio::test]
async fn what_may_stand_at_the_partner_is_looked_for_before_it_is_called_expired() {
    let nothing = || Line::LookUp(404, "");
    let lines = [Line::Create(504, ""), nothing(), nothing(), nothing(), nothing()];
    let (script, settled) = unknown_then_stale(&lines).await;
    assert_eq!(end(&settled), ("failed", "expired"));
    assert_eq!(script.asked(), ["create", "look up", "look up", "look up", "look up"], "no second creation");
}

#[tokio::test]
async fn what_stands_at_the_partner_after_all_is_not_expired() {
    let done = Line::LookUp(200, r#"{"id": "p-1", "status": "completed"}"#);
    let (_, settled) = unknown_then_stale(&[Line::Create(504, ""), Line::LookUp(404, ""), done]).await;
    assert_eq!(end(&settled), ("completed", ""));
}

#[tokio::test]
async fn a_refund_that_one_partner_has_carried_out_goes_on() {
    let mut stack = Stack::with(Options::default()).await;
    stack.sandbox.set_down(REFUND_PARTNERS[1], true);
    stack.start_worker();
    let body = with_expiry(Kind::Refund, &in_an_hour(&stack).await);
    let submission = submit(&stack, Kind::Refund, &body).await;
    eventually("the second partner was asked", || async {
        (stack.at_partners(Kind::Refund, &submission)[1].requests > 0).then_some(())
    })
    .await;
    stack.sandbox.set_down(REFUND_PARTNERS[1], false);
    stack.advance(std::time::Duration::from_secs(7_200)).await;
    assert_eq!(end(&stack.settled_in_time(&submission).await), ("completed", ""));
}
