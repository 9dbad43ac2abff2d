//! The audit trail: whatever happens to a command, its rows are chained; and what is changed afterwards is found where it
//! was changed. That the trails of all other flows are intact is looked at wherever one of them has settled.

use holdfast_app::audit::Filter;
use holdfast_domain::Kind;
use holdfast_testkit::cli::Ran;
use holdfast_testkit::{Options, Stack, Submission, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

/// Every process here is of this release.
const STRICTLY: [&str; 2] = ["--unchained-until", "2026-01-01T00:00:00Z"];
const WHY: [&str; 2] = ["--why", "a test"];

async fn verify(stack: &Stack, more: &[&str]) -> Ran {
    stack.as_operator(&[&["audit", "verify", "-o", "json"], more].concat()).await
}

/// The last line.
fn sum(ran: &Ran) -> Value {
    ran.lines().pop().expect("a line")
}

async fn change(stack: &Stack, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&stack.pool).await.expect("sql");
}

async fn submit_to(stack: &Stack, key: &str, amount: &str, path: &str) -> Submission {
    let url = format!("{}{path}", stack.inbox_url);
    let body = json!({ "transactionId": key, "amount": amount, "currency": "EUR", "callbackUrl": url });
    stack.submit_body(&body).await
}

#[tokio::test]
async fn whatever_happens_to_a_command_its_trail_is_chained() {
    let mut stack = Stack::with(Options::default()).await;
    let cancelled = stack.submit("cancelled", "1.00").await;
    let answer = stack.request("POST", &format!("{}/cancel", cancelled.this)).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    stack.start_worker();
    stack.settled(&cancelled).await;
    for kind in Kind::ALL {
        // Told twice: while it is pending, and when it has ended.
        let submission = stack.submit_as(kind, "pending", "1.02").await;
        stack.settled(&submission).await;
    }
    for amount in ["1.03", "1.04", "1.05", "1.06", "1.09", "1.13"] {
        let submission = stack.submit(amount, amount).await;
        stack.settled_in_time(&submission).await;
    }
    let told = submit_to(&stack, "told", "1.00", "/flaky/1").await;
    stack.settled_in_time(&told).await;
    let callbacks = stack.get(&format!("{}/callbacks", told.this)).await;
    let resend = format!("{}/callbacks/{}/resend", told.this, callbacks["data"][0]["id"].as_str().expect("text"));
    assert_eq!(stack.request("POST", &resend).send().await.expect("an answer").status(), StatusCode::ACCEPTED);
    stack.settled(&told).await;
    for (key, act) in [("retried", vec!["retry"]), ("resolved", vec!["resolve", "--as", "failed"])] {
        stack.sandbox.set_rejecting("ledger", true);
        let refund = stack.submit_as(Kind::Refund, key, "1.00").await;
        assert_eq!(stack.settled(&refund).await["status"], "needs_attention");
        stack.sandbox.set_rejecting("ledger", false);
        stack.cli(&[&["attention"], &act[..], &[refund.id.as_str()], &WHY].concat()).await;
        eventually("it has ended", || async {
            (stack.get(&refund.this).await["status"] != "needs_attention").then_some(())
        })
        .await;
        stack.settled(&refund).await;
    }
    let ran = verify(&stack, &STRICTLY).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    let sum = sum(&ran);
    let rows: i64 = sqlx::query_scalar("select count(*) from events").fetch_one(&stack.pool).await.expect("count");
    assert_eq!((&sum["commands"], &sum["breaks"], &sum["unchained"]), (&json!(13), &json!(0), &json!(0)));
    assert_eq!(sum["rows"], json!(rows));
    let one = verify(&stack, &["--id", &told.id]).await;
    assert_eq!(sum_of(&one, "commands"), json!(1), "{one:?}");
    let client = verify(&stack, &["--client", "test"]).await;
    assert_eq!(sum_of(&client, "commands"), json!(13), "{client:?}");
    assert_eq!(verify(&stack, &["--client", "nobody"]).await.status, 3);
    assert_eq!(verify(&stack, &["--since", "2999-01-01T00:00:00Z"]).await.status, 0);
}

