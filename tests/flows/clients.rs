//! Clients: their endpoint, their secrets, their keys.

use holdfast_app::credentials::{KeyError, rotate_key};
use holdfast_devstack::sandbox::Sandbox;
use holdfast_store::clients;
use holdfast_testkit::partner::held_back;
use holdfast_testkit::{Options, Stack, Submission, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

const ENDPOINT: &str = "/api/v1/callback-endpoint";

async fn ask(stack: &Stack, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
    let answer = stack.request(method, path).json(&body).send().await.expect("an answer");
    (answer.status(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn a_client_sets_its_endpoint_and_is_told_there() {
    let stack = Stack::start().await;
    assert_eq!(ask(&stack, "GET", ENDPOINT, Value::Null).await.0, StatusCode::NOT_FOUND);
    let url = format!("{}/callbacks", stack.inbox_url);
    let (status, shown) = ask(&stack, "PUT", ENDPOINT, json!({ "url": url })).await;
    assert_eq!((status, shown["secret"].as_str()), (StatusCode::OK, Some(stack.callback_secret.as_str())));
    let (_, shown) = ask(&stack, "PUT", ENDPOINT, json!({ "url": url })).await;
    assert_eq!(shown, json!({ "url": url }), "the secret is shown once");
    assert_eq!(ask(&stack, "GET", ENDPOINT, Value::Null).await, (StatusCode::OK, json!({ "url": url })));
    let body = json!({ "transactionId": "t", "amount": "1.00", "currency": "EUR" });
    let submission = stack.submit_body(&body).await;
    stack.settled(&submission).await;
    assert_eq!(stack.told(&submission).len(), 1);
    assert_eq!(ask(&stack, "DELETE", ENDPOINT, Value::Null).await.0, StatusCode::NO_CONTENT);
    assert_eq!(ask(&stack, "GET", ENDPOINT, Value::Null).await.0, StatusCode::NOT_FOUND);
    for wrong in [json!({}), json!({ "url": "ftp://x" }), json!({ "url": "http://x", "colour": 1 })] {
        assert_eq!(ask(&stack, "PUT", ENDPOINT, wrong).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

/// A stack whose partner has taken a creation and does not answer before it is let.
async fn with_one_in_hand(url: Option<&str>, amount: &str) -> (Stack, Submission, Arc<Semaphore>) {
    let (sandbox, gate) = (Sandbox::default(), Arc::new(Semaphore::new(0)));
    let partner = Some(held_back(sandbox.router(), Arc::clone(&gate)));
    let mut stack = Stack::with(Options { partner, ..Options::default() }).await;
    if let Some(path) = url {
        set(&stack, path).await;
    }
    stack.start_worker();
    let submission = stack.submit_body(&json!({ "transactionId": "t", "amount": amount, "currency": "EUR" })).await;
    eventually("it is in hand", || async {
        let claimed: i64 = sqlx::query_scalar("select count(*) from wakeups where token is not null")
            .fetch_one(&stack.pool)
            .await
            .ok()?;
        (claimed == 1).then_some(())
    })
    .await;
    (stack, submission, gate)
}

async fn set(stack: &Stack, path: &str) {
    let url = json!({ "url": format!("{}{path}", stack.inbox_url) });
    assert_eq!(ask(stack, "PUT", ENDPOINT, url).await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_endpoint_that_is_set_while_a_command_is_in_hand_is_told() {
    for amount in ["1.00", "1.02"] {
        let (stack, submission, gate) = with_one_in_hand(None, amount).await;
        set(&stack, "/callbacks").await;
        gate.add_permits(1);
        assert_eq!(stack.settled(&submission).await["status"], "completed");
        assert_eq!(stack.told(&submission).len(), 1, "{amount}");
        assert_eq!(stack.told_pending(&submission).len(), usize::from(amount == "1.02"), "{amount}");
    }
}

#[tokio::test]
async fn an_endpoint_that_has_moved_while_a_command_is_in_hand_is_told_where_it_is() {
    let (stack, submission, gate) = with_one_in_hand(Some("/status/500"), "1.00").await;
    set(&stack, "/callbacks").await;
    gate.add_permits(1);
    stack.settled(&submission).await;
    let statuses: Vec<_> = stack.told(&submission).iter().map(|told| told.status).collect();
    assert_eq!(statuses, [200]);
}

#[tokio::test]
async fn while_a_secret_is_exchanged_both_verify() {
    let mut stack = Stack::with(Options::default()).await;
    let (status, rotated) = ask(&stack, "POST", &format!("{ENDPOINT}/rotate-secret"), Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    let (old, new) = (stack.callback_secret.clone(), rotated["secret"].as_str().expect("text").to_owned());
    assert_ne!(old, new);
    stack.start_worker();
    let verifies = async |key: &str| {
        let submission = stack.submit(key, "1.00").await;
        stack.settled(&submission).await;
        let told = stack.told(&submission).remove(0);
        let headers: http::HeaderMap = (&told.headers).try_into().expect("headers");
        let verifies = |secret: &str| {
            // The times are the database's, which is moved: only the signature is looked at.
            let (id, at) = (&told.headers["webhook-id"], told.headers["webhook-timestamp"].parse().expect("a number"));
            let signature = Webhook::new(secret).expect("a secret").sign(id, at, told.body.as_bytes());
            headers["webhook-signature"].to_str().expect("text").contains(&signature.expect("signs"))
        };
        (verifies(&old), verifies(&new))
    };
    assert_eq!(verifies("overlap").await, (true, true));
    stack.advance(Duration::from_secs(86_401)).await;
    // An endpoint is remembered for seconds, by the clock that cannot be moved.
    eventually("the old one is gone", async || (verifies(&another_key()).await == (false, true)).then_some(())).await;
}

#[tokio::test]
async fn a_second_exchange_leaves_the_first_secret_its_time() {
    let mut stack = Stack::with(Options::default()).await;
    let rotate = async || {
        let (status, rotated) = ask(&stack, "POST", &format!("{ENDPOINT}/rotate-secret"), Value::Null).await;
        assert_eq!(status, StatusCode::OK);
        rotated["secret"].as_str().expect("text").to_owned()
    };
    // The answer to the first was lost: the client has the first secret alone.
    let mut secrets = vec![stack.callback_secret.clone(), rotate().await];
    stack.advance(Duration::from_secs(3_600)).await;
    secrets.push(rotate().await);
    assert_eq!(sealed(&stack).await, 3);
    stack.start_worker();
    assert_eq!(verifying(&stack, &secrets).await, [true, true, true]);
    // The first one's time is over, the second one's is not.
    stack.advance(Duration::from_secs(86_401 - 3_600)).await;
    eventually("the first is gone", async || (verifying(&stack, &secrets).await == [false, true, true]).then_some(()))
        .await;
}

/// As `doctor` counts them.
async fn sealed(stack: &Stack) -> i64 {
    let keys = holdfast_store::secrets::keys(&stack.app.pool).await.expect("count");
    keys.into_iter().map(|(_, count)| count).sum()
}

/// Which of these verify what a client is told now.
async fn verifying(stack: &Stack, secrets: &[String]) -> Vec<bool> {
    let submission = stack.submit(&another_key(), "1.00").await;
    stack.settled(&submission).await;
    let told = stack.told(&submission).remove(0);
    let (id, at) = (&told.headers["webhook-id"], told.headers["webhook-timestamp"].parse().expect("a number"));
    let signature = |secret: &str| Webhook::new(secret).expect("a secret").sign(id, at, told.body.as_bytes());
    let is_there = |secret: &String| told.headers["webhook-signature"].contains(&signature(secret).expect("signs"));
    secrets.iter().map(is_there).collect()
}

fn another_key() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("later-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

#[tokio::test]
async fn an_old_key_is_valid_during_its_overlap_and_a_disabled_clients_never() {
    let stack = Stack::with(Options::default()).await;
    let status = async |key: &str| {
        let answer = reqwest::Client::builder().no_proxy().build().expect("a client");
        let answer = answer.get(format!("{}/api/v1/orders", stack.api_url)).bearer_auth(key).send().await;
        answer.expect("an answer").status()
    };
    let new = rotate_key(&stack.app, "test", Duration::from_secs(60)).await.expect("rotates").api_key;
    assert_eq!((status(&stack.api_key).await, status(&new).await), (StatusCode::OK, StatusCode::OK));
    stack.advance(Duration::from_secs(61)).await;
    let refused = async |key: &str| {
        eventually("it is refused", async || (status(key).await == StatusCode::UNAUTHORIZED).then_some(())).await;
    };
    refused(&stack.api_key).await;
    assert_eq!(status(&new).await, StatusCode::OK);
    assert!(clients::set_disabled(&stack.app.pool, "test", true).await.expect("disables"));
    refused(&new).await;
    assert!(!clients::set_disabled(&stack.app.pool, "nobody", true).await.expect("looks"));
    assert!(matches!(rotate_key(&stack.app, "nobody", Duration::ZERO).await, Err(KeyError::NoClient)));
}

/// After a restore: the ids of its commands are computed with its number.
#[tokio::test]
async fn a_client_that_was_lost_gets_its_number_again() {
    let stack = Stack::with(Options::default()).await;
    let create = async |arguments: &[&str]| -> Value {
        let created = stack.cli(&[&["clients", "create"], arguments].concat()).await;
        serde_json::from_str(&created).expect("JSON")
    };
    assert_eq!(create(&["lost", "--number", "7"]).await["client"], 7);
    assert_eq!(create(&["the next"]).await["client"], 8);
    assert_eq!(create(&["of old", "--number", "5"]).await["client"], 5);
    assert_eq!(create(&["one more"]).await["client"], 9);
    for taken in [["another", "--number", "7"], ["lost", "--number", "77"], ["none", "--number", "0"]] {
        assert!(!stack.succeeds("holdfast", &[&["clients", "create"][..], &taken].concat()).await);
    }
}
