//! Payloads are kept for a while, tombstones for ever.

use crate::webhooks::{completed, database_time, deliver};
use holdfast_app::credentials::create_client;
use holdfast_domain::journal::Entry;
use holdfast_domain::{ClientNo, Command, CommandId, CommandNo, Kind, Lane, message};
use holdfast_queue::Queue;
use holdfast_testkit::{Options, Stack, Submission, eventually, free_port};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use uuid::Uuid;

const DAY: Duration = Duration::from_secs(86_400);

/// Longer than a payload is kept, and than it takes until somebody looks.
const LONG: Duration = Duration::from_secs(401 * 86_400);

/// Nobody archives but the test.
async fn stack(more: Vec<(&'static str, String)>) -> Stack {
    let mut environment = vec![("HOLDFAST__RETENTION__ENABLED", "false".to_owned())];
    environment.extend(more);
    let mut stack = Stack::with(Options { environment, ..Options::default() }).await;
    stack.start_worker();
    stack
}

/// How many were archived, and how many are to be looked at again.
async fn archive(stack: &Stack) -> (u64, u64) {
    let ran = stack.as_operator(&["retention", "run", "--output", "json"]).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    let count = |name: &str| ran.document()[name].as_u64().expect("a number");
    (count("archived"), count("postponed"))
}

async fn asked(stack: &Stack, method: &str, path: &str) -> (StatusCode, Value) {
    let answer = stack.request(method, path).send().await.expect("an answer");
    (answer.status(), answer.json().await.expect("a body"))
}

async fn status(stack: &Stack, submission: &Submission) -> StatusCode {
    asked(stack, "GET", &submission.this).await.0
}

async fn count(stack: &Stack, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&stack.pool).await.expect("count")
}

fn transaction(key: &str, amount: &str) -> Value {
    json!({ "transactionId": key, "amount": amount, "currency": "EUR", "description": "for Jane Doe" })
}

#[tokio::test]
async fn a_payload_is_taken_away_when_its_time_has_come_and_not_before() {
    let stack = stack(Vec::new()).await;
    let order = stack.submit_as(Kind::Order, "o", "1.00").await;
    assert_eq!(stack.settled(&order).await["status"], "completed");
    stack.advance(399 * DAY).await;
    assert_eq!(archive(&stack).await, (0, 0));
    assert_eq!(stack.get(&order.this).await["userId"], "u");

    stack.advance(2 * DAY).await;
    let plan = stack.as_operator(&["retention", "run", "--dry-run", "-o", "json"]).await.document();
    assert_eq!((&plan["due"], &plan["done"]), (&json!(1), &json!("nothing")));
    assert_eq!(archive(&stack).await, (1, 0));
    let (code, problem) = asked(&stack, "GET", &order.this).await;
    assert_eq!((code, &problem["type"]), (StatusCode::GONE, &json!("/problems/archived")));
    let left = &problem["archived"];
    assert_eq!((&left["id"], &left["kind"], &left["status"]), (&json!(order.id), &json!("order"), &json!("completed")));
    let ended = left["finishedAt"].as_str().expect("a time").split('T').next().expect("a day");
    let detail = problem["detail"].as_str().expect("a sentence");
    assert!(detail.starts_with(&format!("The order is completed since {ended}; since ")), "{detail}");

    for gone in [
        "select count(*) from commands where body <> '' or header_key is not null or traceparent is not null",
        "select count(*) from outcomes where detail is not null or progress <> '{\"partners\": []}'",
        "select count(*) from events",
        "select count(*) from partner_updates",
        "select count(*) from orders",
        "select count(*) from retention_postponed",
    ] {
        assert_eq!(count(&stack, gone).await, 0, "{gone}");
    }
    let standing = stack.as_operator(&["retention", "status", "-o", "json"]).await.document();
    let all = ["position", "due", "postponed", "lagS"].map(|name| standing[name].as_i64());
    assert_eq!(all, [Some(1), Some(0), Some(0), Some(0)], "{standing}");
    assert_eq!(archive(&stack).await, (0, 0), "nothing is done twice");
}

