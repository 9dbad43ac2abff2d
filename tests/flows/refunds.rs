//! Refunds: of our own transactions and of others, over several partners in order.

use holdfast_devstack::settings::REFUND_PARTNERS;
use holdfast_domain::Kind;
use holdfast_testkit::{Options, Stack, Submission, eventually};
use serde_json::{Value, json};

/// A stack with a completed transaction `t` of this amount.
async fn with_transaction(amount: &str) -> Stack {
    let stack = Stack::start().await;
    let transaction = stack.submit("t", amount).await;
    assert_eq!(stack.settled(&transaction).await["status"], "completed");
    stack
}

fn end(settled: &Value) -> (&str, &str) {
    (settled["status"].as_str().expect("text"), settled["reason"]["code"].as_str().unwrap_or_default())
}

/// What the transaction's row says is refunded, in minor units.
async fn refunded(stack: &Stack) -> i64 {
    sqlx::query_scalar("select refunded from transactions").fetch_one(&stack.pool).await.expect("a row")
}

#[tokio::test]
async fn every_partner_takes_part_in_order_and_is_to_be_seen() {
    let stack = with_transaction("10.00").await;
    let refund = stack.refund("r", "t", Some("4.00")).await;
    let settled = stack.settled(&refund).await;
    assert_eq!(end(&settled), ("completed", ""));
    let partners: Vec<_> = settled["partners"].as_array().expect("a list").iter().collect();
    let names: Vec<_> = partners.iter().map(|partner| partner["partner"].as_str().expect("text")).collect();
    assert_eq!(names, REFUND_PARTNERS);
    assert!(partners.iter().all(|partner| partner["state"] == "completed"));
    let trail = stack.trail(&refund).await;
    let created: Vec<_> = trail.iter().filter(|event| event["type"] == "created").collect();
    let order: Vec<_> = created.iter().map(|event| event["partner"].as_str().expect("text")).collect();
    assert_eq!(order, REFUND_PARTNERS);
    for book in stack.at_partners(Kind::Refund, &refund) {
        assert_eq!((&book.body["amount"], &book.body["transactionId"]), (&"4.00".into(), &"t".into()));
    }
    assert_eq!(refunded(&stack).await, 400);
}

