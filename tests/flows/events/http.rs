//! Both modes of the HTTP binding of CloudEvents.

use super::{Endpoint, about, ended, stack, types};
use serde_json::json;

#[tokio::test]
async fn an_event_is_the_same_in_the_body_and_in_headers() {
    let endpoint = Endpoint::start().await;
    let mut stack = stack(&endpoint).await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let body = json!({
        "orderId": "o", "userId": "u", "productName": "Tee für zwei", "quantity": 1, "totalPrice": "7.50",
        "metadata": { "cart": 7 },
    });
    let request = stack.request("POST", "/api/v1/orders").header("traceparent", traceparent).json(&body);
    let order = holdfast_testkit::Stack::submission(request.send().await.expect("an answer")).await;
    stack.start_worker();
    stack.settled(&order).await;
    let structured = about(&ended(&endpoint, std::slice::from_ref(&order)).await, &order.id);
    assert_eq!(endpoint.content_type(), "application/cloudevents+json");
    assert_eq!(types(&structured), ["order.accepted", "order.completed"]);
    assert_eq!(
        (&structured[0]["traceparent"], &structured[0]["data"]["metadata"]["cart"]),
        (&json!(traceparent), &json!(7))
    );

    stack.stop_workers().await;
    let binary = Endpoint::start().await;
    stack.start_worker_with(&[
        ("HOLDFAST__EVENTS__SINKS__OTHER__TYPE", "http"),
        ("HOLDFAST__EVENTS__SINKS__OTHER__URL", &binary.url()),
        ("HOLDFAST__EVENTS__SINKS__OTHER__MODE", "binary"),
        ("HOLDFAST__EVENTS__SINKS__OTHER__TOKEN", "s3cret"),
        ("HOLDFAST__EVENTS__SINKS__OTHER__FROM", "beginning"),
    ]);
    let taken = ended(&binary, std::slice::from_ref(&order)).await;
    assert_eq!(about(&taken, &order.id), structured, "whenever it is made");
    assert_eq!(
        (binary.content_type(), binary.authorization()),
        ("application/json".into(), Some("Bearer s3cret".into()))
    );
}
