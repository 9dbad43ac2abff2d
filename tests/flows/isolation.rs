//! One client can never see, guess or change what is another's, by whatever route. The routes are those of the committed
//! OpenAPI document: a new one is among them by itself.

use crate::operations::{self, Answer, OpenedBy, Operation, Places};
use holdfast_domain::Kind;
use holdfast_testkit::{Options, Stack, Submission};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// An id that nobody ever got.
const NEVER: &str = "9a6d12b7-6deb-8b42-8b75-d76a4b1e8cf1";
const NEVER_TOLD: &str = "evt_9a6d12b76deb8b428b75d76a4b1e8cf1_1_completed";

/// What relays write by themselves.
const NOT_ITS_OWN: [&str; 2] = ["due_at", "publishes"];

/// The stack's own client: of each kind one command that has ended, and one that could still be cancelled.
struct First {
    commands: Vec<(Kind, Submission)>,
    callbacks: Vec<String>,
    url: String,
    /// For the page that follows its newest transaction.
    cursor: String,
}

impl First {
    async fn live(stack: &mut Stack) -> Self {
        let mut commands = Vec::new();
        let mut callbacks = Vec::new();
        stack.start_worker();
        for kind in Kind::ALL {
            let submission = stack.submit_as(kind, "ended", "1.00").await;
            stack.settled(&submission).await;
            let told = stack.get(&format!("{}/callbacks", submission.this)).await;
            callbacks.push(told["data"][0]["id"].as_str().expect("it was told").to_owned());
            commands.push((kind, submission));
        }
        stack.stop_workers().await;
        for kind in Kind::ALL {
            commands.push((kind, stack.submit_as(kind, "open", "1.00").await));
        }
        let url = format!("{}/callbacks", stack.inbox_url);
        let set = stack.request("PUT", "/api/v1/callback-endpoint").json(&json!({ "url": url })).send().await;
        assert_eq!(set.expect("an answer").status(), StatusCode::OK);
        let page = stack.get("/api/v1/transactions?limit=1").await;
        let cursor = page["nextCursor"].as_str().expect("there are more").to_owned();
        Self { commands, callbacks, url, cursor }
    }

    /// Every place where something of its could be put, with each of its commands.
    fn places(&self) -> impl Iterator<Item = Places<'_>> {
        let ids = self.commands.iter().map(|(_, submission)| submission.id.as_str());
        ids.flat_map(move |id| self.callbacks.iter().map(move |callback| places(id, callback, &self.url)))
    }

    /// Every row that is its own.
    async fn rows(&self, stack: &Stack) -> Vec<Value> {
        let of_its_commands = ["wakeups", "outcomes", "events", "transactions", "refunds", "orders"]
            .map(|table| (table, "no in (select no from commands where client = $2)"));
        let updates = ("partner_updates", "command_id in (select id from commands where client = $2)");
        let others = [("commands", "client = $2"), ("clients", "no = $2"), updates];
        let mut rows = Vec::new();
        for (table, whose) in of_its_commands.into_iter().chain(others) {
            let sql = format!(
                "select coalesce(jsonb_agg(kept order by kept::text), '[]')
                   from (select to_jsonb(t) - $1::text[] as kept from {table} t where {whose}) kept"
            );
            let query = sqlx::query_scalar::<_, Value>(sqlx::AssertSqlSafe(sql)).bind(NOT_ITS_OWN.as_slice());
            let found = query.bind(Stack::CLIENT.0).fetch_one(&stack.pool).await.expect("read the rows");
            rows.push(json!({ table: found }));
        }
        rows
    }

    fn is_hidden_in(&self, answer: &Answer, stack: &Stack) -> bool {
        let ids = self.commands.iter().map(|(_, submission)| submission.id.as_str());
        let secrets = [self.url.as_str(), &stack.callback_secret, &stack.api_key];
        let texts = ids.chain(self.callbacks.iter().map(String::as_str)).chain(secrets);
        texts.into_iter().all(|text| !answer.body.contains(text))
    }
}

const fn places<'a>(id: &'a str, callback: &'a str, url: &'a str) -> Places<'a> {
    Places { id, callback, key: "open", url }
}

/// What everybody gets who names what is not theirs.
fn refusal(operation: &Operation) -> StatusCode {
    match operation.opened_by {
        OpenedBy::Key(_) => StatusCode::NOT_FOUND,
        // Who cannot sign is told nothing, whatever they name.
        OpenedBy::Partner => StatusCode::UNAUTHORIZED,
        OpenedBy::Everybody => panic!("{} {} is open to everybody", operation.method, operation.path),
    }
}