/// JSON members of the same name would be read in two ways by two readers.
#[tokio::test]
async fn the_client_s_own_reason_is_not_that_of_the_end() {
    let stack = with_transaction("10.00").await;
    let url = format!("{}/callbacks", stack.inbox_url);
    let body = json!({ "refundId": "r", "transactionId": "nobody's", "reason": "broken", "callbackUrl": url });
    let refund = stack.submit_body_as(Kind::Refund, &body).await;
    let settled = stack.settled(&refund).await;
    assert_eq!((end(&settled), &settled["refundReason"]), (("failed", "transaction_not_found"), &"broken".into()));
    let told = &stack.told(&refund)[0].body;
    assert_eq!((told.matches(r#""reason":"#).count(), told.matches(r#""refundReason":"#).count()), (1, 1), "{told}");
    let answer = stack.request("GET", &refund.this).send().await.expect("an answer").text().await.expect("a body");
    assert_eq!(answer.matches(r#""reason":"#).count(), 1, "{answer}");
}

#[tokio::test]
async fn without_an_amount_all_that_is_left_is_refunded() {
    let stack = with_transaction("10.00").await;
    let part = stack.refund("r1", "t", Some("4.00")).await;
    assert_eq!(end(&stack.settled(&part).await), ("completed", ""));
    let rest = stack.refund("r2", "t", None).await;
    let settled = stack.settled(&rest).await;
    assert_eq!(end(&settled), ("completed", ""));
    assert_eq!((&settled["amount"], &settled["currency"]), (&"6.00".into(), &"EUR".into()));
    let nothing = stack.refund("r3", "t", None).await;
    assert_eq!(end(&stack.settled(&nothing).await), ("failed", "refund_exceeds_transaction"));
}

#[tokio::test]
async fn a_refund_that_cannot_be_is_failed_with_its_reason_and_nobody_is_asked() {
    let stack = with_transaction("10.00").await;
    let failed = stack.submit("failed", "1.06").await;
    assert_eq!(stack.settled(&failed).await["status"], "failed");
    let post = async |body: Value| {
        let answer = stack.post_as(Kind::Refund, &body).await;
        let accepted: Value = answer.json().await.expect("a body");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let submission = Submission { id: text(&accepted["id"]), this: text(&accepted["links"]["self"]) };
        let settled = stack.settled(&submission).await;
        assert!(stack.at_partners(Kind::Refund, &submission).iter().all(|book| book.requests == 0));
        let (status, code) = end(&settled);
        assert_eq!(status, "failed");
        code.to_owned()
    };
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    for (body, code) in [
        (r#"{"refundId": "1", "transactionId": "nobody's"}"#, "transaction_not_found"),
        (r#"{"refundId": "2", "transactionId": "failed"}"#, "transaction_not_completed"),
        (r#"{"refundId": "3", "transactionId": "t", "amount": "1", "currency": "USD"}"#, "refund_currency_mismatch"),
        (r#"{"refundId": "4", "transactionId": "t", "amount": "1.001"}"#, "refund_amount_invalid"),
        (r#"{"refundId": "5", "transactionId": "t", "amount": "10.01"}"#, "refund_exceeds_transaction"),
    ] {
        assert_eq!(post(json(body)).await, code);
    }
    assert_eq!(refunded(&stack).await, 0);
}

#[tokio::test]
async fn many_refunds_at_once_never_exceed_the_transaction() {
    let mut stack = with_transaction("10.00").await;
    stack.start_worker();
    let refunds = (0..60).map(|n| format!("r{n}")).collect::<Vec<_>>();
    let mut submissions = Vec::new();
    for refund in &refunds {
        submissions.push(stack.refund(refund, "t", Some("0.30")).await);
    }
    let mut completed = 0;
    for submission in &submissions {
        match end(&stack.settled(submission).await) {
            ("completed", "") => completed += 1,
            other => assert_eq!(other, ("failed", "refund_exceeds_transaction")),
        }
    }
    assert_eq!((completed, refunded(&stack).await), (33, 990));
}

#[tokio::test]
async fn a_failed_refund_gives_back_what_it_had_reserved() {
    let stack = with_transaction("10.00").await;
    let rejected = stack.refund("r1", "t", Some("9.06")).await;
    assert_eq!(end(&stack.settled(&rejected).await), ("failed", "rejected_by_partner"));
    assert_eq!(refunded(&stack).await, 0);
    let whole = stack.refund("r2", "t", Some("10.00")).await;
    assert_eq!(end(&stack.settled(&whole).await), ("completed", ""));
}

#[tokio::test]
async fn a_rejection_after_another_partner_has_done_its_part_needs_a_person() {
    let stack = with_transaction("10.00").await;
    stack.sandbox.set_rejecting("ledger", true);
    let refund = stack.refund("r", "t", Some("4.00")).await;
    let settled = stack.settled(&refund).await;
    assert_eq!(end(&settled), ("needs_attention", "partly_refunded"));
    let states: Vec<_> = settled["partners"].as_array().expect("a list").iter().map(|p| p["state"].clone()).collect();
    assert_eq!(states, ["completed", "completed", "rejected", "open"]);
    let detail = settled["reason"]["detail"].as_str().expect("text");
    assert!(detail.contains("done at ticketing, reservations; not at ledger"), "{detail}");
    // What was reserved stays reserved: some of it may have been paid out.
    assert_eq!(refunded(&stack).await, 400);
}

#[tokio::test]
async fn a_partner_that_is_down_burns_no_tries_while_its_breaker_is_open_and_holds_up_nobody() {
    let environment = vec![
        // So many are under way when it opens.
        ("HOLDFAST__PARTNERS__RESERVATIONS__CONCURRENCY", "2".to_owned()),
        ("HOLDFAST__PARTNERS__RESERVATIONS__BREAKER_FAILURES", "2".to_owned()),
        ("HOLDFAST__PARTNERS__RESERVATIONS__BREAKER_OPEN_MS", "500".to_owned()),
        ("HOLDFAST__PARTNERS__RESERVATIONS__TRY_DELAY_MS", "1000".to_owned()),
        ("HOLDFAST__PARTNERS__RESERVATIONS__TRIES", "1000".to_owned()),
    ];
    let mut stack = Stack::with(Options { environment, ..Options::default() }).await;
    stack.sandbox.set_down("reservations", true);
    stack.start_worker();
    let mut refunds = Vec::new();
    for n in 0..20 {
        refunds.push(stack.submit_as(Kind::Refund, &format!("r{n}"), "1.00").await);
    }
    eventually("everyone has been postponed", || async {
        let mut postponed = 0;
        for refund in &refunds {
            let trail = stack.trail(refund).await;
            let why = |event: &Value| event["why"].as_str().is_some_and(|why| why.contains("breaker"));
            postponed += usize::from(trail.iter().any(why));
        }
        (postponed == refunds.len()).then_some(())
    })
    .await;
    let transaction = stack.submit("meanwhile", "1.00").await;
    assert_eq!(stack.settled(&transaction).await["status"], "completed");
    stack.sandbox.set_down("reservations", false);
    for refund in &refunds {
        assert_eq!(end(&stack.settled_in_time(refund).await), ("completed", ""));
        assert!(stack.at_partners(Kind::Refund, refund).iter().all(|book| book.effects == 1));
    }
    // The breaker is one process's own: what came through while it was down are the first failures, and probes.
    let burnt: u32 = refunds.iter().map(|refund| stack.at_partners(Kind::Refund, refund)[1].requests - 1).sum();
    assert!(burnt < 20, "{burnt} requests went to a partner that was down");
}
