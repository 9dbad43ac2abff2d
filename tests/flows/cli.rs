//! `holdfast`, as clients and operators run it.

use aws_sdk_sqs::types::QueueAttributeName;
use holdfast_testkit::cli::{Ran, run};
use holdfast_testkit::{Options, Stack, eventually};
use serde_json::{Value, json};

const NOBODY: &str = "9a6d12b7-6deb-8b42-8b75-d76a4b1e8cf1";

fn transaction(id: &str, amount: &str) -> String {
    json!({ "transactionId": id, "amount": amount, "currency": "EUR" }).to_string()
}

async fn submit(stack: &Stack, id: &str, amount: &str) -> Value {
    let submitted = stack.as_client(&["submit", "transaction", "-o", "json"], &transaction(id, amount)).await;
    assert_eq!(submitted.status, 0, "{submitted:?}");
    submitted.document()
}

fn id(command: &Value) -> &str {
    command["id"].as_str().expect("an id")
}

#[tokio::test]
async fn a_client_submits_waits_and_looks() {
    let stack = Stack::start().await;
    let waited = stack.as_client(&["submit", "transaction", "--wait", "-o", "json"], &transaction("t", "1.00")).await;
    assert_eq!(waited.status, 0, "{waited:?}");
    let end = waited.lines().pop().expect("the end");
    assert_eq!(end["status"], "completed");
    let again = submit(&stack, "t", "1.00").await;
    assert_eq!((id(&again), &again["replayed"], &again["acceptedBy"]), (id(&end), &json!(true), &json!("database")));

    // Named in each way.
    let path = again["links"]["self"].as_str().expect("a path");
    let pair = format!("transactions/{}", id(&end));
    for words in [&["get", "transaction", id(&end)][..], &["get", &pair], &["get", id(&end)], &["get", path]] {
        let got = stack.as_client(&[words, &["--output", "json"]].concat(), "").await;
        assert_eq!((got.status, &got.document()["status"]), (0, &json!("completed")), "{words:?}");
    }
    let table = stack.as_client(&["get", &pair], "").await;
    assert!(table.out.contains("status         completed\n") && table.out.contains("1.00"), "{table:?}");
    let trail = stack.as_client(&["events", &pair, "-o", "json"], "").await.lines();
    assert!(trail.iter().any(|event| event["type"] == "created" && event["outcome"] == "accepted"), "{trail:?}");
    assert!(stack.as_client(&["events", &pair], "").await.out.contains("processor accepted (201, "));
}

#[tokio::test]
async fn all_pages_of_a_list_are_followed() {
    let stack = Stack::with(Options::default()).await;
    for n in 0..3 {
        stack.submit(&format!("t-{n}"), "1.00").await;
    }
    let list = async |words: &[&str]| stack.as_client(&[&["list", "transactions"], words].concat(), "").await;
    assert_eq!(list(&["--all", "-o", "json"]).await.lines().len(), 3);
    assert_eq!(list(&["--limit", "2", "-o", "json"]).await.lines().len(), 2);
    assert_eq!(list(&["--status", "completed"]).await.out, "");
    assert_eq!(list(&["--key", "t-1", "-o", "json"]).await.lines()[0]["transactionId"], "t-1");
    let future = ["--created-from", "2999-01-01T00:00:00Z", "-o", "json"];
    assert!(list(&future).await.lines().is_empty());
    let table = list(&[]).await.out;
    assert!(table.starts_with("id ") && table.lines().count() == 4, "{table}");
}