#[tokio::test]
async fn its_client_is_told_how_it_ended_and_nobody_else_is_told_anything() {
    let stack = stack(Vec::new()).await;
    let (body, other_body) = (transaction("t", "1.00"), transaction("t", "2.00"));
    let mut told = body.clone();
    told["callbackUrl"] = json!(format!("{}/callbacks", stack.inbox_url));
    let submission = stack.submit_body(&told).await;
    stack.settled(&submission).await;
    let listed = stack.get(&format!("{}/callbacks", submission.this)).await;
    let callback = listed["data"][0]["id"].as_str().expect("an id").to_owned();
    let before = stack.at_partner(&submission);
    assert_eq!(before.effects, 1);
    stack.advance(LONG).await;
    assert_eq!(archive(&stack).await, (1, 0));

    let paths = [
        ("GET", submission.this.clone()),
        ("GET", format!("{}/events", submission.this)),
        ("GET", format!("{}/callbacks", submission.this)),
        ("POST", format!("{}/callbacks/{callback}/resend", submission.this)),
        ("POST", format!("{}/cancel", submission.this)),
    ];
    for (method, path) in &paths {
        let (code, problem) = asked(&stack, method, path).await;
        assert_eq!((code, &problem["archived"]["status"]), (StatusCode::GONE, &json!("completed")), "{method} {path}");
    }
    let another = create_client(&stack.app, "another", None).await.expect("create").expect("the name is free");
    let client = reqwest::Client::builder().no_proxy().build().expect("build a client");
    for (method, path) in &paths {
        let request = client.request(method.parse().expect("a method"), format!("{}{path}", stack.api_url));
        let answer = request.bearer_auth(&another.api_key).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{method} {path}");
    }

    // It was carried out once.
    let replay = stack.post(&told).await;
    assert_eq!(replay.status(), StatusCode::GONE);
    assert_eq!(replay.json::<Value>().await.expect("a body")["archived"]["id"], json!(submission.id));
    assert_eq!(stack.post(&other_body).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(count(&stack, "select count(*) from commands").await, 1);
    assert_eq!(count(&stack, "select count(*) from wakeups").await, 0);
    let after = stack.at_partner(&submission);
    assert_eq!((after.effects, after.requests), (1, before.requests));
    assert_eq!(stack.told(&submission).len(), 1);

    let got = stack.as_client(&["get", &submission.id], "").await;
    assert!(got.status == 1 && got.err.contains("410 archived") && got.err.contains("is completed since"), "{got:?}");
}

#[tokio::test]
async fn a_list_ends_where_the_archive_begins() {
    let mut stack = stack(Vec::new()).await;
    let old = stack.submit("old", "1.00").await;
    stack.settled(&old).await;
    stack.stop_workers().await;
    let waits = stack.submit("waits", "1.00").await;
    let older = stack.submit("ends-early", "1.00").await;
    stack.request("POST", &format!("{}/cancel", older.this)).send().await.expect("an answer");
    sqlx::query("delete from wakeups where lane = 1").execute(&stack.pool).await.expect("nobody is told");
    stack.advance(LONG).await;
    assert_eq!(archive(&stack).await, (2, 1));
    let new = stack.submit("new", "1.00").await;
    let listed = async |query: &str| {
        let page = stack.get(&format!("/api/v1/transactions?{query}")).await;
        let ids =
            page["data"].as_array().expect("a list").iter().map(|one| one["id"].as_str().expect("text").to_owned());
        (ids.collect::<Vec<_>>(), page["nextCursor"].clone())
    };
    assert_eq!(listed("limit=1").await.0, std::slice::from_ref(&new.id));
    assert_eq!(listed("limit=2").await, (vec![new.id.clone()], Value::Null));
    assert_eq!(listed("status=completed").await, (Vec::new(), Value::Null));
    assert_eq!(listed("status=cancelled&limit=1").await, (Vec::new(), Value::Null));
    assert_eq!(listed("key=old").await, (Vec::new(), Value::Null));
    // What goes on is not behind it.
    assert_eq!(listed("status=accepted").await, (vec![new.id, waits.id], Value::Null));
}

#[tokio::test]
async fn what_has_not_ended_or_is_still_owed_stays_and_goes_when_that_is_over() {
    let mut stack = stack(Vec::new()).await;
    let sold = stack.submit("t", "10.00").await;
    stack.settled(&sold).await;
    stack.sandbox.set_rejecting("ledger", true);
    let parked = stack.refund("r", "t", Some("4.00")).await;
    assert_eq!(stack.settled(&parked).await["status"], "needs_attention");
    let doubted = stack.submit("doubted", "1.00").await;
    stack.settled(&doubted).await;
    stack.stop_workers().await;
    let item =
        "insert into attention_items (command, code, detail) select no, 'c', 'd' from commands where key = 'doubted'";
    sqlx::query(item).execute(&stack.pool).await.expect("open an item");
    let waits = stack.submit("waits", "1.00").await;
    let owed = stack.submit("owed", "1.00").await;
    let cancel = format!("{}/cancel", owed.this);
    assert_eq!(asked(&stack, "POST", &cancel).await.0, StatusCode::OK);

    stack.advance(LONG).await;
    assert_eq!(archive(&stack).await, (1, 4));
    assert_eq!(status(&stack, &sold).await, StatusCode::GONE);
    for stays in [&parked, &doubted, &waits, &owed] {
        assert_eq!(status(&stack, stays).await, StatusCode::OK, "{}", stays.this);
    }
    assert_eq!(archive(&stack).await, (0, 0), "they are not looked at all the time");
    stack.advance(8 * DAY).await;
    assert_eq!(archive(&stack).await, (0, 4));

    stack.cli(&["attention", "resolve", &parked.id, "--as", "completed", "--by", "jane", "--why", "INC-1"]).await;
    let item: i64 = count(&stack, "select no from attention_items").await;
    stack.cli(&["attention", "close", &item.to_string(), "--by", "jane", "--why", "INC-1"]).await;
    stack.start_worker();
    for ends in [&parked, &waits, &owed] {
        stack.settled(ends).await;
    }
    assert_eq!(stack.told(&owed).len(), 1, "what was owed was not forgotten");
    stack.stop_workers().await;
    // Those that ended long ago go at the next look, the others when their own time has come.
    stack.advance(8 * DAY).await;
    assert_eq!(archive(&stack).await, (2, 2));
    assert_eq!((status(&stack, &doubted).await, status(&stack, &owed).await), (StatusCode::GONE, StatusCode::GONE));
    stack.advance(LONG).await;
    assert_eq!(archive(&stack).await, (2, 0));
    assert_eq!((status(&stack, &parked).await, status(&stack, &waits).await), (StatusCode::GONE, StatusCode::GONE));
    for nothing in ["retention_postponed", "events", "attention_items"] {
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {nothing}"));
        assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&stack.pool).await.expect("count"), 0, "{nothing}");
    }
}

