//! Events for others: every state change arrives at every sink that is configured, whatever fails in between.

mod endpoint;
mod failures;
mod http;
mod redis;
mod replay;

use aws_sdk_sqs::types::QueueAttributeName;
use endpoint::Endpoint;
use holdfast_domain::Kind;
use holdfast_testkit::{Options, Stack, Submission, eventually};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// A FIFO queue of this stack's own: its name, and its URL.
async fn queue(stack: &Stack) -> (String, String) {
    let name = format!("{}-events.fifo", stack.queues["orders"]);
    let url = create_queue(stack, &name).await;
    (name, url)
}

async fn create_queue(stack: &Stack, name: &str) -> String {
    let attributes = HashMap::from([(QueueAttributeName::FifoQueue, "true".to_owned())]);
    let created = stack.sqs.create_queue().queue_name(name).set_attributes(Some(attributes)).send().await;
    created.expect("create a queue").queue_url.expect("a URL")
}

/// Takes what is in the queue, and checks how it was sent.
async fn take(stack: &Stack, url: &str) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let asked =
            stack.sqs.receive_message().queue_url(url).max_number_of_messages(10).message_attribute_names("All");
        let messages = asked.send().await.expect("receive").messages.unwrap_or_default();
        if messages.is_empty() {
            return events;
        }
        for message in messages {
            let attributes = message.message_attributes.as_ref().expect("attributes");
            assert_eq!(attributes["content-type"].string_value(), Some("application/cloudevents+json"));
            events.push(serde_json::from_str(message.body().expect("a body")).expect("JSON"));
            let receipt = message.receipt_handle.expect("a receipt");
            stack.sqs.delete_message().queue_url(url).receipt_handle(receipt).send().await.expect("delete");
        }
    }
}

fn text<'a>(event: &'a Value, name: &str) -> &'a str {
    event[name].as_str().expect("a text")
}

/// What is known of one command, in the order in which it first came. Each is as every event must be, and none is missing.
fn about(events: &[Value], id: &str) -> Vec<Value> {
    let mut first: Vec<Value> = Vec::new();
    for event in events.iter().filter(|event| event["subject"] == id) {
        match first.iter().find(|known| known["id"] == event["id"]) {
            Some(known) => assert_eq!(known, event, "the same however often it comes"),
            None => first.push(event.clone()),
        }
    }
    for (sequence, event) in first.iter().enumerate() {
        assert_eq!(event["id"], format!("{id}/{sequence}"), "in order, and none is missing: {first:?}");
        assert_eq!((&event["sequence"], &event["partitionkey"]), (&json!(sequence.to_string()), &json!(id)));
        assert_eq!((&event["specversion"], &event["source"]), (&json!("1.0"), &json!("/holdfast")));
        let kind = text(&event["data"], "kind");
        assert_eq!(event["dataschema"], format!("/schemas/events/1/{kind}.json"));
        assert!(event["data"].get("callbackUrl").is_none());
    }
    first
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| text(event, "type")).collect()
}

/// Waits until the last event of each of these is there.
async fn ended(endpoint: &Endpoint, submissions: &[Submission]) -> Vec<Value> {
    eventually("every end is told", || async {
        let taken = endpoint.taken();
        let is_told = |submission: &&Submission| {
            taken.iter().any(|event| event["subject"] == submission.id && event["data"].get("finishedAt").is_some())
        };
        (submissions.iter().filter(is_told).count() == submissions.len()).then_some(taken)
    })
    .await
}

