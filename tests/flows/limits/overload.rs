//! Too much at once: answered early, and nothing of it done.

use super::{Limited, header, slug, transaction};
use futures::future::join_all;
use holdfast_testkit::{Gate, Options, Stack, Submission};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Postgres is there and says nothing: what has come waits for it, and what comes then is told so at once.
#[tokio::test]
async fn while_postgres_is_held_up_no_more_than_so_many_wait_for_it() {
    let gate = Gate::before(Stack::postgres_address()).await;
    // As long as the test may take.
    let settings = [
        ("HOLDFAST__API__MAX_IN_FLIGHT", "4"),
        ("HOLDFAST__API__ACCEPT_TIMEOUT_MS", "60000"),
        ("HOLDFAST__DATABASE__STATEMENT_TIMEOUT_MS", "60000"),
    ];
    let options = Options { database_address: Some(gate.address), ..Options::default() };
    let limited = Arc::new(Limited::behind(&settings, options).await);
    // No client has more than a quarter of the places.
    let mut keys = vec![limited.stack.api_key.clone()];
    for n in 1..4 {
        keys.push(limited.another_client(&format!("client-{n}")).await);
    }
    for key in &keys {
        assert_eq!(limited.submit_as(key, "before").await.expect("no panic"), StatusCode::ACCEPTED);
    }
    gate.freeze();
    let waiting: Vec<_> = keys.iter().map(|key| limited.submit_as(key, "w")).collect();
    limited.becomes("holdfast_requests_in_flight", 4.0).await;

    let refused = limited.stack.post(&transaction("one too many")).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(header(&refused, "retry-after").as_deref(), Some("1"));
    assert_eq!(slug(refused).await, "overloaded");
    let stranger = reqwest::get(format!("{}/api/v1/orders", limited.stack.api_url)).await.expect("an answer");
    assert_eq!(slug(stranger).await, "overloaded", "nobody has looked who it is");
    for probe in ["/livez", "/readyz"] {
        assert_eq!(limited.get(probe).await.status(), StatusCode::OK, "{probe}");
    }
    limited.becomes(r#"holdfast_requests_shed_total{why="in_flight"}"#, 2.0).await;

    gate.open();
    for post in waiting {
        assert_eq!(post.await.expect("no panic"), StatusCode::ACCEPTED);
    }
    limited.becomes("holdfast_requests_in_flight", 0.0).await;
}

/// Postgres takes less than comes in: who comes when others have waited for half of their time is turned away, before all
/// of them run out of it.
#[tokio::test]
async fn while_commands_wait_too_long_for_postgres_no_more_are_taken() {
    let limited = Limited::with(&[("HOLDFAST__API__ACCEPT_TIMEOUT_MS", "4000")]).await;
    let slow = "
        create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(1.5); return null; end';
        create trigger slow before insert on commands for each statement execute function slow()";
    sqlx::raw_sql(slow).execute(&limited.stack.pool).await.expect("make it slow");
    let url = format!("{}/api/v1/transactions", limited.stack.api_url);
    let (count, overloaded) = (AtomicUsize::new(0), AtomicBool::new(false));
    // More than two statements take, and as many again on each of a few connections.
    let clients: Vec<_> = (0..8)
        .map(|_| Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client"))
        .flat_map(|client| std::iter::repeat_n(client, 112))
        .collect();
    let submit = async |client: &Client| {
        while !overloaded.load(Ordering::Relaxed) {
            let body = transaction(&format!("q-{}", count.fetch_add(1, Ordering::Relaxed)));
            let answer =
                client.post(&url).bearer_auth(&limited.stack.api_key).json(&body).send().await.expect("an answer");
            if answer.status() != StatusCode::ACCEPTED {
                assert_eq!(header(&answer, "retry-after").as_deref(), Some("1"));
                assert_eq!(slug(answer).await, "overloaded");
                overloaded.store(true, Ordering::Relaxed);
            }
            assert!(count.load(Ordering::Relaxed) < 100_000);
        }
    };
    join_all(clients.iter().map(submit)).await;
    limited.stack.submit_until_accepted(&transaction("after")).await;
}

/// A wait costs its connection only, and has a limit of its own.
#[tokio::test]
async fn who_waits_is_not_in_hand_and_one_too_many_need_not_wait() {
    let settings = [("HOLDFAST__API__MAX_IN_FLIGHT", "1"), ("HOLDFAST__API__MAX_WAITING", "1")];
    let limited = Arc::new(Limited::with(&settings).await);
    let Submission { this, .. } = limited.stack.submit("w", "1.00").await;
    let wait = |limited: &Limited| limited.stack.request("GET", &this).header("prefer", "wait=60");
    let first = tokio::spawn(wait(&limited).send());
    limited.becomes("holdfast_requests_waiting", 1.0).await;
    limited.becomes("holdfast_requests_in_flight", 0.0).await;
    let second = wait(&limited).send().await.expect("an answer");
    assert_eq!((second.status(), header(&second, "preference-applied")), (StatusCode::OK, None));
    assert_eq!(second.json::<Value>().await.expect("a body")["status"], "accepted");
    limited.becomes(r#"holdfast_requests_shed_total{why="waiting"}"#, 1.0).await;

    let cancelled = limited.stack.request("POST", &format!("{this}/cancel")).send().await.expect("an answer");
    assert_eq!(cancelled.status(), StatusCode::OK);
    let first = first.await.expect("no panic").expect("an answer");
    assert_eq!(header(&first, "preference-applied").as_deref(), Some("wait=60"));
    assert_eq!(first.json::<Value>().await.expect("a body")["status"], "cancelled");
    limited.becomes("holdfast_requests_waiting", 0.0).await;
}
