//! Orders: recorded, and fulfilled where somebody is configured to.

use holdfast_domain::Kind;
use holdfast_testkit::{Options, Stack};
use reqwest::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn an_order_is_recorded_and_fulfilled_with_what_the_client_said() {
    let stack = Stack::start().await;
    let body = json!({
        "orderId": "o-1", "userId": "u-1", "productName": "tea", "quantity": 3, "totalPrice": "10.5",
        "timestamp": "2026-01-31T12:00:00Z", "items": [{ "sku": "t" }],
    });
    let answer = stack.post_as(Kind::Order, &body).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let accepted: Value = answer.json().await.expect("a body");
    let path = accepted["links"]["self"].as_str().expect("text").to_owned();
    let this = holdfast_testkit::Submission { id: accepted["id"].as_str().expect("text").to_owned(), this: path };
    let order = stack.settled(&this).await;
    assert_eq!(order["status"], "completed");
    assert_eq!(
        (&order["totalPrice"], &order["currency"], &order["quantity"]),
        (&json!("10.50"), &json!("EUR"), &json!(3))
    );
    let fulfilled = &stack.at_partners(Kind::Order, &this)[0].body;
    assert_eq!(fulfilled["amount"], "10.50");
    assert_eq!(fulfilled["items"], json!([{ "sku": "t" }]));
    let rows: (String, i64, i64) = sqlx::query_as("select user_id, quantity, total_price from orders")
        .fetch_one(&stack.pool)
        .await
        .expect("a row");
    assert_eq!(rows, ("u-1".to_owned(), 3, 1050));
}

#[tokio::test]
async fn the_default_currency_is_fixed_when_the_order_is_accepted() {
    let mut stack = Stack::with(Options::default()).await;
    let order = stack.submit_as(Kind::Order, "o", "7.50").await;
    stack.stop_api().await;
    stack.start_api(&[("HOLDFAST__ORDERS__CURRENCY", "USD")]).await;
    stack.start_worker_with(&[("HOLDFAST__ORDERS__CURRENCY", "USD")]);
    assert_eq!(stack.settled(&order).await["currency"], "EUR");
    // The same order again, under another default, is the same order.
    let again = stack.submit_as(Kind::Order, "o", "7.50").await;
    assert_eq!(again.id, order.id);
}

#[tokio::test]
async fn with_nobody_to_fulfil_it_an_order_is_completed_when_recorded() {
    let environment = vec![("HOLDFAST__ORDERS__PARTNER", String::new())];
    let mut stack = Stack::with(Options { environment, ..Options::default() }).await;
    stack.start_worker();
    let submission = stack.submit_as(Kind::Order, "o", "7.50").await;
    let order = stack.settled(&submission).await;
    assert_eq!((&order["status"], &order["partners"]), (&json!("completed"), &json!([])));
    assert_eq!(stack.told(&submission).len(), 1);
}