#[tokio::test]
async fn what_is_archived_can_still_be_refunded_and_never_twice() {
    let stack = stack(Vec::new()).await;
    let sold = stack.submit("t", "10.00").await;
    stack.settled(&sold).await;
    let first = stack.refund("r1", "t", Some("4.00")).await;
    assert_eq!(stack.settled(&first).await["status"], "completed");
    stack.advance(LONG).await;
    assert_eq!(archive(&stack).await, (2, 0));
    let too_much = stack.refund("r2", "t", Some("7.00")).await;
    assert_eq!(stack.settled(&too_much).await["reason"]["code"], "refund_exceeds_transaction");
    let rest = stack.refund("r3", "t", None).await;
    let settled = stack.settled(&rest).await;
    assert_eq!((&settled["status"], &settled["amount"]), (&json!("completed"), &json!("6.00")));
    assert!(stack.at_partners(Kind::Refund, &rest).iter().all(|book| book.effects == 1));
    assert_eq!(count(&stack, "select refunded from transactions").await, 1_000);
}

/// What was accepted, as a message carries it.
async fn carried(stack: &Stack, key: &str) -> (CommandNo, Command) {
    let sql = "select no, id, client, fingerprint, body from commands where key = $1";
    let row = sqlx::query_as::<_, (i64, Uuid, i32, Vec<u8>, String)>(sql).bind(key).fetch_one(&stack.pool);
    let (no, id, client, fingerprint, body) = row.await.expect("a command");
    let command = Command {
        id: CommandId(id),
        client: ClientNo(client),
        kind: Kind::Transaction,
        key: key.to_owned(),
        header_key: None,
        fingerprint: fingerprint.try_into().expect("32 bytes"),
        body,
        traceparent: None,
        accepted_at: None,
    };
    (CommandNo(no), command)
}

