//! One trace from a client's request to its callback, across processes and queues; and none where nobody wants one.

use holdfast_domain::Kind;
use holdfast_testkit::{Collector, Options, Stack, Submission};
use serde_json::{Value, json};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";

async fn stack(collector: &Collector, more: &[(&'static str, &str)]) -> Stack {
    let mut environment = collector.environment();
    environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let mut stack = Stack::with(Options { environment, ..Options::default() }).await;
    stack.start_worker();
    stack
}

/// Submits it as a part of somebody's trace, and waits until its client is told.
async fn submit(stack: &Stack, kind: Kind, body: &Value, traceparent: Option<&str>) -> Submission {
    let request = stack.request("POST", &format!("/api/v1/{}", kind.plural())).json(body);
    let request = match traceparent {
        Some(traceparent) => request.header("traceparent", traceparent),
        None => request,
    };
    let submission = Stack::submission(request.send().await.expect("an answer")).await;
    stack.settled(&submission).await;
    submission
}

fn transaction(stack: &Stack, key: &str, endpoint: &str) -> Value {
    let url = format!("{}/{endpoint}", stack.inbox_url);
    json!({ "transactionId": key, "amount": "1.00", "currency": "EUR", "callbackUrl": url })
}

/// What has ended by now is exported before the processes end.
async fn stop(stack: &mut Stack) {
    stack.stop_workers().await;
    stack.stop_api().await;
}

#[tokio::test]
async fn a_trace_leads_from_the_request_to_the_callback() {
    let collector = Collector::start().await;
    let mut stack = stack(&collector, &[]).await;
    let body = transaction(&stack, "traced", "callbacks");
    let submission = submit(&stack, Kind::Transaction, &body, Some(&format!("00-{TRACE}-{CLIENT}-01"))).await;
    stop(&mut stack).await;

    let queue = &stack.queues["transactions"];
    let served = collector.span("POST /api/v1/transactions");
    let sent = collector.span(&format!("send {queue}"));
    let processed = collector.span(&format!("process {queue}"));
    let asked = collector.span("POST /transactions");
    let told = collector.span("POST callback");
    let submitted = collector.span("submit");
    for (span, service, kind, parent) in [
        (&served, "holdfast-api", "Server", CLIENT),
        (&sent, "holdfast-api", "Producer", &served.id),
        (&processed, "holdfast-worker", "Consumer", &sent.id),
        (&collector.span("record"), "holdfast-worker", "Internal", &processed.id),
        (&submitted, "holdfast-worker", "Internal", &processed.id),
        (&asked, "holdfast-worker", "Client", &submitted.id),
        (&collector.span("settle"), "holdfast-worker", "Internal", &processed.id),
        (&collector.span("finish"), "holdfast-worker", "Internal", &processed.id),
        (&told, "holdfast-worker", "Client", &processed.id),
    ] {
        assert_eq!((&*span.service, &*span.kind, &*span.parent), (service, kind, parent), "{}", span.name);
    }
    for span in collector.spans() {
        assert_eq!(span.trace, TRACE, "{}", span.name);
    }
    for (span, name, value) in [
        (&served, "http.response.status_code", "202"),
        (&served, "command.id", &*submission.id),
        (&sent, "messaging.destination.name", queue),
        (&processed, "outcome", "completed"),
        (&asked, "partner", "processor"),
        (&asked, "server.address", "127.0.0.1"),
        (&told, "http.response.status_code", "200"),
    ] {
        assert_eq!(span.attributes.get(name).map(String::as_str), Some(value), "{}: {name}", span.name);
    }
    let heard = &stack.told(&submission)[0].headers["traceparent"];
    assert_eq!(*heard, format!("00-{TRACE}-{}-01", told.id));
}

#[tokio::test]
async fn every_partner_of_a_refund_is_in_its_trace() {
    let collector = Collector::start().await;
    let mut stack = stack(&collector, &[]).await;
    let body = json!({ "refundId": "r", "originalReference": "a sale", "amount": "1.00", "currency": "EUR" });
    submit(&stack, Kind::Refund, &body, None).await;
    stop(&mut stack).await;

    let served = collector.span("POST /api/v1/refunds");
    assert_eq!(served.parent, "", "it begins the trace");
    let mut asked = collector.spans();
    assert!(asked.iter().all(|span| span.trace == served.trace));
    asked.retain(|span| span.name == "POST /refunds");
    let partners: Vec<_> = asked.iter().map(|span| &*span.attributes["partner"]).collect();
    assert_eq!(partners, ["ticketing", "reservations", "ledger", "gateway"]);
}

#[tokio::test]
async fn what_is_not_sampled_leaves_no_span_and_keeps_its_context() {
    let collector = Collector::start().await;
    let never = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")];
    let mut stack = stack(&collector, &never).await;
    let unsampled = format!("00-{TRACE}-{CLIENT}-00");
    let body = transaction(&stack, "unsampled", "callbacks");
    let theirs = submit(&stack, Kind::Transaction, &body, Some(&unsampled)).await;
    let body = transaction(&stack, "untraced", "callbacks");
    let nobodys = submit(&stack, Kind::Transaction, &body, None).await;
    stop(&mut stack).await;

    assert!(collector.spans().is_empty(), "{:#?}", collector.spans());
    assert_eq!(stack.told(&theirs)[0].headers["traceparent"], unsampled);
    assert_eq!(stack.told(&nobodys)[0].headers.get("traceparent"), None);
}

#[tokio::test]
async fn a_log_line_names_the_trace() {
    let collector = Collector::start().await;
    let stack = stack(&collector, &[]).await;
    let body = transaction(&stack, "gone", "status/410");
    let submission = submit(&stack, Kind::Transaction, &body, Some(&format!("00-{TRACE}-{CLIENT}-01"))).await;
    let log = stack.log("holdfast-worker");
    let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    let given_up = lines.find(|line| line["message"] == "gave up telling a client").expect("it was logged");
    assert_eq!(given_up["trace_id"], TRACE);
    assert_eq!(given_up["command.id"], submission.id);
}