/// A worker that publishes to this endpoint.
fn to(endpoint: &Endpoint) -> [(&'static str, String); 3] {
    [
        ("HOLDFAST__EVENTS__SINKS__HOOK__TYPE", "http".to_owned()),
        ("HOLDFAST__EVENTS__SINKS__HOOK__URL", endpoint.url()),
        ("HOLDFAST__EVENTS__SINKS__HOOK__FROM", "beginning".to_owned()),
    ]
}

/// A stack whose binaries all know this sink, without a worker yet.
async fn stack(endpoint: &Endpoint) -> Stack {
    let faster = ("HOLDFAST__EVENTS__INTERVAL_MS", "50".to_owned());
    let environment = to(endpoint).into_iter().chain([faster]).collect();
    Stack::with(Options { environment, ..Options::default() }).await
}

#[tokio::test]
async fn each_kind_is_told_from_its_acceptance_to_its_end_at_two_sinks() {
    let endpoint = Endpoint::start().await;
    let mut stack = stack(&endpoint).await;
    let (name, url) = queue(&stack).await;
    stack.start_worker_with(&[
        ("HOLDFAST__EVENTS__SINKS__BUS__TYPE", "sqs"),
        ("HOLDFAST__EVENTS__SINKS__BUS__QUEUE", &name),
        ("HOLDFAST__EVENTS__SINKS__BUS__FROM", "beginning"),
        ("HOLDFAST__EVENTS__SINKS__BUS__KINDS", "refunds,orders"),
    ]);
    // The partner decides after a second: the client is told that it is pending, and so are others.
    let transaction = stack.submit("t", "9.02").await;
    let order = stack.submit_as(Kind::Order, "o", "7.50").await;
    let failed = stack.submit("f", "1.06").await;
    for submission in [&transaction, &order, &failed] {
        stack.settled(submission).await;
    }
    let refund = stack.refund("r", "t", None).await;
    stack.settled(&refund).await;
    let submissions = [transaction.clone(), order.clone(), failed.clone(), refund.clone()];
    let taken = ended(&endpoint, &submissions).await;

    let whole = about(&taken, &transaction.id);
    assert_eq!(types(&whole), ["transaction.accepted", "transaction.pending", "transaction.completed"]);
    let data = &whole[2]["data"];
    assert_eq!((&data["client"], &data["key"], &data["amount"]), (&json!("test"), &json!("t"), &json!("9.02")));
    let happened = whole.iter().flat_map(|event| event["data"]["happened"].as_array().expect("a list"));
    let happened: Vec<_> = happened.map(|entry| text(entry, "type")).collect();
    assert_eq!(happened[..2], ["recorded", "created"]);
    assert!(happened[2..].iter().all(|what| *what == "polled"), "{happened:?}");

    let whole = about(&taken, &failed.id);
    assert_eq!(types(&whole), ["transaction.accepted", "transaction.failed"]);
    assert_eq!(whole[1]["data"]["reason"]["code"], "rejected_by_partner");

    let whole = about(&taken, &refund.id);
    assert_eq!(types(&whole).first(), Some(&"refund.accepted"));
    assert_eq!(types(&whole).last(), Some(&"refund.completed"));
    let between = ["refund.processing", "refund.pending", "refund.progressed"];
    assert!(types(&whole)[1..whole.len() - 1].iter().all(|kind| between.contains(kind)), "{:?}", types(&whole));
    assert_eq!(whole[0]["data"].get("amount"), None, "all that is left, whatever that is");
    assert_eq!(whole.last().expect("an end")["data"]["amount"], "9.02", "which the step has found out");

    let seen = stack.get(&order.this).await;
    let end = about(&taken, &order.id).pop().expect("an end");
    for name in
        ["status", "orderId", "userId", "productName", "quantity", "totalPrice", "currency", "createdAt", "finishedAt"]
    {
        assert_eq!(end["data"][name], seen[name], "{name}: as a GET answers");
    }

    let mut at_queue: Vec<Value> = Vec::new();
    while !about(&at_queue, &refund.id).iter().any(|event| event["type"] == "refund.completed") {
        at_queue.extend(take(&stack, &url).await);
    }
    assert_eq!(about(&at_queue, &refund.id), about(&taken, &refund.id), "every sink gets the same");
    assert_eq!(about(&at_queue, &order.id), about(&taken, &order.id));
    assert!(about(&at_queue, &transaction.id).is_empty(), "only the kinds that it wants");
}

#[tokio::test]
async fn what_was_cancelled_rejected_parked_or_resolved_is_told_too() {
    let endpoint = Endpoint::start().await;
    let mut stack = stack(&endpoint).await;
    let cancelled = stack.submit("c", "1.00").await;
    let answer = stack.request("POST", &format!("{}/cancel", cancelled.this)).send().await.expect("an answer");
    assert!(answer.status().is_success());
    stack.start_worker();
    let parked = stack.submit("p", "1.13").await;
    stack.settled_in_time(&parked).await;
    let taken = ended(&endpoint, &[cancelled.clone(), parked.clone()]).await;
    assert_eq!(types(&about(&taken, &cancelled.id)), ["transaction.accepted", "transaction.cancelled"]);
    let whole = about(&taken, &parked.id);
    let first: Vec<_> = types(&whole).into_iter().take(3).collect();
    assert_eq!(first, ["transaction.accepted", "transaction.processing", "transaction.progressed"]);
    assert_eq!(types(&whole).last(), Some(&"transaction.failed"), "{whole:?}");
    assert_eq!(whole.last().expect("an end")["data"]["reason"]["code"], "partner_unavailable");
}

#[tokio::test]
async fn whoever_begins_now_is_not_told_what_was_before() {
    let endpoint = Endpoint::start().await;
    let mut stack = stack(&endpoint).await;
    let before = stack.submit("before", "1.00").await;
    stack.start_worker_with(&[("HOLDFAST__EVENTS__SINKS__HOOK__FROM", "now")]);
    stack.settled(&before).await;
    let begun = "select exists (select from event_sinks where token is not null)";
    eventually("somebody publishes", || async {
        sqlx::query_scalar::<_, bool>(begun).fetch_one(&stack.pool).await.ok()?.then_some(())
    })
    .await;
    let after = stack.submit("after", "1.00").await;
    stack.settled(&after).await;
    let taken = ended(&endpoint, std::slice::from_ref(&after)).await;
    assert_eq!(types(&about(&taken, &after.id)), ["transaction.accepted", "transaction.completed"]);
}

/// Lag and failures, as operators see them.
async fn sinks(stack: &Stack) -> BTreeMap<String, Value> {
    let shown = stack.as_operator(&["events", "sinks", "-o", "json"]).await;
    assert_eq!(shown.status, 0, "{shown:?}");
    shown.lines().into_iter().map(|sink| (text(&sink, "name").to_owned(), sink)).collect()
}

/// As long as a turn lasts that nobody keeps.
const TURN: Duration = Duration::from_secs(20);