async fn drained(queue: &Queue) {
    eventually("all messages are dealt with", || async {
        let counts = queue.counts().await.ok()?;
        (counts.waiting + counts.in_flight + counts.delayed == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn late_messages_and_webhooks_do_nothing_to_an_archived_command() {
    let stack = stack(Vec::new()).await;
    let submission = stack.submit("t", "1.00").await;
    stack.settled(&submission).await;
    let (no, command) = carried(&stack, "t").await;
    stack.advance(LONG).await;
    assert_eq!(archive(&stack).await, (1, 0));

    let nudge = message::nudge(no, command.id, Kind::Transaction, Lane::Tell);
    stack.send_message(Kind::Transaction, &json!(nudge).to_string()).await;
    let first = message::first(&stack.app.server_key, no, command.clone());
    stack.send_message(Kind::Transaction, &json!(first).to_string()).await;
    let journal = stack.queue_url("journal").await;
    let entry = json!(Entry::Command { command }.into_message(&stack.app.server_key)).to_string();
    stack.sqs.send_message().queue_url(journal).message_body(entry).send().await.expect("send");
    drained(stack.app.queues.of(Kind::Transaction)).await;
    drained(stack.app.queues.journal()).await;

    let now = database_time(&stack).await;
    let failed = json!({ "id": submission.id, "status": "failed", "reason": "no" }).to_string();
    for (event, body) in [("e1", completed(&submission.id)), ("e2", failed.clone()), ("e2", failed)] {
        assert_eq!(deliver(&stack, event, now, &body).await, StatusCode::OK);
    }
    assert_eq!(count(&stack, "select count(*) from partner_updates").await, 0, "nobody would read them");
    let items = stack.as_operator(&["attention", "list", "-o", "json"]).await.lines();
    assert_eq!(items.len(), 1, "an operator is told once of what contradicts the end: {items:?}");
    assert_eq!(items[0]["reason"]["code"], "contradicting_webhook");

    assert_eq!(status(&stack, &submission).await, StatusCode::GONE);
    assert_eq!(stack.at_partner(&submission).effects, 1);
    assert_eq!(stack.told(&submission).len(), 1);
    let rows =
        "select (select count(*) from commands) + (select count(*) from wakeups) + (select count(*) from events)";
    assert_eq!(count(&stack, rows).await, 1);
}

/// Commands that are archived by half, or not at all and damaged.
const HALVES: &str = "select count(*)
       from commands c
       join outcomes o using (no)
      where (o.expunged_at is null) = (c.body = '')
         or (o.expunged_at is null) <> exists (select from events e where e.no = c.no)
         or (o.expunged_at is null) <> (c.no > (select position from retention_progress))";

const ARCHIVED: &str = "select count(*) from outcomes where expunged_at is not null";

#[tokio::test]
async fn a_run_that_is_killed_leaves_whole_commands_and_two_at_once_share_the_rest() {
    let environment = [("HOLDFAST__RETENTION__BATCH", "5"), ("HOLDFAST__RETENTION__PAUSE_MS", "1")];
    let mut stack = stack(environment.map(|(name, value)| (name, value.to_owned())).into()).await;
    let mut submissions = Vec::new();
    for n in 0..17 {
        submissions.push(stack.submit(&format!("t{n}"), "1.00").await);
    }
    for submission in &submissions {
        stack.settled(submission).await;
    }
    stack.stop_workers().await;
    stack.advance(LONG).await;

    // Somebody has a row of the second batch, so that the run hangs in the middle of its statement.
    let mut held = stack.pool.begin().await.expect("begin");
    let eighth = "select no from events where no = (select no from commands order by no offset 7 limit 1) for update";
    sqlx::query(eighth).fetch_all(&mut *held).await.expect("lock");
    let mut run = stack.operator_command(&["retention", "run"]);
    for limit in ["HOLDFAST__DATABASE__LOCK_TIMEOUT_MS", "HOLDFAST__DATABASE__STATEMENT_TIMEOUT_MS"] {
        run.env(limit, "120000");
    }
    let mut run = run.stdout(Stdio::null()).spawn().expect("start it");
    let hanging = "select pid from pg_stat_activity
                    where datname = current_database() and wait_event_type = 'Lock' and query like '%retention_progress%'";
    let backend = eventually("the second batch waits", || async {
        sqlx::query_scalar::<_, i32>(hanging).fetch_optional(&stack.pool).await.expect("look")
    })
    .await;
    run.kill().await.expect("kill it");
    sqlx::query("select pg_terminate_backend($1)").bind(backend).execute(&stack.pool).await.expect("and its session");
    held.rollback().await.expect("let go");
    eventually("its session is over", || async {
        sqlx::query_scalar::<_, i32>(hanging).fetch_optional(&stack.pool).await.expect("look").is_none().then_some(())
    })
    .await;
    assert_eq!((count(&stack, ARCHIVED).await, count(&stack, HALVES).await), (5, 0));

    let (one, other) = tokio::join!(archive(&stack), archive(&stack));
    assert_eq!((one.0 + other.0, one.1 + other.1), (12, 0));
    assert_eq!((count(&stack, ARCHIVED).await, count(&stack, HALVES).await), (17, 0));
}

#[tokio::test]
async fn a_process_archives_by_itself_and_tells() {
    let port = free_port().await;
    let environment = vec![
        ("HOLDFAST__API__METRICS_LISTEN", format!("127.0.0.1:{port}")),
        ("HOLDFAST__RETENTION__INTERVAL_MS", "100".to_owned()),
        ("HOLDFAST__RETENTION__UNSETTLED_LETTERS_AFTER_MS", (500 * 86_400_000_u64).to_string()),
    ];
    let mut stack = Stack::with(Options { environment, ..Options::default() }).await;
    stack.start_worker_with(&[("HOLDFAST__RETENTION__ENABLED", "false")]);
    let submission = stack.submit("t", "1.00").await;
    stack.settled(&submission).await;
    stack.stop_workers().await;
    let waits = stack.submit("waits", "1.00").await;
    let letter = "insert into dead_letters (queue, message_id, body, cause, state, settled_at, settled_by, settled_why)
                  values ('q', 'm', 'b', 'c', 'discarded', holdfast_now(), 'me', 'why'), ('q', 'n', 'b', 'c', 'kept', null, null, null)";
    sqlx::query(letter).execute(&stack.pool).await.expect("store letters");
    stack.advance(LONG).await;
    eventually("it is archived", || async { (status(&stack, &submission).await == StatusCode::GONE).then_some(()) })
        .await;
    let url = format!("http://127.0.0.1:{port}/metrics");
    for line in
        ["holdfast_retention_archived_total 1", "holdfast_retention_postponed 1", "holdfast_retention_lag_seconds 0.0"]
    {
        eventually(line, || async {
            let text = reqwest::get(&url).await.ok()?.text().await.ok()?;
            text.lines().any(|told| told == line || told.strip_suffix(".0") == Some(line)).then_some(())
        })
        .await;
    }
    assert_eq!(status(&stack, &waits).await, StatusCode::OK);
    // What was settled long ago goes with the next look through the small tables, of whoever looks.
    stack.cli(&["retention", "run"]).await;
    let states = "select coalesce(string_agg(state, ','), '') from dead_letters";
    let states = async || sqlx::query_scalar::<_, String>(states).fetch_one(&stack.pool).await.expect("read");
    assert_eq!(states().await, "kept", "what nobody has settled stays");
    stack.advance(LONG).await;
    stack.cli(&["retention", "run"]).await;
    assert_eq!(states().await, "", "but not for ever");
}
