//! What a key may do, for every operation of the committed OpenAPI document.

use crate::operations::{self, OpenedBy, Operation, Places};
use holdfast_domain::{Kind, Scope, Scopes};
use holdfast_testkit::{Options, Stack};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The stack's own client, with a command of each kind, told of.
struct Owner {
    ids: BTreeMap<Kind, (String, String)>,
    url: String,
}

impl Owner {
    async fn live(stack: &mut Stack) -> Self {
        let mut ids = BTreeMap::new();
        stack.start_worker();
        for kind in Kind::ALL {
            let submission = stack.submit_as(kind, "ended", "1.00").await;
            stack.settled(&submission).await;
            let told = stack.get(&format!("{}/callbacks", submission.this)).await;
            let callback = told["data"][0]["id"].as_str().expect("it was told").to_owned();
            ids.insert(kind, (submission.id, callback));
        }
        stack.stop_workers().await;
        let url = format!("{}/callbacks", stack.inbox_url);
        let set = stack.request("PUT", "/api/v1/callback-endpoint").json(&json!({ "url": url })).send().await;
        assert_eq!(set.expect("an answer").status(), StatusCode::OK);
        Self { ids, url }
    }

    fn places(&self, operation: &Operation) -> Places<'_> {
        let kind = Kind::ALL.into_iter().find(|kind| operation.is_about(*kind)).unwrap_or(Kind::Order);
        let (id, callback) = &self.ids[&kind];
        Places { id, callback, key: "new", url: &self.url }
    }
}

async fn everything(stack: &Stack) -> Value {
    let sql = "select jsonb_build_array(
                 (select count(*) from commands), (select jsonb_agg(to_jsonb(w) order by no, lane) from wakeups w),
                 (select count(*) from events), (select count(*) from outcomes), (select jsonb_agg(to_jsonb(c)) from clients c))";
    sqlx::query_scalar(sql).fetch_one(&stack.pool).await.expect("read")
}

/// Each with the scope that it needs.
fn with_a_key() -> impl Iterator<Item = (Operation, String)> {
    operations::all().into_iter().filter_map(|operation| match operation.opened_by.clone() {
        OpenedBy::Key(scope) => Some((operation, scope)),
        OpenedBy::Everybody | OpenedBy::Partner => None,
    })
}

#[test]
fn every_scope_opens_something() {
    let named: BTreeSet<String> = with_a_key().map(|(_, scope)| scope).collect();
    assert_eq!(named, Scopes::all().names().into_iter().collect());
}

#[tokio::test]
async fn a_key_with_every_scope_but_the_one_needed_changes_nothing() {
    let mut stack = Stack::with(Options::default()).await;
    let owner = Owner::live(&mut stack).await;
    let mut keys = BTreeMap::new();
    for scope in Scope::all() {
        let others = Scope::all().filter(|other| *other != scope).collect();
        keys.insert(scope.to_string(), stack.key_with(others).await);
    }
    let before = everything(&stack).await;
    for (operation, scope) in with_a_key() {
        let what = format!("{} {}", operation.method, operation.path);
        let answer = operation.call(&stack, &keys[&scope], owner.places(&operation)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}");
        let problem = json!({
            "type": "/problems/insufficient-scope", "title": "API key may not do this", "status": 403,
            "detail": format!("It lacks the scope {scope}"),
        });
        assert_eq!(answer.json(), problem, "{what}");
        assert_eq!(everything(&stack).await, before, "{what}");
    }
    let asked_for =
        stack.request_as(&keys["refunds:write"], "POST", "/api/v1/refunds").send().await.expect("an answer");
    let expected = r#"Bearer realm="holdfast", error="insufficient_scope", scope="refunds:write""#;
    assert_eq!(asked_for.headers()["www-authenticate"], expected);
}

#[tokio::test]
async fn a_key_with_the_scope_needed_alone_gets_through() {
    let mut stack = Stack::with(Options::default()).await;
    let owner = Owner::live(&mut stack).await;
    let mut keys = BTreeMap::new();
    for scope in Scope::all() {
        keys.insert(scope.to_string(), stack.key_with([scope].into_iter().collect()).await);
    }
    for (operation, scope) in with_a_key() {
        let answer = operation.call(&stack, &keys[&scope], owner.places(&operation)).await;
        let what = format!("{} {}: {answer:?}", operation.method, operation.path);
        // A command that has ended cannot be cancelled.
        let done = answer.status.is_success() || answer.status == StatusCode::CONFLICT;
        assert!(done, "{what}");
    }
}
