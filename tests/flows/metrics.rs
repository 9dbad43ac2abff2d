//! What processes say of themselves to Prometheus.

use holdfast_testkit::{Options, Stack, eventually, free_port};
use reqwest::StatusCode;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

struct Watched {
    stack: Stack,
    api: String,
    worker: String,
}

impl Watched {
    /// Without a worker.
    async fn start() -> Self {
        let (api, worker) = (free_port().await, free_port().await);
        let listen = |port| format!("127.0.0.1:{port}");
        let environment =
            vec![("HOLDFAST__API__METRICS_LISTEN", listen(api)), ("HOLDFAST__WORKER__METRICS_LISTEN", listen(worker))];
        let stack = Stack::with(Options { environment, ..Options::default() }).await;
        let url = |port| format!("http://127.0.0.1:{port}/metrics");
        Self { stack, api: url(api), worker: url(worker) }
    }

    async fn scrape(&self, url: &str) -> String {
        let Ok(answer) = reqwest::get(url).await else { return String::new() };
        assert_eq!(answer.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
        answer.text().await.expect("a body")
    }

    /// A series, as it is written, in whichever process tells it.
    async fn value(&self, series: &str) -> Option<f64> {
        let text = format!("{}{}", self.scrape(&self.api).await, self.scrape(&self.worker).await);
        let values = text.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        values.map(|value| value.parse::<f64>().expect("a number")).next()
    }

    async fn becomes(&self, series: &str, value: f64) {
        eventually(&format!("{series} is {value}"), async || (self.value(series).await == Some(value)).then_some(()))
            .await;
    }
}

#[tokio::test]
async fn a_command_leaves_its_marks_on_the_whole_way() {
    let mut watched = Watched::start().await;
    watched.stack.start_worker();
    let body = json!({ "transactionId": "m-1", "amount": "1.00", "currency": "EUR",
                       "callbackUrl": format!("{}/callbacks", watched.stack.inbox_url) });
    let submission = watched.stack.submit_body(&body).await;
    watched.stack.settled(&submission).await;
    let again = watched.stack.post(&body).await;
    assert_eq!(again.status(), StatusCode::ACCEPTED);
    watched.stack.post(&json!({ "transactionId": "m-1", "amount": "2.00", "currency": "EUR" })).await;
    for (series, value) in [
        (r#"holdfast_submissions_total{kind="transaction",by="database",outcome="new"}"#, 1.0),
        (r#"holdfast_submissions_total{kind="transaction",by="database",outcome="replayed"}"#, 1.0),
        (r#"holdfast_submissions_total{kind="transaction",by="none",outcome="conflict"}"#, 1.0),
        (
            r#"http_server_request_duration_seconds_count{http_request_method="POST",http_route="/api/v1/transactions",http_response_status_code="202"}"#,
            2.0,
        ),
        (r#"holdfast_claim_lag_seconds_count{kind="transaction"}"#, 1.0),
        (
            r#"holdfast_partner_request_duration_seconds_count{partner="processor",operation="create",outcome="accepted"}"#,
            1.0,
        ),
        (
            r#"holdfast_step_duration_seconds_count{kind="transaction",step="submit",partner="processor",outcome="done"}"#,
            1.0,
        ),
        (r#"holdfast_ends_total{kind="transaction",status="completed",reason=""}"#, 1.0),
        (r#"holdfast_callback_duration_seconds_count{attempt="first",outcome="delivered"}"#, 1.0),
        (r#"db_client_operation_duration_seconds_count{db_operation_name="finish"}"#, 1.0),
        (r#"holdfast_partner_breaker_open{partner="processor"}"#, 0.0),
        ("holdfast_intake_open", 1.0),
        ("holdfast_outage", 0.0),
    ] {
        watched.becomes(series, value).await;
    }
    let published = watched.stack.queues["transactions"].clone();
    let published =
        format!(r#"holdfast_published_total{{messaging_destination_name="{published}",by="accept",outcome="stored"}}"#);
    watched.becomes(&published, 1.0).await;
}

#[tokio::test]
async fn what_is_logged_is_changed_while_a_process_runs() {
    let watched = Watched::start().await;
    let url = watched.api.replace("/metrics", "/log-level");
    let asked = async || reqwest::get(&url).await.expect("an answer").text().await.expect("a body");
    assert_eq!(asked().await, "aws=warn,info\n");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let set = async |filter| client.put(&url).body(filter).send().await.expect("an answer");
    assert_eq!(set("holdfast=loud").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(asked().await, "aws=warn,info\n");
    assert_eq!(set("error").await.status(), StatusCode::OK);
    assert_eq!(asked().await, "error\n");
}

#[tokio::test]
async fn one_process_surveys_what_is_owed_by_all() {
    let mut watched = Watched::start().await;
    watched.becomes("holdfast_workers", 0.0).await;
    watched.stack.submit("m-2", "1.00").await;
    watched.becomes(r#"holdfast_wakeups{kind="transaction",lane="run",state="due"}"#, 1.0).await;
    let queue =
        format!(r#"holdfast_queue_messages{{queue="{}",state="visible"}}"#, watched.stack.queues["transactions"]);
    watched.becomes(&queue, 1.0).await;
    watched.stack.start_worker();
    watched.becomes(r#"holdfast_wakeups{kind="transaction",lane="run",state="due"}"#, 0.0).await;
    watched.becomes("holdfast_workers", 1.0).await;
    watched.becomes(r#"holdfast_unreconciled{why="lost"}"#, 0.0).await;

    // The other one takes over when the first is gone.
    watched.stack.stop_api().await;
    watched.becomes("holdfast_workers", 1.0).await;
}

#[tokio::test]
async fn a_command_that_nothing_is_left_of_is_found() {
    let mut watched = Watched::start().await;
    let lost = watched.stack.submit("m-3", "1.00").await;
    watched.stack.submit("m-4", "1.00").await;
    sqlx::query("delete from wakeups w using commands c where c.no = w.no and c.key = 'm-3'")
        .execute(&watched.stack.pool)
        .await
        .expect("delete");
    watched.stack.advance(Duration::from_secs(120)).await;
    watched.becomes(r#"holdfast_unreconciled{why="lost"}"#, 1.0).await;
    assert!(watched.stack.log("holdfast-api").contains(&lost.id.to_string()), "the log names it");
    assert_eq!(watched.value(r#"holdfast_unreconciled{why="overdue"}"#).await, Some(0.0));

    watched.stack.advance(Duration::from_secs(30 * 86_400)).await;
    watched.becomes(r#"holdfast_unreconciled{why="overdue"}"#, 1.0).await;

    // As docs/operations.md has it.
    let runbook = include_str!("../../docs/operations.md");
    let (_, statement) = runbook.split_once("## A command is lost").expect("the chapter");
    let (_, statement) = statement.split_once("```sql\n").expect("a statement");
    let (statement, _) = statement.split_once("```").expect("its end");
    let statement = statement.replace("$ID", &lost.id.to_string());
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&watched.stack.pool).await.expect("the statement");
    watched.becomes(r#"holdfast_unreconciled{why="lost"}"#, 0.0).await;
    watched.stack.start_worker();
    assert_eq!(watched.stack.settled(&lost).await["status"], "completed");
    assert_eq!(watched.stack.trail(&lost).await[1]["takenOver"], true);
}

/// Names in the first column of the tables of docs/observability.md.
fn documented() -> BTreeSet<String> {
    let (_, metrics) = include_str!("../../docs/observability.md").split_once("## Metrics").expect("the chapter");
    let (metrics, _) = metrics.split_once("## Traces").expect("its end");
    let cells = metrics.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let words = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    words.filter(|word| word.contains('_')).map(str::to_owned).collect()
}

/// As `# TYPE` has them.
fn served(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() }).collect()
}

/// Everything in quotes in the sources of this folder.
fn words_in(folder: &Path, words: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            words_in(&entry, words);
        } else {
            let text = std::fs::read_to_string(entry).expect("text");
            words.extend(text.split('"').map(str::to_owned));
        }
    }
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_one_is_there() {
    let mut watched = Watched::start().await;
    watched.stack.start_worker();
    let submission = watched.stack.submit("m-5", "1.02").await;
    watched.stack.settled(&submission).await;
    for (series, value) in [("holdfast_workers", 1.0), (r#"holdfast_unreconciled{why="lost"}"#, 0.0)] {
        watched.becomes(series, value).await;
    }
    let documented = documented();
    let mut served_by_both = served(&watched.scrape(&watched.api).await);
    served_by_both.extend(served(&watched.scrape(&watched.worker).await));
    assert!(served_by_both.len() > 40, "{served_by_both:?}");
    let undocumented: Vec<_> = served_by_both.difference(&documented).collect();
    assert!(undocumented.is_empty(), "{undocumented:?}");
    // Not all of them have anything to tell in one test.
    let mut known = BTreeSet::new();
    words_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/app/src"), &mut known);
    words_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/api/src"), &mut known);
    let is_known = |name: &&String| known.contains(*name) || known.contains(name.trim_end_matches("_total"));
    let made_up: Vec<_> = documented.iter().filter(|name| !is_known(name)).collect();
    assert!(made_up.is_empty(), "{made_up:?}");
}
