//! A client's commands, page by page.

use holdfast_domain::Kind;
use holdfast_testkit::{Options, Stack};
use reqwest::StatusCode;
use serde_json::{Value, json};

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

/// All ids of a list, and how many each page has.
async fn all(stack: &Stack, query: &str) -> (Vec<String>, Vec<usize>) {
    let (mut ids, mut counts, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let (page, next) = page(stack, &format!("{query}{cursor}")).await;
        counts.push(page.len());
        ids.extend(page);
        match next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (ids, counts),
        }
    }
}

/// Nobody has 200 times 64 KiB lying here.
#[tokio::test]
async fn a_page_ends_where_it_is_large_enough_and_the_next_one_goes_on() {
    let stack = Stack::with(Options::default()).await;
    let mut ids = Vec::new();
    for n in 0..40 {
        let body = json!({ "transactionId": format!("t{n}"), "amount": "1.00", "currency": "EUR", "metadata": { "x": "x".repeat(60_000) } });
        ids.push(Stack::submission(stack.post(&body).await).await.id);
    }
    ids.reverse();
    for query in ["limit=200", "limit=200&status=accepted"] {
        assert_eq!(all(&stack, query).await, (ids.clone(), vec![18, 18, 4]), "{query}");
    }
    assert_eq!(all(&stack, "limit=20").await, (ids.clone(), vec![18, 18, 4]));
    assert_eq!(all(&stack, "limit=10").await, (ids, vec![10, 10, 10, 10]));
}

/// Neither a client's own past nor what others have going on is looked through in one go; what goes on is found.
#[tokio::test]
async fn what_goes_on_is_found_among_much_of_ones_own_and_much_of_others() {
    let stack = Stack::with(Options::default()).await;
    let oldest = stack.submit("oldest", "1.00").await;
    let fill = "
        insert into commands (id, client, kind, key, fingerprint, body, created_at)
        select gen_random_uuid(), 1, 1, n::text, decode(repeat('00', 32), 'hex'), '{}', holdfast_now()
          from generate_series(1, 6000) n";
    sqlx::raw_sql(fill).execute(&stack.pool).await.expect("a past");
    let newest = stack.submit("newest", "1.00").await;
    let both = vec![newest.id, oldest.id];
    assert_eq!(all(&stack, "status=accepted").await, (both.clone(), vec![2]), "little goes on: all of it is looked at");
    let fill = "
        insert into wakeups (no, lane, kind, status, due_at)
        select 1000000 + n, 0, 1, 'accepted', now() + interval '1 h' from generate_series(1, 6000) n";
    sqlx::raw_sql(fill).execute(&stack.pool).await.expect("what others have going on");
    assert_eq!(all(&stack, "status=accepted").await, (both, vec![1, 1]), "its own, newest first, and so far a page");
    assert_eq!(all(&stack, "status=pending").await, (vec![], vec![0, 0]));
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
