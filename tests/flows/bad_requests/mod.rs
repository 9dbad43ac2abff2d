//! Requests that must be refused, by the hundred. Each has a name and the answer that it gets; none is a fault of ours, and
//! none leaves a row or a message behind.

mod addresses;
mod bodies;
mod headers;
mod http;
mod sending;
mod webhooks;

use holdfast_domain::Kind;
use holdfast_testkit::{Options, Stack, eventually};
use reqwest::StatusCode;
use sending::{Answer, Request, send};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, query_scalar};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::SocketAddr;
use tokio::task::JoinSet;

/// Requests under way at once.
const AT_ONCE: usize = 32;

/// The fewest that count as a table.
const ENOUGH: usize = 300;

/// One request that is refused.
struct Bad {
    name: String,
    request: Request,
    refused: Refused,
}

/// What it is answered.
#[derive(Clone)]
enum Refused {
    /// A problem with this status and type.
    As(u16, &'static str),
    /// 422, and among the fields that are named there is this one.
    Field(String),
    /// A status without a body: by what reads HTTP, before anything of ours sees the request, or because of HEAD.
    Bare(u16),
    /// 400, if anything: whoever breaks off in the middle may hear no more.
    AtMost400,
}

use Refused::{As, AtMost400, Bare, Field};

impl Bad {
    fn new(name: impl Into<String>, request: Request, refused: Refused) -> Self {
        Self { name: name.into(), request, refused }
    }
}

/// What the requests are about.
struct Site {
    address: SocketAddr,
    api_key: String,
    /// Of another client.
    other_api_key: String,
    /// A transaction that was cancelled.
    transaction: String,
    /// Postgres' time, in seconds since the epoch.
    now: i64,
}

impl Site {
    /// As a client would send it.
    fn request(&self, method: &str, path: &str) -> Request {
        Request::new(method, path).with("authorization", format!("Bearer {}", self.api_key))
    }