#[tokio::test]
async fn what_is_wrong_is_said_and_has_its_exit_status() {
    let stack = Stack::with(Options::default()).await;
    let refused = stack.as_client(&["submit", "transaction"], r#"{"transactionId": "t", "amount": "1"}"#).await;
    assert_eq!(refused.status, 1);
    assert!(refused.err.contains("422 invalid-content") && refused.err.contains("/currency: "), "{refused:?}");
    let no_key = stack.as_client(&["submit", "transaction"], r#"{"amount": "1", "currency": "EUR"}"#).await;
    assert!(no_key.status == 1 && no_key.err.contains("idempotency-key-missing"), "{no_key:?}");
    let with_key = ["submit", "transaction", "--idempotency-key", "k"];
    assert_eq!(stack.as_client(&with_key, r#"{"amount": "1", "currency": "EUR"}"#).await.status, 0);

    for words in [&["get", NOBODY][..], &["get", "order", NOBODY], &["events", "order", NOBODY], &["watch", NOBODY]] {
        assert_eq!(stack.as_client(words, "").await.status, 3, "{words:?}");
    }
    for words in [&["get", "x"][..], &["get"], &["list", "nothing"], &["nothing"], &["watch"]] {
        assert_eq!(stack.as_client(words, "").await.status, 2, "{words:?}");
    }
    let mut command = stack.client_command(&["get", NOBODY]);
    command.env("HOLDFAST_API_KEY", "hfk_wrong");
    let unknown = run(command, String::new()).await;
    assert!(unknown.status == 1 && unknown.err.contains("401 unauthorized"), "{unknown:?}");
    let mut command = stack.client_command(&["get", NOBODY]);
    command.env_remove("HOLDFAST_API_KEY");
    assert_eq!(run(command, String::new()).await.status, 2);
}

/// A file with the key serves as well as the environment.
#[tokio::test]
async fn a_key_may_be_in_a_file() {
    let stack = Stack::with(Options::default()).await;
    let file = std::env::temp_dir().join(format!("holdfast-key-{}", std::process::id()));
    std::fs::write(&file, format!("{}\n", stack.api_key)).expect("write it");
    let named = ["list", "order", "--api-key-file", file.to_str().expect("text")];
    let mut command = stack.client_command(&named);
    command.env_remove("HOLDFAST_API_KEY");
    assert_eq!(run(command, String::new()).await.status, 0);
    std::fs::remove_file(&file).expect("remove it");
}

#[tokio::test]
async fn a_submission_is_repeated_until_the_api_is_there() {
    let mut stack = Stack::with(Options::default()).await;
    stack.stop_api().await;
    let soon = stack.as_client(&["submit", "transaction", "--retry-for-s", "1"], &transaction("t", "1.00")).await;
    assert!(soon.status == 1 && soon.err.contains("trying again"), "{soon:?}");
    let command = stack.client_command(&["submit", "transaction", "-o", "json", "--retry-for-s", "60"]);
    let submitted = tokio::spawn(run(command, transaction("t", "1.00")));
    stack.start_api(&[]).await;
    let submitted = submitted.await.expect("it ends");
    assert_eq!(submitted.status, 0, "{submitted:?}");
    assert_eq!(submitted.document()["status"], "accepted");
}

#[tokio::test]
async fn many_are_watched_until_the_last_has_ended() {
    let stack = Stack::start().await;
    let (good, slow) = (submit(&stack, "a", "1.00").await, submit(&stack, "b", "1.02").await);
    let watched = stack.as_client(&["watch", id(&good), id(&slow), "-o", "json"], "").await;
    assert_eq!(watched.status, 0, "{watched:?}");
    assert!(watched.lines().iter().all(|command| command["status"] == "completed"), "{watched:?}");

    submit(&stack, "c", "1.06").await;
    let listed = stack.as_client(&["list", "transaction", "-o", "json"], "").await.out;
    let watched = stack.as_client(&["watch"], &listed).await;
    assert_eq!(watched.status, 4, "{watched:?}");
    assert!(watched.out.ends_with("completed 2, failed 1\n"), "{watched:?}");
    let unavailable = submit(&stack, "d", "1.13").await;
    let late = stack.as_client(&["watch", id(&unavailable), "--timeout", "1"], "").await;
    assert_eq!(late.status, 5, "{late:?}");
    assert_eq!(stack.as_client(&["watch", id(&good), NOBODY], "").await.status, 3);
}

#[tokio::test]
async fn a_timeline_grows_while_it_is_watched() {
    let stack = Stack::start().await;
    let submitted = submit(&stack, "t", "1.09").await;
    let watched = stack.as_client(&["watch", id(&submitted)], "").await;
    assert_eq!(watched.status, 4, "{watched:?}");
    let at = |what: &str| watched.out.find(what).unwrap_or_else(|| panic!("no {what}: {watched:?}"));
    assert!(at("accepted") < at("created") && at("created") < at("polled") && at("polled") < at("is failed"));
    assert_eq!(watched.out.matches("created ").count(), 1, "each event once");
}

#[tokio::test]
async fn a_callback_is_sent_again() {
    let stack = Stack::start().await;
    let submission = stack.submit("t", "1.00").await;
    stack.settled(&submission).await;
    let told = stack.as_client(&["callbacks", "list", &submission.id, "-o", "json"], "").await.lines();
    assert_eq!((told.len(), &told[0]["state"]), (1, &json!("delivered")));
    let resent = stack.as_client(&["callbacks", "resend", &submission.id, "-o", "json"], "").await;
    assert_eq!((resent.status, &resent.document()["id"]), (0, &told[0]["id"]), "{resent:?}");
    eventually("it came twice", async || (stack.told(&submission).len() == 2).then_some(())).await;
    let other = ["callbacks", "resend", &submission.id, "--callback", "evt_x"];
    assert_eq!(stack.as_client(&other, "").await.status, 3);
}

#[tokio::test]
async fn queues_say_what_is_owed() {
    let stack = Stack::with(Options::default()).await;
    stack.submit("t", "1.00").await;
    let looked = stack.as_operator(&["queues", "-o", "json"]).await.document();
    assert_eq!(looked["queues"].as_array().map(Vec::len), Some(10));
    let run = looked["owed"].as_array().expect("a list").iter();
    let due: Vec<_> = run.filter(|row| row["kind"] == "transaction" && row["lane"] == "run").collect();
    assert_eq!((due.len(), &due[0]["due"]), (1, &json!(1)));
    let table = stack.as_operator(&["queues"]).await.out;
    assert!(table.contains(&stack.queues["journal"]) && table.contains("transaction  run"), "{table}");
}

fn said(examined: &Ran, level: &str, about: &str) -> bool {
    examined.lines().iter().any(|finding| {
        let check = finding["check"].as_str().expect("text");
        finding["level"] == level && check.contains(about) && (level == "ok" || finding["advice"].is_string())
    })
}

#[tokio::test]
async fn a_doctor_finds_what_is_wrong_and_says_what_to_do() {
    let stack = Stack::start().await;
    let submission = stack.submit("t", "1.00").await;
    stack.settled(&submission).await;
    let examined = stack.as_operator(&["doctor", "-o", "json"]).await;
    assert_eq!(examined.status, 0, "{examined:?}");
    for about in ["database", "schema", "clock", "partner processor", "workers", "what is due", &stack.queues["orders"]]
    {
        assert!(said(&examined, "ok", about), "{about}: {examined:?}");
    }

    let set = async |queue: &str, name: QueueAttributeName, value: &str| {
        let set = stack.sqs.set_queue_attributes().queue_url(stack.queue_url(queue).await).attributes(name, value);
        set.send().await.expect("set it");
    };
    set("orders", QueueAttributeName::VisibilityTimeout, "5").await;
    set("journal", QueueAttributeName::MessageRetentionPeriod, "3600").await;
    let mut command = stack.operator_command(&["doctor", "-o", "json"]);
    command.env("HOLDFAST__PARTNERS__PROCESSOR__BASE_URL", "http://127.0.0.1:9");
    let examined = run(command, String::new()).await;
    assert_eq!(examined.status, 1, "{examined:?}");
    assert!(said(&examined, "warn", &stack.queues["orders"]), "{examined:?}");
    assert!(said(&examined, "fail", &stack.queues["journal"]), "{examined:?}");
    assert!(said(&examined, "fail", "partner processor"), "{examined:?}");

    sqlx::query("delete from _sqlx_migrations where version >= 8").execute(&stack.pool).await.expect("forget");
    let examined = stack.as_operator(&["doctor", "-o", "json", "--skip", "queues", "--skip", "partners"]).await;
    assert!(examined.status == 1 && said(&examined, "fail", "schema"), "{examined:?}");
    let mut command = stack.operator_command(&["doctor"]);
    command.env("HOLDFAST__WORKER__LEASE_MS", "1");
    let examined = run(command, String::new()).await;
    assert!(examined.status == 1 && examined.out.starts_with("fail  configuration"), "{examined:?}");
}

/// Two commands that a partner has never decided, and a session that holds one of them.
#[tokio::test]
async fn a_row_that_somebody_holds_does_not_hold_up_the_others() {
    let environment = vec![("HOLDFAST__PARTNERS__PROCESSOR__SETTLE_WITHIN_MS", "100".to_owned())];
    let mut stack = Stack::with(Options { environment, ..Options::default() }).await;
    stack.start_worker();
    for key in ["a", "b"] {
        let submission = stack.submit(key, "1.02").await;
        eventually("it is parked", async || {
            (stack.get(&submission.this).await["status"] == "needs_attention").then_some(())
        })
        .await;
    }
    stack.stop_workers().await;
    let mut held = stack.pool.begin().await.expect("a transaction");
    let hold = "select no from outcomes order by no limit 1 for update";
    sqlx::query(hold).execute(&mut *held).await.expect("hold it");
    let why = ["--why", "a test", "--by", "tester"];
    let retry = [&["attention", "retry", "--kind", "transaction"][..], &why].concat();
    let retried = stack.as_operator(&retry).await;
    assert_eq!(retried.status, 1, "{retried:?}");
    assert!(retried.out.ends_with("1 carried on\n") && retried.err.contains("1 left"), "{retried:?}");
    held.rollback().await.expect("let it go");
    let retried = stack.as_operator(&retry).await;
    assert_eq!((retried.status, retried.out.as_str()), (0, "1 carried on\n"));
}

#[tokio::test]
async fn letters_that_somebody_holds_are_counted() {
    let stack = Stack::with(Options::default()).await;
    let insert = "insert into dead_letters (queue, message_id, body, cause, kind)
                  select 'q', n::text, 'not JSON', 'a test', 1 from generate_series(1, 3) n";
    sqlx::query(insert).execute(&stack.pool).await.expect("three letters");
    let mut held = stack.pool.begin().await.expect("a transaction");
    sqlx::query("select no from dead_letters where message_id = '2' for update")
        .execute(&mut *held)
        .await
        .expect("hold");
    let act = async |what: &str, more: &[&str]| {
        let words = ["dlq", what, "--kind", "transaction", "--why", "a test", "--by", "tester"];
        stack.as_operator(&[&words[..], more].concat()).await
    };
    let redriven = act("redrive", &["--rate", "100"]).await;
    assert_eq!(redriven.status, 1, "{redriven:?}");
    assert!(redriven.out.ends_with("2 redriven\n") && redriven.err.contains("1 left"), "{redriven:?}");
    let discarded = act("discard", &[]).await;
    assert!(discarded.status == 1 && discarded.out.ends_with("0 discarded\n"), "{discarded:?}");
    held.rollback().await.expect("let it go");
    assert_eq!(act("discard", &[]).await.out, "1 discarded\n");
    assert_eq!(stack.as_operator(&["dlq", "show", "99"]).await.status, 3);
}

#[tokio::test]
async fn completions_need_no_configuration() {
    let stack = Stack::with(Options::default()).await;
    for shell in ["bash", "zsh", "fish"] {
        let printed = stack.as_client(&["completions", shell], "").await;
        assert!(printed.status == 0 && printed.out.contains("callbacks"), "{shell}");
    }
}
