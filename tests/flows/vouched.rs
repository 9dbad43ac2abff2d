//! Messages that whoever may send to the queues could have made up.

use crate::dead_letters::{command, letters, refused, to_the_dead};
use crate::webhooks::{is_pending, undecided};
use holdfast_domain::journal::{Entry, Update};
use holdfast_domain::{ClientNo, Command, CommandNo, Kind, Status, json as strict, message};
use holdfast_testkit::{Options, Stack, Submission, eventually};
use serde_json::{Value, json};

async fn journal(stack: &Stack, entry: &Value) {
    let url = stack.queue_url("journal").await;
    stack.sqs.send_message().queue_url(url).message_body(entry.to_string()).send().await.expect("send");
}

async fn commands(stack: &Stack) -> i64 {
    sqlx::query_scalar("select count(*) from commands").fetch_one(&stack.pool).await.expect("count")
}

async fn are_kept(stack: &Stack, count: i64, cause: &str) {
    let sql = "select count(*) from dead_letters where strpos(cause, $1) > 0";
    eventually(cause, || async {
        let kept: i64 = sqlx::query_scalar(sql).bind(cause).fetch_one(&stack.pool).await.ok()?;
        (kept == count).then_some(())
    })
    .await;
}

/// As the release before wrote it.
fn without_mac(mut message: Value) -> Value {
    let removed = message["data"].as_object_mut().expect("data").remove("mac");
    assert!(removed.is_some(), "it had one");
    message
}

/// The same key, another amount; all that can be made without the server key.
fn dearer(command: &Command) -> Command {
    let body = command.body.replace("1.00", "1000.00");
    let fingerprint = strict::parse(body.as_bytes()).expect("JSON").root.fingerprint();
    Command { body, fingerprint, ..command.clone() }
}

#[tokio::test]
async fn nobody_submits_in_a_clients_name_who_can_only_send_to_the_queues() {
    let stack = Stack::start().await;
    let key = &stack.app.server_key;
    let real = command(&stack, "real");
    // An id of another key; and a message that was read and altered, with its id and its MAC.
    let made_up = Command { id: real.id, ..command(&stack, "made-up") };
    let made_up = without_mac(json!(message::first(key, CommandNo(4711), made_up)));
    let mut altered = json!(message::first(key, CommandNo(4711), real.clone()));
    altered["data"]["command"] = json!(dearer(&real));
    let of_another = Command { client: ClientNo(2), ..real.clone() };
    let of_another = without_mac(json!(message::first(key, CommandNo(4711), of_another)));
    for message in [&made_up, &altered, &of_another] {
        stack.send_message(Kind::Transaction, &message.to_string()).await;
        to_the_dead(&stack, &message.to_string()).await;
    }
    let mut entry = json!(Entry::Command { command: real.clone() }.into_message(key));
    entry["data"]["command"] = json!(dearer(&real));
    journal(&stack, &entry).await;
    are_kept(&stack, 3, "not believed: its MAC is not that of what it says").await;
    are_kept(&stack, 4, "not believed: its id is not that of its client, kind and key").await;
    assert_eq!((letters(&stack).await, commands(&stack).await), (7, 0));
    assert!(stack.log("holdfast-worker").contains("message is not believed"), "somebody is told");
}

