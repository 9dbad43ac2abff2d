//! What every answer carries, and who may call from a page.

use super::{Limited, header, transaction};
use reqwest::{Method, RequestBuilder, Response, StatusCode};

const ORIGIN: &str = "https://shop.example";

async fn ask(request: RequestBuilder) -> Response {
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn every_answer_says_how_it_is_to_be_treated() {
    let limited = Limited::with(&[("HOLDFAST__API__HSTS", "true")]).await;
    limited.stack.cli(&["clients", "limit", "test", "--reads-per-s", "1"]).await;
    let stack = &limited.stack;
    let get = |path: &str| stack.request("GET", path);
    let post = || stack.request("POST", "/api/v1/transactions").header("content-type", "application/json");
    let mut answers = vec![
        (202, ask(post().body(transaction("h").to_string())).await),
        (200, ask(get("/livez")).await),
        (200, ask(get("/openapi.json")).await),
        (404, ask(get("/nowhere")).await),
        (405, ask(stack.request("PATCH", "/api/v1/transactions")).await),
        (413, ask(post().body(" ".repeat(65_537))).await),
        (414, ask(get(&format!("/{}", "x".repeat(9_000)))).await),
        (415, ask(stack.request("POST", "/api/v1/transactions").body("{}")).await),
        (422, ask(post().body("{}")).await),
        (401, reqwest::get(format!("{}/api/v1/orders", stack.api_url)).await.expect("an answer")),
    ];
    let limited_one = loop {
        let answer = ask(get("/api/v1/orders")).await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
    };
    answers.push((429, limited_one));
    sqlx::raw_sql("alter table commands rename to gone").execute(&stack.pool).await.expect("break it");
    answers.push((500, ask(post().body(transaction("i").to_string())).await));
    for (status, answer) in answers {
        assert_eq!(answer.status().as_u16(), status);
        let told = |name: &str| header(&answer, name).unwrap_or_default();
        assert_eq!(told("x-content-type-options"), "nosniff", "{status}");
        assert_eq!(told("cache-control"), "no-store", "{status}");
        assert_eq!(told("content-security-policy"), "default-src 'none'; frame-ancestors 'none'", "{status}");
        assert_eq!(told("strict-transport-security"), "max-age=31536000", "{status}");
        assert!(!answer.headers().contains_key("access-control-allow-origin"), "{status}");
    }
}

#[tokio::test]
async fn what_an_answer_says_itself_stands() {
    let limited = Limited::with(&[]).await;
    let submission = limited.stack.submit("h", "1.00").await;
    let shown = limited.get(&submission.this).await;
    assert_eq!(header(&shown, "cache-control").as_deref(), Some("private, no-cache"));
    assert_eq!(header(&shown, "strict-transport-security"), None, "it listens on the loopback");
    for page in ["/docs", "/problems/not-found"] {
        let policy = header(&limited.get(page).await, "content-security-policy").expect("a policy");
        assert!(policy.contains("style-src") && policy.contains("frame-ancestors 'none'"), "{page}: {policy}");
    }
}

#[tokio::test]
async fn pages_may_call_from_configured_origins_alone() {
    let limited = Limited::with(&[("HOLDFAST__API__CORS_ORIGINS", "https://other.example,https://shop.example")]).await;
    let from = |origin: &str, request: RequestBuilder| request.header("origin", origin);
    let preflight = || {
        let request = limited.stack.request("OPTIONS", "/api/v1/transactions");
        let request = request.header("access-control-request-method", "POST");
        request
            .header("access-control-request-headers", "authorization,content-type,idempotency-key,prefer,traceparent")
    };
    let asked = ask(from(ORIGIN, preflight())).await;
    assert_eq!(
        (asked.status(), header(&asked, "access-control-allow-origin").as_deref()),
        (StatusCode::OK, Some(ORIGIN))
    );
    let allowed = header(&asked, "access-control-allow-headers").expect("headers");
    for name in ["authorization", "content-type", "idempotency-key", "prefer", "traceparent"] {
        assert!(allowed.contains(name), "{allowed}");
    }
    assert!(header(&asked, "access-control-allow-methods").is_some_and(|methods| methods.contains("POST")));
    assert_eq!(header(&asked, "x-content-type-options").as_deref(), Some("nosniff"));
    assert_eq!(header(&asked, "access-control-allow-credentials"), None);
    let foreign = ask(from("https://evil.example", preflight())).await;
    assert_eq!(header(&foreign, "access-control-allow-origin"), None);

    let posted = ask(from(ORIGIN, limited.stack.request("POST", "/api/v1/transactions").json(&transaction("c")))).await;
    assert_eq!(posted.status(), StatusCode::ACCEPTED);
    assert_eq!(header(&posted, "access-control-allow-origin").as_deref(), Some(ORIGIN));
    let told = header(&posted, "access-control-expose-headers").expect("headers");
    for name in ["location", "etag", "retry-after", "ratelimit", "holdfast-accepted-by", "idempotent-replayed"] {
        assert!(told.contains(name), "{told}");
    }
    let unknown = ask(from(ORIGIN, limited.stack.request("GET", "/nowhere"))).await;
    assert_eq!(header(&unknown, "access-control-allow-origin").as_deref(), Some(ORIGIN), "pages may read errors");
}

#[tokio::test]
async fn without_origins_no_page_may_call() {
    let limited = Limited::with(&[]).await;
    let request = limited.stack.request(Method::OPTIONS.as_str(), "/api/v1/transactions").header("origin", ORIGIN);
    let asked = ask(request.header("access-control-request-method", "POST")).await;
    assert_eq!(asked.status(), StatusCode::METHOD_NOT_ALLOWED);
    let posted = ask(limited.stack.request("GET", "/api/v1/orders").header("origin", ORIGIN)).await;
    for answer in [asked, posted] {
        assert!(!answer.headers().keys().any(|name| name.as_str().starts_with("access-control")));
    }
}
