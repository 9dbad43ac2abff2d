//! POST: what is accepted, what is refused, and that a key stands for one command.

use holdfast_testkit::{Options, Stack, eventually};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sqlx::query_scalar;

async fn problem(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let content_type = response.headers()["content-type"].to_str().expect("text").to_owned();
    assert_eq!(content_type, "application/problem+json");
    let body: Value = response.json().await.expect("a problem");
    assert_eq!(body["status"], status);
    (status, body)
}

async fn commands(stack: &Stack) -> i64 {
    query_scalar("select count(*) from commands").fetch_one(&stack.pool).await.expect("count")
}

#[tokio::test]
async fn a_new_command_is_accepted_and_a_repeated_one_replayed() {
    let stack = Stack::with(Options::default()).await;
    let body = json!({ "transactionId": "a-1", "amount": 12.5, "currency": "EUR" });
    let first = stack.post(&body).await;
    assert_eq!(first.status(), StatusCode::ACCEPTED);
    assert_eq!(first.headers()["holdfast-accepted-by"], "database");
    assert!(!first.headers().contains_key("idempotent-replayed"));
    let location = first.headers()["location"].to_str().expect("text").to_owned();
    let first: Value = first.json().await.expect("a body");
    assert_eq!(first["status"], "accepted");
    assert_eq!(first["links"]["self"], location);

    let again = stack.post(&body).await;
    assert_eq!(again.status(), StatusCode::ACCEPTED);
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    let again: Value = again.json().await.expect("a body");
    assert_eq!(again["id"], first["id"]);
    assert_eq!(again["createdAt"], first["createdAt"]);

    assert_eq!(stack.get(&location).await["amount"], "12.50");
    assert_eq!(commands(&stack).await, 1);
}

#[tokio::test]
async fn a_replay_says_where_the_command_is_now() {
    let stack = Stack::start().await;
    let body = json!({ "transactionId": "now", "amount": "1.00", "currency": "EUR" });
    let submission = stack.submit_body(&body).await;
    stack.settled(&submission).await;
    let again: Value = stack.post(&body).await.json().await.expect("a body");
    assert_eq!((again["id"].as_str(), again["status"].as_str()), (Some(submission.id.as_str()), Some("completed")));
}

#[tokio::test]
async fn other_content_under_the_same_key_is_refused() {
    let stack = Stack::with(Options::default()).await;
    stack.submit("a-1", "10.00").await;
    let body = json!({ "transactionId": "a-1", "amount": "11.00", "currency": "EUR" });
    let (status, body) = problem(stack.post(&body).await).await;
    assert_eq!((status, body["type"].as_str()), (422, Some("/problems/idempotency-key-reused")));
    assert_eq!(commands(&stack).await, 1);
}

#[tokio::test]
async fn a_hundred_at_once_under_one_key_make_one_command() {
    let stack = Stack::with(Options::default()).await;
    let body = json!({ "transactionId": "race", "amount": "1.00", "currency": "EUR" });
    let posts = (0..100).map(|_| stack.request("POST", "/api/v1/transactions").json(&body).send());
    let mut replayed = 0;
    let mut ids = std::collections::HashSet::new();
    for post in posts.map(tokio::spawn).collect::<Vec<_>>() {
        let response = post.await.expect("no panic").expect("an answer");
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        replayed += usize::from(response.headers().contains_key("idempotent-replayed"));
        ids.insert(response.json::<Value>().await.expect("a body")["id"].to_string());
    }
    assert_eq!((ids.len(), replayed, commands(&stack).await), (1, 99, 1));
}

#[tokio::test]
async fn the_header_identifies_where_the_body_does_not() {
    let stack = Stack::with(Options::default()).await;
    let post = async |key: &str, body: Value| {
        let request = stack.request("POST", "/api/v1/transactions").header("idempotency-key", key);
        request.json(&body).send().await.expect("an answer")
    };
    let body = json!({ "amount": "1.00", "currency": "EUR" });
    let bare: Value = post("k-1", body.clone()).await.json().await.expect("a body");
    let quoted: Value = post("\"k-1\"", body.clone()).await.json().await.expect("a body");
    assert_eq!(bare["id"], quoted["id"]);
    let with_both = json!({ "transactionId": "own", "amount": "1.00", "currency": "EUR" });
    assert_eq!(post("k-1", with_both).await.status(), StatusCode::ACCEPTED);
    let recorded: Option<String> =
        query_scalar("select header_key from commands where key = 'own'").fetch_one(&stack.pool).await.expect("a row");
    assert_eq!(recorded.as_deref(), Some("k-1"));
    assert_eq!(problem(post("not ok", body).await).await.0, 400);
}

