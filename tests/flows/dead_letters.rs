//! Messages that were received too often.

use holdfast_domain::journal::Entry;
use holdfast_domain::{ClientNo, Command, CommandId, CommandNo, Kind, json, message};
use holdfast_testkit::{Options, Stack, Submission, eventually};

/// A first message whose row is not there.
fn only_trace(stack: &Stack, key: &str) -> (CommandId, String) {
    let command = command(stack, key);
    let id = command.id;
    (id, serde_json::to_string(&message::first(&stack.app.server_key, CommandNo(4711), command)).expect("serialises"))
}

pub(crate) fn command(stack: &Stack, key: &str) -> Command {
    let body = format!(r#"{{"transactionId":"{key}","amount":"1.00","currency":"EUR"}}"#);
    let id = CommandId::compute(&stack.app.server_key, ClientNo(1), Kind::Transaction, key);
    Command {
        id,
        client: ClientNo(1),
        kind: Kind::Transaction,
        key: key.to_owned(),
        header_key: None,
        fingerprint: json::parse(body.as_bytes()).expect("JSON").root.fingerprint(),
        body,
        traceparent: None,
        accepted_at: None,
    }
}

/// One that Postgres refuses: its text has no such character.
pub(crate) fn refused(stack: &Stack) -> Command {
    let key = "a\0b".to_owned();
    let id = CommandId::compute(&stack.app.server_key, ClientNo(1), Kind::Transaction, &key);
    Command { id, key, ..command(stack, "x") }
}

pub(crate) async fn to_the_dead(stack: &Stack, body: &str) {
    let name = format!("{}-dlq", stack.queues["transactions"]);
    let url = stack.sqs.get_queue_url().queue_name(name).send().await.expect("there").queue_url.expect("a URL");
    stack.sqs.send_message().queue_url(url).message_body(body).send().await.expect("send");
}

pub(crate) async fn letters(stack: &Stack) -> i64 {
    sqlx::query_scalar("select count(*) from dead_letters").fetch_one(&stack.pool).await.expect("count")
}

#[tokio::test]
async fn a_command_that_only_a_dead_letter_knows_is_carried_out() {
    let stack = Stack::start().await;
    let (id, body) = only_trace(&stack, "ghost");
    to_the_dead(&stack, &body).await;
    let this = format!("/api/v1/transactions/{id}");
    eventually("the row", || async { stack.get(&this).await["createdAt"].is_string().then_some(()) }).await;
    let submission = Submission { id: id.to_string(), this };
    assert_eq!(stack.settled(&submission).await["status"], "completed");
    assert_eq!(letters(&stack).await, 1);
}

#[tokio::test]
async fn letters_are_kept_until_an_operator_sends_them_again_or_discards_them() {
    let stack = Stack::start().await;
    to_the_dead(&stack, "not even JSON").await;
    to_the_dead(&stack, &only_trace(&stack, "ghost").1).await;
    eventually("both are kept", || async { (letters(&stack).await == 2).then_some(()) }).await;
    let list = async |more: &[&str]| stack.as_operator(&[&["dlq", "list", "-o", "json"], more].concat()).await.lines();
    assert_eq!(list(&[]).await.len(), 2);
    let listed = list(&["--cause", "expected"]).await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    let unreadable = listed[0]["no"].to_string();
    assert!(stack.cli(&["dlq", "show", &unreadable]).await.contains("not even JSON"));

    let why = ["--why", "a test", "--by", "tester"];
    let run = async |words: &[&str]| stack.cli(&[words, &why].concat()).await;
    let planned = run(&["dlq", "redrive", "--kind", "transaction", "--dry-run"]).await;
    assert_eq!(planned.lines().filter(|line| line.starts_with("would send to")).count(), 2, "{planned}");
    assert_eq!(run(&["dlq", "discard", "--cause", "not handled"]).await, "1 discarded\n");
    // What cannot be read comes back each time, until the guard stops it.
    for redrives in 1..=3 {
        let again = run(&["dlq", "redrive", "--cause", "expected", "--rate", "100"]).await;
        assert_eq!(again, "1 redriven\n", "{redrives}");
        eventually("it was buried again", || async { (letters(&stack).await == 2 + redrives).then_some(()) }).await;
    }
    let stopped = run(&["dlq", "redrive", "--cause", "expected"]).await;
    assert!(stopped.starts_with("left, it came back 3 times") && stopped.ends_with("0 redriven\n"), "{stopped}");
    assert_eq!(list(&["--settled"]).await.len(), 5);
    assert!(stack.cli(&["dlq", "show", &unreadable]).await.contains("settled by tester: a test"));
}

#[tokio::test]
async fn whoever_does_not_drain_the_dead_leaves_them_alone() {
    let mut stack = Stack::with(Options::default()).await;
    stack.start_worker_with(&[("HOLDFAST_QUEUES", "transactions,journal")]);
    to_the_dead(&stack, "not even JSON").await;
    let submission = stack.submit("t", "1.00").await;
    assert_eq!(stack.settled(&submission).await["status"], "completed");
    assert_eq!(letters(&stack).await, 0);
}

#[tokio::test]
async fn what_only_the_journal_knew_is_not_discarded_by_mistake() {
    let stack = Stack::start().await;
    let refused = refused(&stack);
    let id = refused.id.to_string();
    let entry = serde_json::to_string(&Entry::Command { command: refused }.into_message(&stack.app.server_key))
        .expect("serialises");
    let url = stack.queue_url("journal").await;
    stack.sqs.send_message().queue_url(url).message_body(entry).send().await.expect("send");
    eventually("it is kept", || async { (letters(&stack).await == 1).then_some(()) }).await;
    let which = ["--kind", "transaction", "--why", "a test", "--by", "tester"];
    let run = async |words: &[&str]| stack.cli(&[words, &which].concat()).await;
    assert!(stack.cli(&["dlq", "list", "--kind", "transaction"]).await.contains(&id));
    let left = run(&["dlq", "discard"]).await;
    assert!(left.starts_with("left, it may be the only trace") && left.ends_with("0 discarded\n"), "{left}");
    assert_eq!(run(&["dlq", "redrive"]).await, "1 redriven\n");
    eventually("the journal's reader got it again", || async { (letters(&stack).await == 2).then_some(()) }).await;
    assert_eq!(run(&["dlq", "discard", "--force"]).await, "1 discarded\n");
}

#[tokio::test]
async fn a_dead_letter_says_that_nobody_will_come_for_its_command() {
    let mut stack = Stack::with(Options::default()).await;
    let submission = stack.submit("t", "1.00").await;
    let sql = "update wakeups set due_at = holdfast_now() + interval '15 min', publishes = 9";
    sqlx::query(sql).execute(&stack.pool).await.expect("published often, in vain");
    let id = submission.id.parse().expect("an id");
    let message = message::nudge(CommandNo(1), id, Kind::Transaction, holdfast_domain::Lane::Run);
    to_the_dead(&stack, &serde_json::to_string(&message).expect("serialises")).await;
    // Its own first message is not received.
    stack.start_worker_with(&[("HOLDFAST_QUEUES", "refunds,dead-letters")]);
    eventually("it is due", || async {
        let sql = "select count(*) from wakeups where due_at <= holdfast_now() + interval '1 min'";
        let due: i64 = sqlx::query_scalar(sql).fetch_one(&stack.pool).await.expect("look");
        (due == 1).then_some(())
    })
    .await;
}
