//! What each client may ask for.

use super::{Limited, header, slug, transaction};
use futures::future::join_all;
use holdfast_domain::api_key::ApiKey;
use holdfast_testkit::eventually;
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

/// Far more than are let through while they are sent.
const MANY: usize = 50;

impl Limited {
    async fn read_as(&self, client: &Client, key: &str) -> Response {
        let url = format!("{}/api/v1/orders", self.stack.api_url);
        client.get(url).bearer_auth(key).send().await.expect("an answer")
    }
}

fn http() -> Client {
    Client::builder().no_proxy().build().expect("a client")
}

#[tokio::test]
async fn a_client_that_asks_too_much_is_slowed_down_and_no_other() {
    let limited = Limited::with(&[]).await;
    let key = limited.another_client("eager").await;
    limited.stack.cli(&["clients", "limit", "eager", "--submissions-per-s", "1"]).await;
    let (client, url) = (http(), format!("{}/api/v1/transactions", limited.stack.api_url));
    let posts = (0..MANY).map(|n| client.post(&url).bearer_auth(&key).json(&transaction(&format!("e-{n}"))).send());
    let answers: Vec<_> = join_all(posts).await.into_iter().map(|answer| answer.expect("an answer")).collect();
    assert!(answers.iter().any(|answer| answer.status() == StatusCode::ACCEPTED));
    let refused: Vec<_> = answers.into_iter().filter(|answer| answer.status() != StatusCode::ACCEPTED).collect();
    assert!(!refused.is_empty());
    for answer in refused {
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(header(&answer, "retry-after").as_deref(), Some("1"));
        assert_eq!(header(&answer, "ratelimit-policy").as_deref(), Some("\"submissions\";q=2;w=2"));
        assert_eq!(header(&answer, "ratelimit").as_deref(), Some("\"submissions\";r=0;t=1"));
        assert_eq!(slug(answer).await, "rate-limited");
    }
    // What it reads, and whatever others do, is another matter.
    assert_eq!(limited.read_as(&client, &key).await.status(), StatusCode::OK);
    let others = join_all((0..MANY).map(async |n| limited.stack.post(&transaction(&format!("o-{n}"))).await.status()));
    assert!(others.await.into_iter().all(|status| status == StatusCode::ACCEPTED));
    let sql = "select count(*) from commands where key like 'o-%'";
    let stored: i64 = sqlx::query_scalar(sql).fetch_one(&limited.stack.pool).await.expect("count");
    assert_eq!(stored, MANY as i64);
}

#[tokio::test]
async fn every_answer_to_a_known_key_tells_what_is_left() {
    let settings = [("HOLDFAST__LIMITS__SUBMISSIONS_PER_S", "1000"), ("HOLDFAST__LIMITS__READS_PER_S", "500")];
    let limited = Limited::with(&settings).await;
    let accepted = limited.stack.post(&transaction("t")).await;
    assert_eq!(header(&accepted, "ratelimit-policy").as_deref(), Some("\"submissions\";q=2000;w=2"));
    assert_eq!(header(&accepted, "ratelimit").as_deref(), Some("\"submissions\";r=1999;t=1"));
    for (path, status) in [("/api/v1/orders", 200), ("/api/v1/orders/x", 404), ("/api/v1/orders?limit=x", 400)] {
        let answer = limited.get(path).await;
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(header(&answer, "ratelimit-policy").as_deref(), Some("\"reads\";q=1000;w=2"), "{path}");
        assert!(header(&answer, "ratelimit").is_some_and(|left| left.starts_with("\"reads\";r=99")), "{path}");
    }
    let stranger = limited.read_as(&http(), "nobody's").await;
    assert_eq!((stranger.status(), header(&stranger, "ratelimit")), (StatusCode::UNAUTHORIZED, None));
    assert_eq!(header(&limited.get("/livez").await, "ratelimit"), None);
}

#[tokio::test]
async fn an_operator_sets_a_limit_for_a_client_and_takes_it_back() {
    let limited = Limited::with(&[]).await;
    let policy = async || header(&limited.get("/api/v1/orders").await, "ratelimit-policy");
    assert_eq!(policy().await, None, "none is configured here");
    let limit = async |more: &[&str]| limited.stack.as_operator(&[&["clients", "limit"], more].concat()).await.status;
    assert_eq!(limit(&["test", "--reads-per-s", "7"]).await, 0);
    eventually("it holds", async || (policy().await.as_deref() == Some("\"reads\";q=14;w=2")).then_some(())).await;
    assert_eq!(limit(&["test", "--submissions-per-s", "9"]).await, 0);
    let listed: Value = limited.stack.as_operator(&["clients", "list", "--output", "json"]).await.lines().remove(0);
    assert_eq!((&listed["readsPerS"], &listed["submissionsPerS"]), (&7.into(), &9.into()));
    assert_eq!(limit(&["test", "--default"]).await, 0);
    eventually("it is over", async || policy().await.is_none().then_some(())).await;
    assert_eq!(limit(&["nobody", "--default"]).await, 3);
    for wrong in [&["test"][..], &["test", "--default", "--reads-per-s", "1"], &["test", "--reads-per-s", "1000001"]] {
        assert_eq!(limit(wrong).await, 2);
    }
}

#[tokio::test]
async fn keys_of_nobodys_are_soon_asked_for_no_more() {
    let limited = Limited::with(&[("HOLDFAST__LIMITS__UNKNOWN_KEYS_PER_S", "1")]).await;
    assert_eq!(limited.get("/api/v1/orders").await.status(), StatusCode::OK, "this key is known");
    let client = http();
    let mut refused = 0;
    for n in 0_u64.. {
        let key = ApiKey::format(n.to_be_bytes(), [7; 32]);
        let answer = limited.read_as(&client, &key).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            assert!(header(&answer, "retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
            assert_eq!(slug(answer).await, "rate-limited");
            refused += 1;
        } else {
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        }
        if refused == 3 {
            break;
        }
        assert!(n < 10_000);
    }
    assert_eq!(limited.get("/api/v1/orders").await.status(), StatusCode::OK);
    limited.becomes(r#"holdfast_requests_limited_total{limit="unknown_keys"}"#, 3.0).await;
}

/// All of them come before the first is known to be nobody's.
#[tokio::test]
async fn keys_of_nobodys_are_counted_however_many_come_at_once() {
    let limited = Limited::with(&[("HOLDFAST__LIMITS__UNKNOWN_KEYS_PER_S", "1")]).await;
    let client = http();
    let keys: Vec<_> = (0..MANY as u64).map(|n| ApiKey::format(n.to_be_bytes(), [7; 32])).collect();
    let answers = join_all(keys.iter().map(|key| limited.read_as(&client, key))).await;
    let asked = answers.iter().filter(|answer| answer.status() == StatusCode::UNAUTHORIZED).count();
    assert!((1..MANY / 2).contains(&asked), "{asked} were asked for, of which one a second may be");
}
