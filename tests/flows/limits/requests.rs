//! Requests: how large they may be, and how long their bodies may take.

use super::{Limited, head, slug};
use reqwest::StatusCode;

#[tokio::test]
async fn a_body_that_drips_is_answered_with_408() {
    let limited = Limited::with(&[("HOLDFAST__API__BODY_TIMEOUT_MS", "300")]).await;
    let mut wire = limited.wire().await;
    wire.send(head(&limited.stack, "content-length: 1000\r\n")).await;
    let (mut reading, mut writing) = (wire.0, Vec::new());
    // A byte for each request of somebody else's, until there is an answer.
    loop {
        let (mut read, mut write) = reading.split();
        let mut space = [0; 4096];
        let drip = async {
            tokio::io::AsyncWriteExt::write_all(&mut write, b" ").await.ok();
            limited.lives().await;
        };
        tokio::select! {
            read = tokio::io::AsyncReadExt::read(&mut read, &mut space) => match read {
                Ok(0) | Err(_) => break,
                Ok(count) => writing.extend_from_slice(&space[..count]),
            },
            () = drip => {}
        }
    }
    let answer = String::from_utf8(writing).expect("text");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("/problems/request-timeout") && answer.contains("connection: close"), "{answer}");
    limited.becomes(r#"holdfast_slow_clients_total{part="body"}"#, 1.0).await;
}

#[tokio::test]
async fn a_body_too_large_is_refused_without_being_read() {
    let limited = Limited::with(&[]).await;
    let mut announced = limited.wire().await;
    announced.send(head(&limited.stack, "content-length: 65537\r\n")).await;
    assert!(announced.answer().await.starts_with("HTTP/1.1 413"));

    let mut invited = limited.wire().await;
    invited.send(head(&limited.stack, "content-length: 65537\r\nexpect: 100-continue\r\n")).await;
    assert!(invited.answer().await.starts_with("HTTP/1.1 413"), "nobody asked for it");

    let mut chunked = limited.wire().await;
    chunked.send(head(&limited.stack, "transfer-encoding: chunked\r\n")).await;
    // No end of it.
    chunked.send(format!("10001\r\n{}", " ".repeat(65_537))).await;
    let answer = chunked.answer().await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("connection: close"), "{answer}");

    // Who sends on hears of it all the same.
    for size in [65_537, 500_000] {
        let request = limited.stack.request("POST", "/api/v1/transactions").header("content-type", "application/json");
        let answer = request.body(" ".repeat(size)).send().await.expect("an answer");
        assert_eq!(slug(answer).await, "payload-too-large");
    }
    let request = limited.stack.request("POST", "/api/v1/transactions").header("content-type", "application/json");
    let answer = request.body(" ".repeat(65_536)).send().await.expect("an answer");
    assert_eq!(slug(answer).await, "unparseable-body", "64 KiB are not too large");
}

#[tokio::test]
async fn a_head_too_large_is_refused() {
    let limited = Limited::with(&[]).await;
    let large = format!("x: {}\r\n", "x".repeat(64 * 1024));
    let many: String = (0..101).map(|n| format!("x-{n}: x\r\n")).collect();
    for headers in [large, many] {
        let mut wire = limited.wire().await;
        wire.send(format!("GET /livez HTTP/1.1\r\nhost: h\r\n{headers}\r\n")).await;
        let answer = wire.answer().await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    let fits = format!("x: {}\r\n", "x".repeat(16 * 1024));
    let mut wire = limited.wire().await;
    wire.send(format!("GET /livez HTTP/1.1\r\nhost: h\r\n{fits}\r\n")).await;
    assert!(wire.answer().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_address_too_long_is_refused() {
    let limited = Limited::with(&[]).await;
    let of = |length: usize| format!("/{}", "x".repeat(length - 1));
    let (fits, too_long) = (limited.get(&of(8 * 1024)).await, limited.get(&of(8 * 1024 + 1)).await);
    assert_eq!((fits.status(), too_long.status()), (StatusCode::NOT_FOUND, StatusCode::URI_TOO_LONG));
    assert_eq!(slug(too_long).await, "uri-too-long");
    let query = limited.get(&format!("/api/v1/orders?key={}", "x".repeat(9_000))).await;
    assert_eq!(slug(query).await, "uri-too-long");
    assert_eq!(limited.get(&format!("/livez?{}", "x".repeat(9_000))).await.status(), StatusCode::URI_TOO_LONG);
}
