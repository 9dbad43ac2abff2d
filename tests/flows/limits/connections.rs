//! Connections: how long they may take, how many there may be, and how they end.

use super::{Limited, head, slug, transaction};
use holdfast_testkit::eventually;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::net::TcpStream;

const SOON: &str = "300";

#[tokio::test]
async fn a_head_that_drips_is_cut_off_while_others_are_served() {
    let limited = Limited::with(&[("HOLDFAST__API__HEADER_TIMEOUT_MS", SOON)]).await;
    for first in ["", "GET /livez HTTP/1.1\r\nx: "] {
        let mut wire = limited.wire().await;
        wire.send(first).await;
        // A byte for each request of somebody else's, until it can be sent no more.
        while wire.send("x").await {
            limited.lives().await;
        }
    }
    limited.becomes(r#"holdfast_slow_clients_total{part="head"}"#, 2.0).await;
}

#[tokio::test]
async fn who_says_nothing_is_hung_up_on() {
    let limited =
        Limited::with(&[("HOLDFAST__API__HEADER_TIMEOUT_MS", SOON), ("HOLDFAST__API__IDLE_TIMEOUT_MS", SOON)]).await;
    limited.wire().await.ended().await;
    let mut half_a_preface = limited.wire().await;
    half_a_preface.send("PRI * HT").await;
    half_a_preface.ended().await;
    let mut used = limited.wire().await;
    used.send("GET /livez HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert!(used.answer().await.starts_with("HTTP/1.1 200"));
    used.ended().await;
    limited.becomes(r#"holdfast_slow_clients_total{part="head"}"#, 2.0).await;
}

#[tokio::test]
async fn who_takes_no_answer_is_cut_off() {
    let limited = Limited::with(&[("HOLDFAST__API__WRITE_TIMEOUT_MS", SOON)]).await;
    let mut wire = limited.wire().await;
    // Answers to more of them than a socket has room for.
    let requests = "GET /openapi.json HTTP/1.1\r\nhost: h\r\n\r\n".repeat(200);
    wire.send(requests).await;
    limited.becomes(r#"holdfast_slow_clients_total{part="answer"}"#, 1.0).await;
    limited.lives().await;
}

#[tokio::test]
async fn a_connection_too_many_is_told_so() {
    let limited = Limited::with(&[("HOLDFAST__API__MAX_CONNECTIONS", "4")]).await;
    let mut open = Vec::new();
    let refused = loop {
        let mut wire = limited.wire().await;
        wire.send("GET /livez HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let answer = wire.answer().await;
        if !answer.starts_with("HTTP/1.1 200") {
            break answer;
        }
        open.push(wire);
        assert!(open.len() <= 4);
    };
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("connection: close"), "{refused}");
    open.pop();
    eventually("there is room again", async || {
        let mut wire = limited.wire().await;
        wire.send("GET /livez HTTP/1.1\r\nhost: h\r\n\r\n").await;
        wire.answer().await.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
}

#[tokio::test]
async fn http_2_is_spoken_too_and_has_the_same_limits() {
    let limited = Limited::with(&[]).await;
    let client = Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
    let url = format!("{}/api/v1/transactions", limited.stack.api_url);
    let post = async |body: String| {
        let request = client.post(&url).bearer_auth(&limited.stack.api_key).header("content-type", "application/json");
        request.body(body).send().await.expect("an answer")
    };
    let accepted = post(transaction("h2").to_string()).await;
    assert_eq!((accepted.status(), accepted.version()), (StatusCode::ACCEPTED, http::Version::HTTP_2));
    assert_eq!(accepted.headers()["x-content-type-options"], "nosniff");
    let too_large = post("x".repeat(64 * 1024 + 1)).await;
    assert_eq!(too_large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let long = client.get(format!("{url}?key={}", "x".repeat(9_000))).send().await.expect("an answer");
    assert_eq!(slug(long).await, "uri-too-long");
    let large = client.get(&url).header("x", "x".repeat(40_000)).send().await;
    assert!(large.is_err() || large.is_ok_and(|large| large.status().as_u16() == 431));
}

/// As a rolling deployment does it: what was begun is answered, what waits for nothing ends, and nobody new gets in.
#[tokio::test]
async fn on_the_way_out_requests_are_answered_and_idle_connections_end() {
    let mut limited = Limited::with(&[]).await;
    let (mut idle, mut busy) = (limited.wire().await, limited.wire().await);
    idle.send("GET /livez HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert!(idle.answer().await.starts_with("HTTP/1.1 200"));
    let body = transaction("last").to_string();
    let (first, rest) = body.split_at(10);
    busy.send(format!("{}{first}", head(&limited.stack, &format!("content-length: {}\r\n", body.len())))).await;
    limited.becomes("holdfast_requests_in_flight", 1.0).await;

    let address = limited.stack.api_url.trim_start_matches("http://").to_owned();
    let finish = async {
        idle.ended().await;
        eventually("nobody gets in", async || TcpStream::connect(&address).await.err()).await;
        assert!(busy.send(rest).await);
        busy.answer().await
    };
    let (answer, ()) = tokio::join!(finish, limited.stack.stop_api());
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let accepted: Value = serde_json::from_str(body).expect("JSON");
    limited.stack.start_api(&[]).await;
    assert_eq!(limited.stack.submit_body(&transaction("last")).await.id, accepted["id"]);
}
