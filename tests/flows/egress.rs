//! Where callbacks may go: what is refused when it is taken, and what is when it is sent.

use holdfast_devstack::inbox::Inbox;
use holdfast_devstack::server;
use holdfast_domain::Kind;
use holdfast_testkit::{Options, Stack, Submission, eventually};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const ENDPOINT: &str = "/api/v1/callback-endpoint";

/// As if nothing were set.
const STRICT: [(&str, &str); 3] = [
    ("HOLDFAST__CALLBACKS__ALLOW_HTTP", "false"),
    ("HOLDFAST__CALLBACKS__PORTS", "443"),
    ("HOLDFAST__CALLBACKS__ALLOW", ""),
];

async fn strict() -> Stack {
    let environment = STRICT.map(|(name, value)| (name, value.to_owned())).into();
    Stack::with(Options { environment, ..Options::default() }).await
}

fn body(kind: Kind, url: &str) -> Value {
    match kind {
        Kind::Transaction => json!({ "transactionId": "t", "amount": "1.00", "currency": "EUR", "callbackUrl": url }),
        Kind::Refund => {
            json!({ "refundId": "r", "originalReference": "a sale", "amount": "1.00", "currency": "EUR", "callbackUrl": url })
        }
        Kind::Order => json!({
            "orderId": "o", "userId": "u", "productName": "tea", "quantity": 1, "totalPrice": "1.00", "callbackUrl": url,
        }),
    }
}

async fn put(stack: &Stack, url: &str) -> Response {
    stack.request("PUT", ENDPOINT).json(&json!({ "url": url })).send().await.expect("an answer")
}

/// Which fields are refused, and why.
async fn refused(answer: Response) -> Vec<(String, String)> {
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let problem: Value = answer.json().await.expect("a problem");
    assert_eq!(problem["type"], "/problems/invalid-content");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let errors = problem["errors"].as_array().expect("a list").iter();
    errors.map(|error| (text(&error["pointer"]), text(&error["detail"]))).collect()
}

async fn callback(stack: &Stack, submission: &Submission, attempts: usize) -> Value {
    eventually("the attempt is listed", async || {
        let listed = stack.get(&format!("{}/callbacks", submission.this)).await;
        let callback = listed["data"][0].clone();
        callback["attempts"].as_array().is_some_and(|made| made.len() == attempts).then_some(callback)
    })
    .await
}

