//! A client's commands, page by page.

use holdfast_domain::Kind;
use holdfast_testkit::{Options, Stack};
use reqwest::StatusCode;
use serde_json::Value;

/// The ids on this page, and the cursor of the next.
async fn page(stack: &Stack, query: &str) -> (Vec<String>, Option<String>) {
    let page = stack.get(&format!("/api/v1/transactions?{query}")).await;
    let ids = page["data"].as_array().expect("a list").iter().map(|one| one["id"].as_str().expect("text").to_owned());
    (ids.collect(), page["nextCursor"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn pages_go_from_the_newest_to_the_oldest_and_stay_stable_under_inserts() {
    let stack = Stack::with(Options::default()).await;
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(stack.submit(&format!("t{n}"), "1.00").await.id);
    }
    stack.submit_as(Kind::Order, "another-kind", "1.00").await;
    ids.reverse();
    let (first, cursor) = page(&stack, "limit=3").await;
    assert_eq!(first, ids[..3]);
    stack.submit("newer", "1.00").await;
    let (second, cursor) = page(&stack, &format!("limit=3&cursor={}", cursor.expect("more"))).await;
    assert_eq!(second, ids[3..6]);
    let (third, cursor) = page(&stack, &format!("limit=3&cursor={}", cursor.expect("more"))).await;
    assert_eq!((third, cursor), (ids[6..].to_vec(), None));
}

#[tokio::test]
async fn lists_are_filtered_by_status_time_and_key() {
    let mut stack = Stack::with(Options::default()).await;
    stack.start_worker();
    let (completed, failed) = (stack.submit("a", "1.00").await, stack.submit("b", "1.06").await);
    stack.settled(&completed).await;
    stack.settled(&failed).await;
    stack.stop_workers().await;
    let accepted = stack.submit("c", "1.00").await;
    for (query, expected) in [
        ("status=completed", vec![&completed]),
        ("status=failed", vec![&failed]),
        ("status=accepted", vec![&accepted]),
        ("status=cancelled", vec![]),
        ("key=b", vec![&failed]),
        ("key=b&status=completed", vec![]),
        ("key=nobody", vec![]),
        ("createdBefore=2001-01-01T00:00:00Z", vec![]),
        ("createdFrom=2001-01-01T00:00:00Z", vec![&accepted, &failed, &completed]),
        ("status=accepted&createdBefore=2001-01-01T00:00:00Z", vec![]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|submission| submission.id.clone()).collect();
        assert_eq!(page(&stack, query).await, (expected, None), "{query}");
    }
    let (one, cursor) = page(&stack, "status=completed&limit=1").await;
    assert_eq!((one.len(), cursor), (1, None));
    let listed = stack.get("/api/v1/transactions?key=a").await;
    assert_eq!(listed["data"][0], stack.get(&completed.this).await);
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_said() {
    let stack = Stack::with(Options::default()).await;
    // Of the year 255480, which Postgres does not have.
    let far = "cursor=ODAwMDAwMDAwMDAwMDAwMDAwMC4x";
    for query in
        ["limit=0", "limit=201", "limit=x", "cursor=x", far, "status=done", "createdFrom=yesterday", "colour=red"]
    {
        let answer = stack.request("GET", &format!("/api/v1/transactions?{query}")).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{query}");
        let problem: Value = answer.json().await.expect("a body");
        assert_eq!(problem["type"], "/problems/invalid-query");
        let name = query.split('=').next().expect("a name");
        assert!(problem["detail"].as_str().expect("text").contains(name), "{problem}");
    }
}
