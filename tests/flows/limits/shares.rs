//! No client, and nobody who is none, takes the places of all others.

use super::{Limited, Wire, slug, transaction};
use holdfast_testkit::{Gate, Options, Stack};
use reqwest::{Client, StatusCode};
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const TEST: &str = "/api/v1/callback-endpoint/test";

fn http() -> Client {
    Client::builder().no_proxy().build().expect("a client")
}

impl Limited {
    pub(super) fn submit_as(self: &Arc<Self>, key: &str, name: &str) -> JoinHandle<StatusCode> {
        let url = format!("{}/api/v1/transactions", self.stack.api_url);
        let request = http().post(url).bearer_auth(key).json(&transaction(name));
        tokio::spawn(async move { request.send().await.expect("an answer").status() })
    }

    async fn webhook(&self, partner: &str, headers: &str) -> Wire {
        let mut wire = self.wire().await;
        let head =
            format!("POST /api/v1/webhooks/{partner} HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n{headers}\r\n");
        assert!(wire.send(head).await);
        wire
    }
}

#[tokio::test]
async fn no_client_has_more_than_its_share_in_hand() {
    let gate = Gate::before(Stack::postgres_address()).await;
    // As long as the test may take.
    let settings = [
        ("HOLDFAST__API__MAX_IN_FLIGHT", "8"),
        ("HOLDFAST__API__ACCEPT_TIMEOUT_MS", "60000"),
        ("HOLDFAST__DATABASE__STATEMENT_TIMEOUT_MS", "60000"),
    ];
    let options = Options { database_address: Some(gate.address), ..Options::default() };
    let limited = Arc::new(Limited::behind(&settings, options).await);
    let (one, other) = (limited.stack.api_key.clone(), limited.another_client("other").await);
    // Both keys are known from here on.
    for key in [&one, &other] {
        assert_eq!(limited.submit_as(key, "before").await.expect("no panic"), StatusCode::ACCEPTED);
    }
    gate.freeze();
    let mut waiting: Vec<_> = (0..2).map(|n| limited.submit_as(&one, &format!("w-{n}"))).collect();
    limited.becomes("holdfast_requests_in_flight", 2.0).await;
    let refused = limited.stack.post(&transaction("one too many")).await;
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().expect("a value"))
    );
    assert_eq!(slug(refused).await, "rate-limited");
    waiting.push(limited.submit_as(&other, "o"));
    limited.becomes("holdfast_requests_in_flight", 3.0).await;
    limited.becomes(r#"holdfast_requests_limited_total{limit="in_flight"}"#, 1.0).await;
    gate.open();
    for post in waiting {
        assert_eq!(post.await.expect("no panic"), StatusCode::ACCEPTED);
    }
}

/// Their bodies never come, and nobody waits for them.
#[tokio::test]
async fn who_cannot_be_a_partner_is_answered_before_its_body() {
    let limited = Limited::with(&[]).await;
    for (partner, headers, status) in [
        ("nobody", "webhook-id: a\r\nwebhook-timestamp: 1\r\nwebhook-signature: v1,a\r\n", "404"),
        ("processor", "", "401"),
        ("processor", "webhook-id: a\r\nwebhook-timestamp: 1\r\n", "401"),
    ] {
        let answer = limited.webhook(partner, headers).await.answer().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{partner}: {answer}");
    }
}

/// Anybody can make up a signature and send no body.
#[tokio::test]
async fn webhooks_without_bodies_keep_out_none_that_has_one() {
    let limited = Limited::with(&[("HOLDFAST__API__MAX_IN_FLIGHT", "32")]).await;
    let made_up = "webhook-id: a\r\nwebhook-timestamp: 1\r\nwebhook-signature: v1,a\r\n";
    let mut wires = Vec::new();
    for _ in 0..3 {
        wires.push(limited.webhook("processor", made_up).await);
    }
    let answers = wires.iter_mut().map(|wire| Box::pin(wire.answer()));
    let (refused, ..) = futures::future::select_all(answers).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1"), "{refused}");
    limited.becomes(r#"holdfast_requests_shed_total{why="webhooks"}"#, 1.0).await;
    let whole = limited.stack.request("POST", "/api/v1/webhooks/processor").body("{}");
    let whole = whole.header("webhook-id", "a").header("webhook-timestamp", "1").header("webhook-signature", "v1,a");
    assert_eq!(slug(whole.send().await.expect("an answer")).await, "webhook-not-authentic", "it was looked at");
    limited.becomes("holdfast_requests_in_flight", 2.0).await;
}

/// A question of a client's hangs in Postgres: others are accepted by it all the same, and nothing looks like an outage.
#[tokio::test]
async fn reads_leave_connections_for_what_is_to_be_accepted() {
    let settings = [
        ("HOLDFAST__DATABASE__CONNECTIONS", "4"),
        ("HOLDFAST__DATABASE__LOCK_TIMEOUT_MS", "60000"),
        ("HOLDFAST__DATABASE__STATEMENT_TIMEOUT_MS", "60000"),
        ("HOLDFAST__DATABASE__ACQUIRE_TIMEOUT_MS", "60000"),
    ];
    let limited = Arc::new(Limited::with(&settings).await);
    let other = limited.another_client("other").await;
    let mut lock = limited.stack.pool.begin().await.expect("begin");
    sqlx::raw_sql("lock table outcomes in access exclusive mode").execute(&mut *lock).await.expect("lock it");
    let reads: Vec<_> = (0..12)
        .map(|n| {
            let key = if n < 8 { &limited.stack.api_key } else { &other };
            let request = http().get(format!("{}/api/v1/transactions", limited.stack.api_url)).bearer_auth(key);
            tokio::spawn(request.send())
        })
        .collect();
    limited.becomes("holdfast_requests_in_flight", 12.0).await;
    for n in 0..10 {
        let accepted = limited.stack.post(&transaction(&format!("t-{n}"))).await;
        assert_eq!(
            (accepted.status(), &accepted.headers()["holdfast-accepted-by"]),
            (StatusCode::ACCEPTED, &"database".parse().expect("a value"))
        );
    }
    limited.becomes("holdfast_outage", 0.0).await;
    lock.rollback().await.expect("let go");
    for read in reads {
        assert_eq!(read.await.expect("no panic").expect("an answer").status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_clients_endpoint_is_tested_once_at_a_time() {
    let limited = Arc::new(Limited::with(&[("HOLDFAST__CALLBACKS__TIMEOUT_MS", "20000")]).await);
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("http://{}/", silent.local_addr().expect("an address"));
    let put = limited.stack.request("PUT", "/api/v1/callback-endpoint").json(&json!({ "url": url }));
    assert_eq!(put.send().await.expect("an answer").status(), StatusCode::OK);
    let first = tokio::spawn(limited.stack.request("POST", TEST).send());
    let (_called, _) = silent.accept().await.expect("a call");
    let second = limited.stack.request("POST", TEST).send().await.expect("an answer");
    assert_eq!(
        (second.status(), &second.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().expect("a value"))
    );
    assert_eq!(slug(second).await, "rate-limited");
    let other = limited.another_client("other").await;
    let of_other = http().post(format!("{}{TEST}", limited.stack.api_url)).bearer_auth(other);
    assert_eq!(of_other.send().await.expect("an answer").status(), StatusCode::NOT_FOUND, "it has no endpoint");
    first.abort();
}
