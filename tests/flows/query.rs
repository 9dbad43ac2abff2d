//! GET: where a command stands, and waiting for it.

use holdfast_app::credentials::create_client;
use holdfast_domain::{ClientNo, CommandId, Kind};
use holdfast_testkit::{Options, Stack};
use reqwest::StatusCode;
use serde_json::Value;
use std::time::Instant;

#[tokio::test]
async fn a_wait_right_after_the_post_returns_once_at_the_end() {
    let stack = Stack::start().await;
    // .02 stays pending for a second: there is something to wait for.
    let submission = stack.submit("w-1", "1.02").await;
    let response = stack.request("GET", &submission.this).header("prefer", "wait=30").send().await.expect("an answer");
    assert_eq!(response.headers()["preference-applied"], "wait=30");
    let body: Value = response.json().await.expect("a body");
    assert_eq!(body["status"], "completed");
    assert_eq!(body["partners"][0]["state"], "completed");
    assert!(body["finishedAt"].is_string());
    assert!(body.get("step").is_none(), "the run is over: {body}");
}

#[tokio::test]
async fn a_wait_ends_with_the_present_state() {
    let stack = Stack::with(Options::default()).await;
    let submission = stack.submit("w-2", "1.00").await;
    let started = Instant::now();
    let response = stack.request("GET", &submission.this).header("prefer", "wait=1").send().await.expect("an answer");
    assert!(started.elapsed().as_millis() >= 1000);
    assert_eq!(response.json::<Value>().await.expect("a body")["status"], "accepted");
}

#[tokio::test]
async fn an_entity_tag_saves_the_body_and_waits_for_a_change() {
    let mut stack = Stack::with(Options::default()).await;
    let submission = stack.submit("e-1", "1.00").await;
    let response = stack.request("GET", &submission.this).send().await.expect("an answer");
    let etag = response.headers()["etag"].to_str().expect("text").to_owned();
    assert_eq!(response.json::<Value>().await.expect("a body")["step"], "record");

    let unchanged = stack.request("GET", &submission.this).header("if-none-match", &etag);
    let unchanged = unchanged.send().await.expect("an answer");
    assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(unchanged.headers()["etag"], etag);

    let waiting = stack.request("GET", &submission.this).header("if-none-match", &etag).header("prefer", "wait=30");
    let waiting = tokio::spawn(waiting.send());
    stack.start_worker();
    let changed = waiting.await.expect("no panic").expect("an answer");
    assert_eq!(changed.status(), StatusCode::OK);
    assert_ne!(changed.headers()["etag"], etag);
}

#[tokio::test]
async fn a_hundred_waiters_share_one_poll() {
    let mut stack = Stack::with(Options::default()).await;
    let submission = stack.submit("many", "1.00").await;
    let waits = (0..100).map(|_| stack.request("GET", &submission.this).header("prefer", "wait=30").send());
    let waits: Vec<_> = waits.map(tokio::spawn).collect();
    stack.start_worker();
    for wait in waits {
        let body: Value = wait.await.expect("no panic").expect("an answer").json().await.expect("a body");
        assert_eq!(body["status"], "completed");
    }
}

#[tokio::test]
async fn another_clients_command_does_not_exist() {
    let stack = Stack::with(Options::default()).await;
    let submission = stack.submit("mine", "1.00").await;
    let other = create_client(&stack.app, "other", None).await.expect("created").expect("the name is free");
    for path in [submission.this.clone(), format!("{}/events", submission.this)] {
        let response = stack.request("GET", &path).headers(bearer(&other.api_key)).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

fn bearer(api_key: &str) -> http::HeaderMap {
    let value = format!("Bearer {api_key}").parse().expect("a header");
    http::HeaderMap::from_iter([(http::header::AUTHORIZATION, value)])
}

#[tokio::test]
async fn an_id_that_was_issued_is_told_from_one_that_never_was() {
    let stack = Stack::with(Options::default()).await;
    let issued = CommandId::compute(&stack.app.server_key, ClientNo(1), Kind::Transaction, "lost on the way");
    let response = stack.request("GET", &format!("/api/v1/transactions/{issued}")).send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(response.json::<Value>().await.expect("a body")["status"], "accepted");
    let never = uuid::Uuid::from_u128(7);
    let response = stack.request("GET", &format!("/api/v1/transactions/{never}")).send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_trail_tells_the_way_from_acceptance_to_callback() {
    let stack = Stack::start().await;
    let submission = stack.submit("trail", "1.00").await;
    stack.settled(&submission).await;
    let trail = stack.trail(&submission).await;
    let types: Vec<_> = trail.iter().map(|event| event["type"].as_str().expect("text")).collect();
    assert_eq!(types, ["accepted", "claimed", "recorded", "created", "finished", "callback_attempted"]);
    let sequences: Vec<_> = trail.iter().map(|event| event["sequence"].as_i64().expect("a number")).collect();
    assert_eq!(sequences, [0, 1, 1, 1, 1, 1]);
    let times: Vec<_> = trail.iter().map(|event| event["at"].as_str().expect("text")[..19].to_owned()).collect();
    assert!(times.is_sorted(), "{times:?}");
}