fn sum_of(ran: &Ran, member: &str) -> Value {
    sum(ran)[member].clone()
}

/// Sequence, attempt, what.
type Place = (i32, i16, &'static str);

/// What was done to the trail of a command, and what must be found.
const CHANGES: [(&str, &[Place]); 22] = [
    (
        r#"update events set data = jsonb_set(data, '{0,worker}', '1') where no = $no and sequence = 1"#,
        &[(1, 0, "changed")],
    ),
    (
        "update events set at = at + interval '1 us' where no = $no and (sequence, attempt) = (2, 0)",
        &[(2, 0, "changed")],
    ),
    ("update events set data = '[]' where no = $no and attempt = 2", &[(2, 2, "changed")]),
    ("update events set hash = null where no = $no and sequence = 1", &[(1, 0, "changed")]),
    (
        "update events set hash = null, previous = null where no = $no and sequence = 1",
        &[(1, 0, "unhashed"), (2, 0, "unlinked")],
    ),
    ("delete from events where no = $no and sequence = 1", &[(1, 0, "missing")]),
    ("delete from events where no = $no and (sequence, attempt) = (2, 0)", &[(2, 0, "missing")]),
    ("delete from events where no = $no and sequence = 2", &[(2, 0, "missing")]),
    ("delete from events where no = $no", &[(1, 0, "missing")]),
    ("delete from events where no = $no and attempt = 1", &[(2, 1, "missing")]),
    ("insert into events (no, sequence, data) values ($no, 3, '[]')", &[(3, 0, "unhashed"), (3, 0, "surplus")]),
    ("insert into events (no, sequence, attempt, data) values ($no, 2, 3, '[]')", &[(2, 3, "unhashed")]),
    // Every hash of it is right.
    (
        "insert into events (no, sequence, at, data, previous, hash)
         select no, 3, at, '[]', hash, holdfast_event_hash(hash, no, 3, 0::smallint, at, '[]')
           from events where no = $no and (sequence, attempt) = (2, 0)",
        &[(3, 0, "surplus")],
    ),
    // Two rows change their places.
    (
        "update events set sequence = 1000 where no = $no and sequence = 1;
         update events set sequence = 1 where no = $no and (sequence, attempt) = (2, 0);
         update events set sequence = 2 where no = $no and sequence = 1000",
        &[
            (1, 0, "unlinked"),
            (1, 0, "changed"),
            (2, 0, "unlinked"),
            (2, 0, "changed"),
            (2, 1, "unlinked"),
            (2, 0, "wrong_head"),
        ],
    ),
    // What one row says is made to fit.
    (
        "update events set data = '[]', hash = holdfast_event_hash(previous, no, sequence, attempt, at, '[]')
          where no = $no and sequence = 1",
        &[(2, 0, "unlinked")],
    ),
    (
        "update events set data = '[]', hash = holdfast_event_hash(previous, no, sequence, attempt, at, '[]')
          where no = $no and (sequence, attempt) = (2, 0)",
        &[(2, 1, "unlinked"), (2, 0, "wrong_head")],
    ),
    ("update outcomes set chain = sha256('') where no = $no", &[(2, 0, "wrong_head")]),
    ("update outcomes set status = 'cancelled', reason = null where no = $no", &[(2, 0, "other_end")]),
    ("delete from outcomes where no = $no", &[(2, 0, "no_end")]),
    (
        "update commands set body = replace(body, '1.03', '9.99') where no = $no",
        &[(0, 0, "other_content"), (1, 0, "unlinked")],
    ),
    ("update commands set fingerprint = sha256('') where no = $no", &[(0, 0, "other_content"), (1, 0, "unlinked")]),
    // A whole chain anew, for a command under another key.
    (
        "update commands set key = 'another' where no = $no;
         with a as (
           select no, holdfast_acceptance_hash(no, id, client, kind, created_at, fingerprint, key, body) as hash
             from commands where no = $no
         )
         update events e set previous = a.hash, hash = holdfast_event_hash(a.hash, e.no, 1, 0::smallint, e.at, e.data)
           from a where e.no = a.no and e.sequence = 1",
        &[(0, 0, "other_id"), (2, 0, "unlinked")],
    ),
];

#[tokio::test]
async fn what_is_changed_is_found_where_it_was_changed() {
    let stack = Stack::start().await;
    // One wait, one end that was told twice; and another command beside it.
    let submission = submit_to(&stack, "t", "1.03", "/flaky/1").await;
    stack.settled_in_time(&submission).await;
    let other = stack.submit("other", "1.00").await;
    stack.settled(&other).await;
    let own = sqlx::query_scalar::<_, i64>("select no from commands where key = 't'").fetch_one(&stack.pool).await;
    let own = own.expect("a row");
    change(
        &stack,
        "create table kept_events as table events; create table kept_outcomes as table outcomes;
         create table kept_commands as table commands",
    )
    .await;
    for (sql, expected) in CHANGES {
        change(&stack, &sql.replace("$no", &own.to_string())).await;
        let ran = verify(&stack, &STRICTLY).await;
        assert_eq!(ran.status, 6, "{sql}: {ran:?}");
        let lines = ran.lines();
        let (breaks, sum) = lines.split_at(lines.len() - 1);
        let expected: Vec<_> = expected.iter().map(|found| place(&submission.id, *found)).collect();
        assert_eq!(breaks.iter().map(whose).collect::<Vec<_>>(), expected, "{sql}");
        assert_eq!(sum[0]["breaks"], json!(expected.len()), "{sql}");
        undo(&stack).await;
    }
    // Where the last attempt was nothing is missed, but where it is now it does not belong.
    change(&stack, &format!("update events set no = no + 1 where no = {own} and attempt = 2")).await;
    let lines = verify(&stack, &STRICTLY).await.lines();
    let expected = [(2, 0, "missing"), (2, 2, "changed")].map(|found| place(&other.id, found));
    assert_eq!(lines[..2].iter().map(whose).collect::<Vec<_>>(), expected);
    undo(&stack).await;
    change(&stack, "insert into events (no, sequence, data) values (1000000, 1, '[]')").await;
    let ran = verify(&stack, &STRICTLY).await;
    assert_eq!((&ran.lines()[0]["no"], &ran.lines()[0]["break"]), (&json!(1_000_000), &json!("no_command")));
    undo(&stack).await;
    assert!(stack.verify(Filter::default()).await.is_empty());
}

async fn undo(stack: &Stack) {
    change(
        stack,
        "delete from events; insert into events select * from kept_events;
         delete from outcomes; insert into outcomes select * from kept_outcomes;
         update commands c set body = k.body, fingerprint = k.fingerprint, key = k.key from kept_commands k where k.no = c.no",
    )
    .await;
}

fn place(id: &str, (sequence, attempt, what): Place) -> Value {
    json!([id, sequence, attempt, what])
}

fn whose(line: &Value) -> Value {
    json!([line["id"], line["sequence"], line["attempt"], line["break"]])
}

#[tokio::test]
async fn a_digest_that_was_kept_shows_what_was_rewritten_as_a_whole() {
    let stack = Stack::start().await;
    let submission = stack.submit("t", "1.00").await;
    stack.settled(&submission).await;
    stack.advance(Duration::from_secs(120)).await;
    let kept = sum(&verify(&stack, &STRICTLY).await);
    let until = kept["until"].as_str().expect("text");
    let [ends, rows] = [0, 1].map(|at| kept["digests"][at].as_str().expect("text"));
    let expect = async |digests: &[&str]| {
        let digests = digests.iter().flat_map(|digest| ["--expect", *digest]);
        let ran = verify(&stack, &["--until", until].into_iter().chain(digests).collect::<Vec<_>>()).await;
        (ran.status, sum_of(&ran, "breaks"))
    };
    // What comes later changes neither: another command, or the same told once more.
    stack.settled(&stack.submit("later", "1.00").await).await;
    let callbacks = stack.get(&format!("{}/callbacks", submission.this)).await;
    let id = callbacks["data"][0]["id"].as_str().expect("text");
    stack.request("POST", &format!("{}/callbacks/{id}/resend", submission.this)).send().await.expect("an answer");
    stack.settled(&submission).await;
    let none = json!(0);
    assert_eq!(expect(&[ends, rows]).await, (0, none.clone()));
    // Of the last attempt nothing else in the database tells, and every hash is right.
    change(
        &stack,
        "update events set data = '[]', hash = holdfast_event_hash(previous, no, sequence, attempt, at, '[]')
          where no = 1 and attempt = 1;
         delete from events where no = 1 and attempt = 2",
    )
    .await;
    assert_eq!(expect(&[]).await, (0, none.clone()));
    assert_eq!(expect(&[ends]).await, (0, none.clone()));
    assert_eq!(expect(&[ends, rows]).await, (6, none.clone()));
    change(
        &stack,
        "delete from events where no = 1 and attempt = 1;
         update events set at = at - interval '1 s',
                hash = holdfast_event_hash(previous, no, sequence, attempt, at - interval '1 s', data)
          where no = 1;
         update outcomes o set chain = e.hash from events e where e.no = o.no and o.no = 1",
    )
    .await;
    assert_eq!(expect(&[]).await, (0, none.clone()));
    assert_eq!(expect(&[ends]).await, (6, none));
    assert_eq!(verify(&stack, &["--expect", ends]).await.status, 2, "a digest is of a time");
    assert_eq!(verify(&stack, &["--until", until, "--expect", "0f"]).await.status, 2);
}

/// As a worker of an earlier release leaves it.
const WITHOUT_HASHES: &str =
    "update events set previous = null, hash = null; update wakeups set previous = null, chain = null";

#[tokio::test]
async fn rows_of_an_earlier_release_are_counted_and_the_chain_goes_on_after_them() {
    let mut stack = Stack::with(Options::default()).await;
    stack.start_worker();
    let submission = stack.submit("t", "1.03").await;
    eventually("its wait", || async {
        let trail = stack.trail(&submission).await;
        trail.iter().any(|event| event["type"] == "waiting").then_some(())
    })
    .await;
    stack.stop_workers().await;
    change(&stack, WITHOUT_HASHES).await;
    stack.start_worker();
    assert_eq!(stack.settled_in_time(&submission).await["status"], "completed");
    let ran = verify(&stack, &[]).await;
    let sum = sum(&ran);
    assert_eq!((ran.status, &sum["unchained"], &sum["rows"]), (0, &json!(1), &json!(2)), "{ran:?}");
    assert!(sum["lastUnchainedAt"].is_string());
    let ran = verify(&stack, &STRICTLY).await;
    assert_eq!((ran.status, whose(&ran.lines()[0])), (6, place(&submission.id, (1, 0, "unhashed"))));
}

#[tokio::test]
async fn what_an_earlier_release_has_ended_can_be_carried_on_and_told_again() {
    let stack = Stack::start().await;
    let told = stack.submit("told", "1.00").await;
    stack.settled(&told).await;
    stack.sandbox.set_rejecting("ledger", true);
    let mut parked = Vec::new();
    for key in ["retried", "resolved"] {
        let refund = stack.submit_as(Kind::Refund, key, "1.00").await;
        assert_eq!(stack.settled(&refund).await["status"], "needs_attention");
        parked.push(refund);
    }
    stack.sandbox.set_rejecting("ledger", false);
    // The last row of each run, and what was told of it.
    change(
        &stack,
        "update events e set previous = null, hash = null from outcomes o where o.no = e.no and o.sequence = e.sequence;
         update outcomes set chain = null",
    )
    .await;
    assert!(stack.verify(Filter::default()).await.is_empty());
    stack.cli(&[&["attention", "retry", &parked[0].id], &WHY[..]].concat()).await;
    stack.cli(&[&["attention", "resolve", &parked[1].id, "--as", "completed"], &WHY[..]].concat()).await;
    for refund in &parked {
        eventually("it is completed", || async {
            (stack.get(&refund.this).await["status"] == "completed").then_some(())
        })
        .await;
        stack.settled(refund).await;
    }
    let callbacks = stack.get(&format!("{}/callbacks", told.this)).await;
    let id = callbacks["data"][0]["id"].as_str().expect("text");
    stack.request("POST", &format!("{}/callbacks/{id}/resend", told.this)).send().await.expect("an answer");
    stack.settled(&told).await;
    assert_eq!(stack.told(&told).len(), 2);
}
