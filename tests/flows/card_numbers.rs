//! Card numbers are refused before anything of them is kept, by whichever path a command comes.

use crate::dead_letters::command;
use holdfast_domain::Kind;
use holdfast_domain::journal::Entry;
use holdfast_testkit::{Gate, Options, Stack, eventually};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

/// A test number of Visa's, as the schemes publish them.
const CARD: &str = "4242424242424242";

async fn errors(answer: Response) -> (StatusCode, Vec<Value>) {
    let status = answer.status();
    let text = answer.text().await.expect("a body");
    assert!(!text.contains(CARD) && !text.contains("4242 4242"), "{text}");
    let body: Value = serde_json::from_str(&text).expect("JSON");
    (status, body["errors"].as_array().cloned().unwrap_or_default())
}

/// Rows in all tables that hold anything of a client's.
async fn kept(stack: &Stack) -> i64 {
    let kept =
        "select (select count(*) from commands) + (select count(*) from wakeups) + (select count(*) from dead_letters)";
    sqlx::query_scalar(kept).fetch_one(&stack.pool).await.expect("a number")
}

#[tokio::test]
async fn a_card_number_is_refused_wherever_it_stands() {
    let mut stack = Stack::with(Options::default()).await;
    let transaction = json!({ "transactionId": "t", "amount": "1.00", "currency": "EUR" });
    let order = json!({ "orderId": "o", "userId": "u", "productName": "tea", "quantity": 1, "totalPrice": "1.00" });
    let refund = json!({ "refundId": "r", "transactionId": "t" });
    let by_reference = json!({ "refundId": "r", "amount": "1.00", "currency": "EUR" });
    for (kind, body, name, value, pointer) in [
        (Kind::Transaction, &transaction, "description", json!("paid with 4242 4242 4242 4242"), "/description"),
        (Kind::Transaction, &transaction, "metadata", json!({ "a": [{ "pan": CARD }] }), "/metadata/a/0/pan"),
        (Kind::Transaction, &transaction, "metadata", json!({ "pan": 4_242_424_242_424_242_u64 }), "/metadata/pan"),
        (Kind::Transaction, &transaction, "metadata", json!({ CARD: 1 }), "/metadata"),
        (Kind::Transaction, &transaction, "transactionId", json!(CARD), "/transactionId"),
        (Kind::Order, &order, "productName", json!("4242-4242-4242-4242"), "/productName"),
        (Kind::Order, &order, "userId", json!(CARD), "/userId"),
        (Kind::Order, &order, "items", json!([{ "note": CARD }]), "/items/0/note"),
        (Kind::Order, &order, "userId", json!("4242 4242 4242 4242"), "/userId"),
        (
            Kind::Refund,
            &by_reference,
            "originalReference",
            json!("sale 7, card 4242 4242 4242 4242"),
            "/originalReference",
        ),
        (
            Kind::Transaction,
            &transaction,
            "callbackUrl",
            json!(format!("https://x.example/a?c={CARD}")),
            "/callbackUrl",
        ),
        (Kind::Refund, &refund, "reason", json!("４２４２４２４２４２４２４２４２"), "/reason"),
    ] {
        let mut body = body.clone();
        body[name] = value;
        let (status, errors) = errors(stack.post_as(kind, &body).await).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!((errors.len(), &errors[0]["pointer"]), (1, &json!(pointer)), "{body}");
        assert!(errors[0]["detail"].as_str().expect("text").contains("never send card data"), "{body}");
    }
    let under = stack.request("POST", "/api/v1/transactions").header("idempotency-key", CARD);
    let (status, errors) =
        errors(under.json(&json!({ "amount": 1, "currency": "EUR" })).send().await.expect("it")).await;
    assert_eq!((status, &errors[0]["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("")));
    assert_eq!(kept(&stack).await, 0);
    // Ids that a program counts are not card numbers, because of what is around them or how long they are.
    for id in ["order-4242424242424242", "1763780000000", "4242424242424242-1"] {
        stack.submit(id, "1.00").await;
    }
    stack.stop_api().await;
    assert!(!stack.log("holdfast-api").contains(CARD));
}

#[tokio::test]
async fn what_was_accepted_before_there_was_such_a_rule_can_be_repeated() {
    let mut stack = Stack::start().await;
    let mut before = command(&stack, "t");
    before.body = before.body.replace('}', &format!(r#","description":"{CARD}"}}"#));
    before.fingerprint = holdfast_domain::json::parse(before.body.as_bytes()).expect("JSON").root.fingerprint();
    let (id, text) = (before.id.to_string(), before.body.clone());
    let entry = Entry::Command { command: before }.into_message(&stack.app.server_key);
    let url = stack.queue_url("journal").await;
    stack.sqs.send_message().queue_url(url).message_body(json!(entry).to_string()).send().await.expect("send");
    eventually("it is written", || async { (kept(&stack).await > 0).then_some(()) }).await;
    let mut body: Value = serde_json::from_str(&text).expect("JSON");
    let answer = stack.post(&body).await;
    assert_eq!(
        (answer.status(), &answer.headers()["idempotent-replayed"]),
        (StatusCode::ACCEPTED, &"true".parse().expect("a value"))
    );
    assert_eq!(answer.json::<Value>().await.expect("a body")["id"], id);
    body["amount"] = "2.00".into();
    assert_eq!(errors(stack.post(&body).await).await.0, StatusCode::UNPROCESSABLE_ENTITY, "other content");
    stack.stop_api().await;
    assert!(!stack.log("holdfast-api").contains(CARD));
}

#[tokio::test]
async fn nothing_of_it_is_kept_while_postgres_is_down_either() {
    let gate = Gate::before(Stack::postgres_address()).await;
    let stack = Stack::with(Options { database_address: Some(gate.address), ..Options::default() }).await;
    let body =
        |description: &str| json!({ "transactionId": "t", "amount": 1, "currency": "EUR", "description": description });
    // The API must have seen its client before.
    assert_eq!(stack.post(&body(CARD)).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    gate.close();
    eventually("the journal accepts", || async {
        let answer = stack.post(&body("tea")).await;
        (answer.headers().get("holdfast-accepted-by")? == "queue").then_some(())
    })
    .await;
    // It may be a repetition of what was accepted before there was such a rule: nobody can say that now.
    assert_eq!(errors(stack.post(&body(CARD)).await).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let url = stack.queue_url("journal").await;
    let received = stack.sqs.receive_message().queue_url(&url).max_number_of_messages(10).send().await;
    let messages = received.expect("received").messages.unwrap_or_default();
    let bodies: Vec<_> = messages.iter().filter_map(|message| message.body.clone()).collect();
    assert!(bodies.iter().any(|body| body.contains("tea")), "{bodies:?}");
    assert!(bodies.iter().all(|body| !body.contains(CARD)), "{bodies:?}");
}