#[tokio::test]
async fn nobody_puts_a_word_into_a_partners_mouth_who_can_only_send_to_the_queues() {
    let stack = undecided(&[]).await;
    let submission = stack.submit("t", "1.00").await;
    is_pending(&stack, &submission).await;
    let update = Update {
        partner: "processor".to_owned(),
        event_id: "evt_1".to_owned(),
        command: submission.id.parse().expect("an id"),
        status: Status::Completed,
        reason: None,
        received_at: None,
    };
    let signed = json!(Entry::Update { update }.into_message(&stack.app.server_key));
    journal(&stack, &without_mac(signed.clone())).await;
    are_kept(&stack, 1, "not believed: it has no MAC").await;
    let mut altered = signed;
    altered["data"]["update"]["status"] = "failed".into();
    journal(&stack, &altered).await;
    are_kept(&stack, 1, "not believed: its MAC is not that of what it says").await;
    let stored: i64 =
        sqlx::query_scalar("select count(*) from partner_updates").fetch_one(&stack.pool).await.expect("count");
    assert_eq!((stored, &stack.get(&submission.this).await["status"]), (0, &Value::from("pending")));

    // An operator has asked the partner: the release before wrote it.
    let redrive = ["dlq", "redrive", "--cause", "it has no MAC", "--why", "a test", "--by", "tester"];
    assert_eq!(stack.cli(&redrive).await, "1 redriven\n");
    are_kept(&stack, 2, "not believed: it has no MAC").await;
    assert_eq!(stack.cli(&[&redrive[..], &["--vouch"]].concat()).await, "1 redriven\n");
    assert_eq!(stack.settled(&submission).await["status"], "completed");
}

#[tokio::test]
async fn what_the_release_before_has_accepted_is_written_all_the_same() {
    let stack = Stack::start().await;
    let (by_queue, by_message) = (command(&stack, "queue"), command(&stack, "message"));
    let ids = [by_queue.id, by_message.id];
    let key = &stack.app.server_key;
    journal(&stack, &without_mac(json!(Entry::Command { command: by_queue }.into_message(key)))).await;
    let first = without_mac(json!(message::first(key, CommandNo(4711), by_message)));
    stack.send_message(Kind::Transaction, &first.to_string()).await;
    for id in ids {
        is_completed(&stack, &id.to_string()).await;
    }
    assert_eq!(letters(&stack).await, 0);
}

async fn is_completed(stack: &Stack, id: &str) {
    let this = format!("/api/v1/transactions/{id}");
    eventually("the row", || async { stack.get(&this).await["createdAt"].is_string().then_some(()) }).await;
    let submission = Submission { id: id.to_owned(), this };
    assert_eq!(stack.settled(&submission).await["status"], "completed");
}

#[tokio::test]
async fn when_the_upgrade_is_over_nothing_is_believed_without_a_mac_unless_an_operator_vouches_for_it() {
    let environment = vec![("HOLDFAST__QUEUES__ACCEPT_WITHOUT_MAC", "false".to_owned())];
    let mut stack = Stack::with(Options { environment, ..Options::default() }).await;
    stack.start_worker();
    let late = command(&stack, "late");
    let (id, key) = (late.id.to_string(), &stack.app.server_key);
    // One that nobody can vouch for: it does not even agree with itself.
    let forged = Command { body: dearer(&late).body, ..late.clone() };
    for command in [late, forged] {
        journal(&stack, &without_mac(json!(Entry::Command { command }.into_message(key)))).await;
    }
    are_kept(&stack, 2, "not believed: it has no MAC").await;
    assert_eq!(commands(&stack).await, 0);
    let vouched =
        stack.cli(&["dlq", "redrive", "--cause", "MAC", "--vouch", "--why", "a test", "--by", "tester"]).await;
    assert!(vouched.contains("left, nobody can vouch for it") && vouched.ends_with("1 redriven\n"), "{vouched}");
    is_completed(&stack, &id).await;
}

#[tokio::test]
async fn what_postgres_refuses_is_kept_and_does_not_come_back() {
    let stack = Stack::start().await;
    let refused = refused(&stack);
    let body = json!(message::first(&stack.app.server_key, CommandNo(4711), refused)).to_string();
    stack.send_message(Kind::Transaction, &body).await;
    to_the_dead(&stack, &body).await;
    are_kept(&stack, 1, "postgres refused the data").await;
    are_kept(&stack, 1, "not handled when it was received").await;
    for queue in [stack.app.queues.of(Kind::Transaction), stack.app.queues.dead_letters_of(Kind::Transaction)] {
        eventually("nothing is left in the queue", || async {
            let counts = queue.counts().await.ok()?;
            (counts.waiting + counts.in_flight + counts.delayed == 0).then_some(())
        })
        .await;
    }
}