    fn post(&self, kind: Kind, body: impl AsRef<[u8]>) -> Request {
        self.request("POST", &format!("/api/v1/{}", kind.plural())).json(body)
    }
}

fn table(site: &Site) -> Vec<Bad> {
    [bodies::table(site), headers::table(site), addresses::table(site), webhooks::table(site), http::table(site)]
        .into_iter()
        .flatten()
        .collect()
}

/// A stack without a worker, so that nothing moves by itself, and a command that ended in it.
async fn site() -> (Stack, Site) {
    let environment = webhooks::environment();
    let stack = Stack::with(Options { environment, ..Options::default() }).await;
    let transaction = stack.submit("known", "1.00").await;
    let cancelled = stack.request("POST", &format!("{}/cancel", transaction.this)).send().await.expect("an answer");
    assert_eq!(cancelled.status(), StatusCode::OK);
    eventually("its message is in the queue", || async { (messages(&stack).await == 1).then_some(()) }).await;
    let other = holdfast_app::credentials::create_client(&stack.app, "other", None).await.expect("create a client");
    let now = "select extract(epoch from holdfast_now())::bigint";
    let site = Site {
        address: stack.api_url.trim_start_matches("http://").parse().expect("an address"),
        api_key: stack.api_key.clone(),
        other_api_key: other.expect("the name is free").api_key,
        transaction: transaction.id,
        now: query_scalar(now).fetch_one(&stack.pool).await.expect("a time"),
    };
    (stack, site)
}

/// How many rows each table has. One is left out: in `surveyor` it is noted which process looks at all that is owed.
async fn rows(stack: &Stack) -> BTreeMap<String, i64> {
    let names = "select relname::text from pg_class
                  where relkind = 'r' and relnamespace = 'public'::regnamespace and relname <> 'surveyor'";
    let names: Vec<String> = query_scalar(names).fetch_all(&stack.pool).await.expect("the tables");
    let mut rows = BTreeMap::new();
    for name in names {
        let sql = AssertSqlSafe(format!("select count(*) from \"{name}\""));
        let count = query_scalar(sql).fetch_one(&stack.pool).await.expect("count");
        rows.insert(name, count);
    }
    assert!(rows.len() > 10 && rows["commands"] == 1, "{rows:?}");
    rows
}

async fn messages(stack: &Stack) -> u64 {
    let queues = &stack.app.queues;
    let of_kinds = Kind::ALL.into_iter().flat_map(|kind| [queues.of(kind), queues.dead_letters_of(kind)]);
    let mut messages = 0;
    for queue in of_kinds.chain([queues.journal()]) {
        let counts = queue.counts().await.expect("the queue answers");
        messages += counts.waiting + counts.in_flight + counts.delayed;
    }
    messages
}

#[tokio::test]
async fn hundreds_of_bad_requests_are_refused_and_leave_nothing() {
    let (stack, site) = site().await;
    let table = table(&site);
    let names: HashSet<&str> = table.iter().map(|bad| bad.name.as_str()).collect();
    assert_eq!(names.len(), table.len(), "each has a name of its own");
    assert!(table.len() >= ENOUGH, "only {}", table.len());
    let before = (rows(&stack).await, messages(&stack).await);

    let wrong = answers(site.address, table).await;
    assert!(wrong.is_empty(), "{} are not answered as they should be:\n{}", wrong.len(), wrong.join("\n"));

    assert_eq!((rows(&stack).await, messages(&stack).await), before);
    let good = json!({ "transactionId": "bad", "amount": "1.00", "currency": "EUR" });
    assert_eq!(stack.post(&good).await.status(), StatusCode::ACCEPTED, "none of their keys was used up");
}

/// What is repeated is answered as if it were new, and has no second effect.
#[tokio::test]
async fn what_was_heard_before_leaves_nothing_either() {
    let (stack, site) = site().await;
    let send_all = async |requests: Vec<Request>| {
        for request in requests {
            let answer = send(site.address, &request).await.expect("an answer");
            assert!(matches!(answer.status, 200 | 202), "{} to {request:?}", answer.status);
        }
    };
    let known = r#"{"transactionId": "known", "amount": "1.00", "currency": "EUR", "callbackUrl": "URL"}"#;
    let known = known.replace("URL", &format!("{}/callbacks", stack.inbox_url));
    send_all(webhooks::authentic(&site)).await;
    let before = (rows(&stack).await, messages(&stack).await);
    assert_eq!(before.0["partner_updates"], 2, "of each partner one");
    send_all(webhooks::authentic(&site)).await;
    send_all(vec![site.post(Kind::Transaction, &known), site.post(Kind::Transaction, known.replace(' ', "\n\t"))])
        .await;
    assert_eq!((rows(&stack).await, messages(&stack).await), before);
}

/// Sends all of them. Answers those that were not refused as they should be.
async fn answers(address: SocketAddr, mut table: Vec<Bad>) -> Vec<String> {
    let mut under_way = JoinSet::new();
    let mut wrong = Vec::new();
    while let Some(bad) = table.pop() {
        if under_way.len() == AT_ONCE {
            wrong.extend(under_way.join_next().await.expect("one is under way").expect("no panic"));
        }
        under_way.spawn(async move {
            let answer = send(address, &bad.request).await;
            judge(&bad.refused, answer).err().map(|why| format!("{}: {why}", bad.name))
        });
    }
    wrong.extend(under_way.join_all().await.into_iter().flatten());
    wrong.sort();
    wrong
}

fn judge(refused: &Refused, answer: Option<Answer>) -> Result<(), String> {
    let Some(answer) = answer else {
        return if matches!(refused, AtMost400) { Ok(()) } else { Err("no answer".to_owned()) };
    };
    let (status, kind) = match refused {
        As(status, kind) => (*status, *kind),
        Field(_) => (422, "invalid-content"),
        Bare(status) => {
            let is_bare = answer.status == *status && answer.body.is_empty();
            return if is_bare { Ok(()) } else { Err(format!("{answer:?}")) };
        }
        AtMost400 => (400, "unparseable-body"),
    };
    let body: Value = serde_json::from_slice(&answer.body).map_err(|_| format!("{answer:?}"))?;
    let is_problem = answer.content_type == "application/problem+json" && body["status"] == answer.status;
    if !is_problem || answer.status != status || body["type"] != format!("/problems/{kind}") {
        return Err(format!("{answer:?}"));
    }
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    let pointers: BTreeSet<&str> = errors.iter().filter_map(|error| error["pointer"].as_str()).collect();
    match refused {
        Field(pointer) if !pointers.contains(pointer.as_str()) => Err(format!("{pointers:?}, not {pointer}")),
        _ => Ok(()),
    }
}