#[tokio::test]
async fn what_is_anothers_is_not_there_by_any_route_and_stays_as_it_is() {
    let mut stack = Stack::with(Options::default()).await;
    let first = First::live(&mut stack).await;
    let second = stack.another_client("second").await.api_key;
    let before = first.rows(&stack).await;
    let url = format!("{}/status/200", stack.inbox_url);
    let mut own: Vec<(Kind, String)> = Vec::new();
    let (mut naming, mut others) = (0, 0);
    for operation in operations::all() {
        let what = format!("{} {}", operation.method, operation.path);
        if operation.names_something() {
            naming += 1;
            let never = operation.call(&stack, &second, places(NEVER, NEVER_TOLD, &url)).await;
            assert_eq!(never.status, refusal(&operation), "{what}");
            for theirs in first.places() {
                assert_eq!(operation.call(&stack, &second, Places { url: &url, ..theirs }).await, never, "{what}");
            }
            continue;
        }
        others += 1;
        let answer = operation.call(&stack, &second, places(NEVER, NEVER_TOLD, &url)).await;
        assert!(answer.status.as_u16() < 500 && first.is_hidden_in(&answer, &stack), "{what}: {answer:?}");
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| operation.submits(*kind)) {
            // Under a key that stands for a command of the first one's.
            assert_eq!(answer.status, StatusCode::ACCEPTED, "{what}: {answer:?}");
            own.push((kind, answer.json()["id"].as_str().expect("an id").to_owned()));
        }
        nothing_is_listed(&stack, &operation, &second, &first).await;
    }
    assert!(naming > 15 && others > 12, "{naming}, {others}");
    assert_eq!(own.len(), Kind::ALL.len());
    own_ids_lead_to_ones_own_kind_only(&stack, &second, &own, &first).await;
    assert_eq!(first.rows(&stack).await, before);
}

/// Whatever is asked for is looked for among what is the caller's, and that is nothing yet.
async fn nothing_is_listed(stack: &Stack, operation: &Operation, key: &str, first: &First) {
    for name in &operation.queries {
        let value = match name.as_str() {
            "key" => "open",
            "cursor" => &first.cursor,
            "limit" => "200",
            _ => continue,
        };
        let query = format!("?{name}={value}");
        let page = operation.call_with(stack, key, places(NEVER, NEVER_TOLD, ""), &query).await;
        assert_eq!(page.json(), json!({ "data": [], "nextCursor": null }), "{}{query}", operation.path);
    }
}

async fn own_ids_lead_to_ones_own_kind_only(stack: &Stack, key: &str, own: &[(Kind, String)], first: &First) {
    let by_key = |operation: &Operation| matches!(operation.opened_by, OpenedBy::Key(_));
    for operation in operations::all().into_iter().filter(|operation| operation.names_something() && by_key(operation))
    {
        let never = operation.call(stack, key, places(NEVER, NEVER_TOLD, "")).await;
        for (kind, id) in own {
            // With a callback that was told to somebody else.
            if !operation.is_about(*kind) || operation.path.contains("{callback}") {
                let answer = operation.call(stack, key, places(id, &first.callbacks[0], "")).await;
                assert_eq!(answer, never, "{} {}, of a {kind}", operation.method, operation.path);
            }
        }
    }
}

/// So neither answer can take longer than the other: what an id says of itself decides, before anything is looked for. All
/// tables where anything could be found are locked; whoever looked would wait, and get no 404.
#[tokio::test]
async fn neither_anothers_id_nor_one_that_was_never_issued_is_looked_for() {
    let mut stack = Stack::with(Options::default()).await;
    let first = First::live(&mut stack).await;
    let second = stack.another_client("second").await.api_key;
    let whose = "select string_agg(quote_ident(tablename), ', ') from pg_tables
                  where schemaname = 'public' and tablename not in ('clients', 'api_keys', '_sqlx_migrations')";
    let tables: String = sqlx::query_scalar(whose).fetch_one(&stack.pool).await.expect("read the tables");
    let mut theirs = stack.pool.begin().await.expect("begin");
    let lock = format!("set local lock_timeout = '30 s'; lock table {tables} in access exclusive mode");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut *theirs).await.expect("lock them");
    for operation in operations::all().into_iter().filter(Operation::names_something) {
        let what = format!("{} {}", operation.method, operation.path);
        let never = operation.call(&stack, &second, places(NEVER, NEVER_TOLD, "")).await;
        assert_eq!(never.status, refusal(&operation), "{what}");
        for (kind, submission) in &first.commands {
            let answer = operation.call(&stack, &second, places(&submission.id, &first.callbacks[0], "")).await;
            assert_eq!(answer, never, "{what}");
            if operation.is_about(*kind) && operation.method == "GET" {
                let found = operation.call(&stack, &stack.api_key, places(&submission.id, NEVER_TOLD, "")).await;
                assert_eq!(found.status, StatusCode::SERVICE_UNAVAILABLE, "{what}: its owner's is looked for");
            }
        }
    }
    theirs.rollback().await.expect("let go");
}

/// What names another's transaction without its id: the other one's own name of it.
#[tokio::test]
async fn a_refund_finds_no_transaction_of_another_client() {
    let stack = Stack::start().await;
    let sale = stack.submit("sale", "5.00").await;
    assert_eq!(stack.settled(&sale).await["status"], "completed");
    let second = stack.another_client("second").await.api_key;
    let body = json!({ "refundId": "r", "transactionId": "sale", "amount": "1.00" });
    let answer = stack.request_as(&second, "POST", "/api/v1/refunds").json(&body).send().await.expect("an answer");
    let refund = Stack::submission(answer).await;
    let refund = holdfast_testkit::eventually("it has ended", || async {
        let answer = stack.request_as(&second, "GET", &refund.this).send().await.expect("an answer");
        let refund: Value = answer.json().await.expect("a body");
        (refund["status"] == "failed").then_some(refund)
    })
    .await;
    assert_eq!(refund["reason"]["code"], "transaction_not_found");
    let refunded: Vec<i64> =
        sqlx::query_scalar("select refunded from transactions").fetch_all(&stack.pool).await.expect("read");
    assert_eq!(refunded, [0]);
}