/// Every bad request gets a clear answer, and none leaves a row.
#[tokio::test]
async fn bad_requests_are_named_and_leave_nothing() {
    let stack = Stack::with(Options::default()).await;
    let long = "x".repeat(256);
    let huge = format!(r#"{{"description":"{}"}}"#, "x".repeat(70_000));
    let cases: Vec<(&str, u16, &str, &[&str])> = vec![
        ("", 400, "unparseable-body", &[]),
        ("{", 400, "unparseable-body", &[]),
        ("nonsense", 400, "unparseable-body", &[]),
        (r#"{"amount":"1","currency":"EUR"}"#, 400, "idempotency-key-missing", &[]),
        ("[]", 422, "invalid-content", &[""]),
        ("null", 422, "invalid-content", &[""]),
        (r#"{"transactionId":"x"}"#, 422, "invalid-content", &["/amount", "/currency"]),
        (r#"{"transactionId":"x","amount":"0","currency":"EUR"}"#, 422, "invalid-content", &["/amount"]),
        (r#"{"transactionId":"x","amount":-1,"currency":"EUR"}"#, 422, "invalid-content", &["/amount"]),
        (r#"{"transactionId":"x","amount":"1.001","currency":"EUR"}"#, 422, "invalid-content", &["/amount"]),
        (r#"{"transactionId":"x","amount":"1.0","currency":"JPY"}"#, 422, "invalid-content", &["/amount"]),
        (r#"{"transactionId":"x","amount":true,"currency":"EUR"}"#, 422, "invalid-content", &["/amount"]),
        (r#"{"transactionId":"x","amount":1,"currency":"EURO"}"#, 422, "invalid-content", &["/currency"]),
        (r#"{"transactionId":"x","amount":1,"currency":"XXX"}"#, 422, "invalid-content", &["/currency"]),
        (r#"{"transactionId":"x","amount":1,"amount":2,"currency":"EUR"}"#, 422, "invalid-content", &["/amount"]),
        (r#"{"transactionId":"x","amount":1,"currency":"EUR","a":1,"b":2}"#, 422, "invalid-content", &["/a", "/b"]),
        (
            r#"{"transactionId":"x","amount":1,"currency":"EUR","description":"\u0000","metadata":{"k":"\ud800"}}"#,
            422,
            "invalid-content",
            &["/description", "/metadata/k"],
        ),
        (
            r#"{"transactionId":"x","amount":1,"currency":"EUR","description":"￿"}"#,
            422,
            "invalid-content",
            &["/description"],
        ),
        (
            r#"{"transactionId":"x","amount":1,"currency":"EUR","callbackUrl":"no"}"#,
            422,
            "invalid-content",
            &["/callbackUrl"],
        ),
        (&huge, 413, "payload-too-large", &[]),
    ];
    for (body, status, slug, pointers) in cases {
        let request = stack.request("POST", "/api/v1/transactions").header("content-type", "application/json");
        let (found, answer) = problem(request.body(body.to_owned()).send().await.expect("an answer")).await;
        assert_eq!((found, answer["type"].as_str()), (status, Some(format!("/problems/{slug}").as_str())), "{body}");
        let errors = answer["errors"].as_array().cloned().unwrap_or_default();
        let found: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().expect("text")).collect();
        assert_eq!(found, pointers, "{body}");
    }
    let too_long = json!({ "transactionId": long, "amount": 1, "currency": "EUR" });
    assert_eq!(problem(stack.post(&too_long).await).await.0, 422);
    let invalid_utf8 = stack.request("POST", "/api/v1/transactions").header("content-type", "application/json");
    let invalid_utf8 = invalid_utf8.body(b"{\"transactionId\":\"\xff\"}".to_vec()).send().await.expect("an answer");
    assert_eq!(problem(invalid_utf8).await.0, 400);
    assert_eq!(commands(&stack).await, 0);
}

#[tokio::test]
async fn what_is_no_plain_json_is_refused_before_it_is_read() {
    let stack = Stack::with(Options::default()).await;
    let post = || stack.request("POST", "/api/v1/transactions").body("{}");
    for request in [
        post(),
        post().header("content-type", "text/plain"),
        post().header("content-type", "application/json").header("content-encoding", "gzip"),
    ] {
        assert_eq!(problem(request.send().await.expect("an answer")).await.0, 415);
    }
    let charset = post().header("content-type", "application/json; charset=utf-8");
    assert_eq!(problem(charset.send().await.expect("an answer")).await.0, 422);
}

#[tokio::test]
async fn only_a_key_of_ours_opens_the_door() {
    let stack = Stack::with(Options::default()).await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/api/v1/transactions", stack.api_url);
    let stranger = holdfast_domain::api_key::ApiKey::format([1; 8], [2; 32]);
    let mut almost = stack.api_key.clone();
    almost.pop();
    for header in [
        None,
        Some("Bearer".to_owned()),
        Some(format!("Basic {}", stack.api_key)),
        Some(format!("Bearer {almost}")),
        Some(format!("Bearer {stranger}")),
        Some(format!("Bearer {}x", stack.api_key)),
    ] {
        let mut request = client.post(&url).json(&json!({}));
        if let Some(header) = &header {
            request = request.header("authorization", header);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"holdfast\"", "{header:?}");
        assert_eq!(problem(response).await.0, 401, "{header:?}");
    }
    let lower = client.post(&url).header("authorization", format!("bearer {}", stack.api_key)).json(&json!({}));
    assert_eq!(lower.send().await.expect("an answer").status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let stack = Stack::with(Options::default()).await;
    let wrong_method = stack.request("DELETE", "/api/v1/transactions").send().await.expect("an answer");
    assert_eq!(wrong_method.headers()["allow"], "GET,HEAD,POST");
    assert_eq!(problem(wrong_method).await.0, 405);
    for path in ["/", "/api/v1/unicorns", "/api/v1/transactions/not-an-id/"] {
        assert_eq!(problem(stack.request("GET", path).send().await.expect("an answer")).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn a_disabled_client_is_shut_out() {
    let stack = Stack::with(Options::default()).await;
    sqlx::query("update clients set disabled_at = now()").execute(&stack.pool).await.expect("disable");
    assert_eq!(stack.post(&json!({})).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_database_that_takes_no_connections_counts_as_down() {
    let stack = Stack::with(Options::default()).await;
    let name: String = query_scalar("select current_database()").fetch_one(&stack.pool).await.expect("a name");
    // Warms the key cache: a client that was never seen could not even be recognised.
    stack.submit("before", "1.00").await;
    let sql = format!("alter database \"{name}\" with allow_connections false");
    let admin = holdfast_testkit::admin().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&admin).await.expect("close the database");
    let end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1";
    sqlx::query(end).bind(&name).execute(&admin).await.expect("end the connections");
    let body = json!({ "transactionId": "after", "amount": "1.00", "currency": "EUR" });
    assert_eq!(stack.post(&body).await.headers()["holdfast-accepted-by"], "queue");
    let sql = format!("alter database \"{name}\" with allow_connections true");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&admin).await.expect("open the database");
    eventually("it is used again", || async {
        (stack.post(&body).await.headers()["holdfast-accepted-by"] == "database").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_schema_that_is_older_ends_the_binaries() {
    let mut stack = Stack::with(Options::default()).await;
    let older = "delete from _sqlx_migrations where version >= 8";
    sqlx::query(older).execute(&stack.pool).await.expect("pretend");
    stack.start_worker();
    assert!(!stack.worker_died().await, "an exit, not a crash");
    let log = stack.log("holdfast-worker");
    assert!(log.contains("older than this binary"), "{log}");
}