#[tokio::test]
async fn a_url_where_no_callback_may_ever_go_is_refused_when_it_is_taken() {
    let stack = strict().await;
    for (url, why) in [
        ("http://shop.example/", "http is not allowed, only https"),
        ("https://shop.example:8443/", "port 8443 is not allowed, only 443"),
        ("https://10.0.0.7/", "address is not allowed: 10.0.0.7 is private"),
        ("https://0x7f.1/", "address is not allowed: 127.0.0.1 is loopback"),
        ("https://169.254.169.254/latest/meta-data/", "address is not allowed: 169.254.169.254 is link-local"),
        ("https://[::ffff:10.0.0.7]/", "address is not allowed: ::ffff:10.0.0.7 is IPv4-mapped"),
    ] {
        for kind in Kind::ALL {
            let found = refused(stack.post_as(kind, &body(kind, url)).await).await;
            assert_eq!(found, [("/callbackUrl".to_owned(), why.to_owned())], "{url}");
        }
        assert_eq!(refused(put(&stack, url).await).await, [("/url".to_owned(), why.to_owned())], "{url}");
        let created = stack.as_operator(&["clients", "create", "another", "--callback-url", url]).await;
        assert!(created.status == 1 && created.err.contains(why), "{created:?}");
    }
    for url in ["https://user:word@shop.example/", "https://shop.example/#here"] {
        assert_eq!(refused(put(&stack, url).await).await[0].0, "/url");
        let found = refused(stack.post(&body(Kind::Transaction, url)).await).await;
        assert_eq!((found.len(), found[0].0.as_str()), (1, "/callbackUrl"));
        assert_eq!(stack.as_operator(&["clients", "create", "another", "--callback-url", url]).await.status, 1);
    }
    let several = json!({ "amount": "0", "currency": "EUR", "callbackUrl": "https://[::1]/", "colour": 1 });
    let found = refused(stack.post(&several).await).await;
    let mut pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/amount", "/callbackUrl", "/colour"]);

    let commands: i64 =
        sqlx::query_scalar("select count(*) from commands").fetch_one(&stack.pool).await.expect("count");
    let answer = stack.request("GET", ENDPOINT).send().await.expect("an answer");
    assert_eq!((commands, answer.status()), (0, StatusCode::NOT_FOUND));
    for kind in Kind::ALL {
        assert_eq!(stack.post_as(kind, &body(kind, "https://shop.example/a?b=c")).await.status(), StatusCode::ACCEPTED);
    }
    assert_eq!(put(&stack, "https://shop.example/").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_was_taken_under_other_settings_is_tried_again_until_it_is_allowed() {
    let mut stack = Stack::with(Options::default()).await;
    let submission = stack.submit("t", "1.00").await;
    stack.start_worker_with(&[("HOLDFAST__CALLBACKS__ALLOW", "")]);
    let why = "address is not allowed: 127.0.0.1 is loopback";
    let told = callback(&stack, &submission, 1).await;
    let attempt = &told["attempts"][0];
    assert_eq!((&attempt["outcome"], &attempt["detail"]), (&json!("unreachable"), &json!(why)));
    assert!(told["state"] == "owed" && told["nextAttemptAt"].is_string() && attempt["httpStatus"].is_null(), "{told}");
    let trail = stack.trail(&submission).await;
    assert_eq!(trail.last().expect("events")["detail"], why);
    assert_eq!(stack.get(&submission.this).await["status"], "completed");
    assert!(stack.told(&submission).is_empty());

    stack.stop_workers().await;
    stack.advance(Duration::from_secs(3_600)).await;
    stack.start_worker();
    stack.settled(&submission).await;
    assert_eq!(stack.told(&submission).len(), 1);
    let told = callback(&stack, &submission, 2).await;
    assert_eq!((&told["state"], &told["attempts"][1]["outcome"]), (&json!("delivered"), &json!("delivered")));
}

#[tokio::test]
async fn what_was_taken_under_other_settings_can_be_repeated() {
    let mut stack = Stack::with(Options::default()).await;
    let first = stack.submit("t", "1.00").await;
    stack.stop_api().await;
    stack.start_api(&[("HOLDFAST__CALLBACKS__ALLOW", "")]).await;
    assert_eq!(stack.submit("t", "1.00").await.id, first.id);
    let body = |key: &str, amount: &str| {
        let url = format!("{}/callbacks", stack.inbox_url);
        json!({ "transactionId": key, "amount": amount, "currency": "EUR", "callbackUrl": url })
    };
    for new in [body("t", "2.00"), body("u", "1.00")] {
        assert_eq!(refused(stack.post(&new).await).await[0].0, "/callbackUrl");
    }
}

#[tokio::test]
async fn a_name_is_taken_and_judged_by_where_it_leads() {
    let mut stack = strict().await;
    stack.start_worker();
    let answer = stack.post(&body(Kind::Transaction, "https://localhost/")).await;
    let submission = Stack::submission(answer).await;
    let told = callback(&stack, &submission, 1).await;
    let why = "address is not allowed: the name leads to none that may be called";
    assert_eq!(told["attempts"][0]["detail"], why);
}

#[tokio::test]
async fn a_test_of_an_endpoint_is_guarded_too() {
    let stack = strict().await;
    let test = async |url: String| {
        let set = "update clients set callback_url = $1";
        sqlx::query(set).bind(url).execute(&stack.pool).await.expect("set it, as under other settings");
        let answer = stack.request("POST", &format!("{ENDPOINT}/test")).send().await.expect("an answer");
        answer.json::<Value>().await.expect("a body")
    };
    let tested = test(format!("{}/callbacks", stack.inbox_url)).await;
    assert_eq!(
        (&tested["outcome"], &tested["detail"]),
        (&json!("unreachable"), &json!("http is not allowed, only https"))
    );
    let tested = test("https://10.0.0.7/".to_owned()).await;
    assert_eq!(tested["detail"], "address is not allowed: 10.0.0.7 is private");
    assert!(stack.inbox.about("callback-endpoint").is_empty());
}

#[tokio::test]
async fn no_proxy_of_the_environment_is_heeded() {
    let mut stack = Stack::with(Options::default()).await;
    // A request through a proxy names its path too: this one would keep it.
    let (proxy, stop) = (Inbox::default(), CancellationToken::new());
    let address = server::serve(server::bind(0).await.expect("bind"), proxy.router(), stop.clone()).expect("serve");
    let url = format!("http://{address}");
    let names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let mut environment = names.map(|name| (name, url.as_str())).to_vec();
    // Everybody else is here, and the inbox has another name.
    environment.extend([("no_proxy", "127.0.0.1"), ("NO_PROXY", "127.0.0.1")]);
    stack.start_worker_with(&environment);
    let inbox = stack.inbox_url.replace("127.0.0.1", "localhost");
    let answer = stack.post(&body(Kind::Transaction, &format!("{inbox}/callbacks"))).await;
    let submission = Stack::submission(answer).await;
    stack.settled(&submission).await;
    assert_eq!((stack.told(&submission).len(), proxy.about(&submission.id).len()), (1, 0));
    stop.cancel();
}
