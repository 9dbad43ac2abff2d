//! SQS or Postgres goes away and comes back.

use holdfast_domain::Kind;
use holdfast_testkit::{Gate, Options, Stack, Submission, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn with_sqs_unreachable_everything_is_accepted_and_later_completed() {
    let real = Stack::sqs_address();
    let gate = Gate::before(real).await;
    let sqs_url = Some(format!("http://{}", gate.address));
    let mut stack = Stack::with(Options { sqs_url, ..Options::default() }).await;
    gate.close();
    let mut submissions = Vec::new();
    for n in 0..100 {
        submissions.push(stack.submit(&format!("o-{n}"), "1.00").await);
    }
    // The worker cannot receive either: what is due it claims from Postgres.
    stack.start_worker();
    gate.open();
    for submission in &submissions {
        assert_eq!(stack.settled(submission).await["status"], "completed");
        assert_eq!(stack.at_partner(submission).effects, 1);
        assert_eq!(stack.told(submission).len(), 1);
    }
}

#[tokio::test]
async fn while_sqs_stays_away_work_goes_on() {
    let gate = Gate::before(Stack::sqs_address()).await;
    gate.close();
    let sqs_url = Some(format!("http://{}", gate.address));
    let mut stack = Stack::with(Options { sqs_url, ..Options::default() }).await;
    stack.start_worker();
    let submission = stack.submit("no-sqs", "1.00").await;
    assert_eq!(stack.settled(&submission).await["status"], "completed");
}

#[tokio::test]
async fn an_api_alone_publishes_what_is_overdue() {
    // Nobody else would: with no worker running there is no other relay.
    let gate = Gate::before(Stack::sqs_address()).await;
    gate.close();
    let overdue = ("HOLDFAST__WORKER__OVERDUE_MS", "100".to_owned());
    let sqs_url = Some(format!("http://{}", gate.address));
    let stack = Stack::with(Options { sqs_url, environment: vec![overdue], ..Options::default() }).await;
    stack.submit_body(&json!({ "transactionId": "a", "amount": "1.00", "currency": "EUR" })).await;
    gate.open();
    stack.advance(std::time::Duration::from_secs(10)).await;
    let url = stack.queue_url("transactions").await;
    eventually("a message in the queue", || async {
        let received = stack.sqs.receive_message().queue_url(&url).wait_time_seconds(1).send().await.ok()?;
        received.messages.filter(|messages| !messages.is_empty())
    })
    .await;
}

/// A stack whose binaries reach Postgres through the gate, and whose API has seen its client.
async fn behind(gate: &Gate) -> Stack {
    let stack = Stack::with(Options { database_address: Some(gate.address), ..Options::default() }).await;
    let before = json!({ "transactionId": "before", "amount": "1.00", "currency": "EUR" });
    stack.submit_until_accepted(&before).await;
    stack
}

/// Accepted, and by what.
async fn accepted_by(stack: &Stack, body: &Value) -> (Submission, String, Value) {
    let answer = stack.post(body).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let by = answer.headers()["holdfast-accepted-by"].to_str().expect("text").to_owned();
    let body: Value = answer.json().await.expect("a body");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    (Submission { id: text(&body["id"]), this: text(&body["links"]["self"]) }, by, body)
}

async fn status_of(stack: &Stack, method: &str, path: &str) -> StatusCode {
    stack.request(method, path).send().await.expect("an answer").status()
}

#[tokio::test]
async fn with_postgres_down_commands_are_accepted_by_the_queue_and_later_completed() {
    let gate = Gate::before(Stack::postgres_address()).await;
    let mut stack = behind(&gate).await;
    stack.start_worker();
    gate.close();
    let mut submissions = Vec::new();
    for kind in Kind::ALL {
        for n in 0..5 {
            submissions.push((kind, stack.submit_as(kind, &format!("q-{n}"), "1.00").await));
        }
    }
    let body = json!({ "transactionId": "again", "amount": "1.00", "currency": "EUR" });
    let (first, by, answer) = accepted_by(&stack, &body).await;
    assert_eq!(by, "queue");
    assert_eq!(stack.submit("q-0", "1.00").await.id, submissions[0].1.id, "a replay");
    for path in [&first.this, "/api/v1/transactions", "/api/v1/callback-endpoint"] {
        assert_eq!(status_of(&stack, "GET", path).await, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    assert_eq!(status_of(&stack, "GET", "/readyz").await, StatusCode::OK, "it accepts");

    gate.open();
    let resource = eventually("it can be read", || async {
        let answer = stack.request("GET", &first.this).send().await.expect("an answer");
        assert_ne!(answer.status(), StatusCode::NOT_FOUND);
        let resource: Value = answer.json().await.expect("a body");
        (resource["status"] == "completed").then_some(resource)
    })
    .await;
    assert_eq!(resource["createdAt"], answer["createdAt"]);
    assert_eq!(accepted_by(&stack, &body).await.0.id, first.id, "by the other path");
    for (kind, submission) in &submissions {
        eventually("it is completed", || async {
            (stack.get(&submission.this).await["status"] == "completed").then_some(())
        })
        .await;
        stack.settled(submission).await;
        assert!(stack.at_partners(*kind, submission).iter().all(|book| book.effects == 1));
        assert_eq!(stack.told(submission).len(), 1);
    }
}

#[tokio::test]
async fn with_postgres_and_sqs_down_nothing_is_promised() {
    let (postgres, sqs) = (Gate::before(Stack::postgres_address()).await, Gate::before(Stack::sqs_address()).await);
    let options = Options {
        database_address: Some(postgres.address),
        sqs_url: Some(format!("http://{}", sqs.address)),
        ..Options::default()
    };
    let mut stack = Stack::with(options).await;
    let body = json!({ "transactionId": "t", "amount": "1.00", "currency": "EUR" });
    let first = stack.submit_until_accepted(&body).await;
    postgres.close();
    sqs.close();
    let answer = stack.post(&body).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    postgres.open();
    sqs.open();
    assert_eq!(stack.submit_until_accepted(&body).await.id, first.id, "a retry with the same key settles it");
    stack.start_worker();
    // Accepted by the queue, perhaps, and then the API has not yet noticed that Postgres is back.
    eventually("it is completed", || async {
        let answer = stack.request("GET", &first.this).send().await.expect("an answer");
        (answer.json::<Value>().await.expect("a body")["status"] == "completed").then_some(())
    })
    .await;
}

#[tokio::test]
async fn of_two_contents_under_one_key_the_first_one_written_stands_and_the_other_is_rejected() {
    let gate = Gate::before(Stack::postgres_address()).await;
    let mut stack = behind(&gate).await;
    gate.close();
    let callback_url = format!("{}/callbacks", stack.inbox_url);
    let content = |amount: &str| json!({ "transactionId": "t", "amount": amount, "currency": "EUR", "callbackUrl": callback_url });
    let (by_queue, by, _) = accepted_by(&stack, &content("1.00")).await;
    assert_eq!(by, "queue");
    gate.open();
    let by_database = eventually("postgres is back", || async {
        let (submission, by, _) = accepted_by(&stack, &content("2.00")).await;
        (by == "database").then_some(submission)
    })
    .await;
    assert_eq!(by_queue.id, by_database.id);
    stack.start_worker();
    let rejected = eventually("the other one is rejected", || async {
        let listed = stack.get("/api/v1/transactions?status=failed").await;
        listed["data"].as_array().expect("a list").first().cloned()
    })
    .await;
    assert_eq!(rejected["reason"]["code"], "idempotency_key_reused");
    assert_eq!((&rejected["conflictsWith"], &rejected["amount"]), (&json!(by_queue.id), &json!("1.00")));
    let this = rejected["links"]["self"].as_str().expect("text").to_owned();
    let rejected = Submission { id: rejected["id"].as_str().expect("text").to_owned(), this };
    stack.settled(&rejected).await;
    let told = stack.inbox.about(&rejected.id);
    assert_eq!(told.iter().map(|delivery| delivery.kind.as_str()).collect::<Vec<_>>(), ["request.rejected"]);
    let trail = stack.trail(&rejected).await;
    assert_eq!((&trail[1]["type"], &trail[1]["conflictsWith"]), (&json!("rejected"), &json!(by_queue.id)));
    let settled = stack.settled(&by_database).await;
    assert_eq!((&settled["status"], &settled["amount"]), (&json!("completed"), &json!("2.00")));
    assert_eq!(stack.at_partner(&by_database).body["amount"], "2.00");
    assert_eq!(stack.at_partner(&rejected).requests, 0);
}

#[tokio::test]
async fn a_webhook_that_comes_while_postgres_is_down_is_heard() {
    let gate = Gate::before(Stack::postgres_address()).await;
    let mut stack = behind(&gate).await;
    stack.sandbox.set_undecided("");
    stack.start_worker();
    let submission = stack.submit("w", "1.00").await;
    eventually("it is pending", || async { (stack.get(&submission.this).await["status"] == "pending").then_some(()) })
        .await;
    gate.close();
    eventually("the API has noticed", || async {
        (status_of(&stack, "GET", &submission.this).await == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    // The clock of this machine counts while Postgres cannot be asked, and the sandbox signs by it.
    let body = json!({ "id": submission.id, "status": "completed" }).to_string();
    assert!(stack.webhooks.send("processor", "evt_1", &body).await, "taken");
    gate.open();
    eventually("it is completed", || async {
        let answer = stack.request("GET", &submission.this).send().await.expect("an answer");
        (answer.json::<Value>().await.expect("a body")["status"] == "completed").then_some(())
    })
    .await;
}

/// A host that vanishes sends no reset. Without a limit of our own every connection would wait for it for a quarter of an
/// hour, and long after it is back.
#[tokio::test]
async fn a_postgres_that_falls_silent_is_given_up_and_found_again() {
    let gate = Gate::before(Stack::postgres_address()).await;
    let environment = vec![
        ("HOLDFAST__DATABASE__STATEMENT_TIMEOUT_MS", "2000".to_owned()),
        ("HOLDFAST__DATABASE__ACQUIRE_TIMEOUT_MS", "2000".to_owned()),
    ];
    let mut stack =
        Stack::with(Options { database_address: Some(gate.address), environment, ..Options::default() }).await;
    stack.start_worker();
    let before = json!({ "transactionId": "before", "amount": "1.00", "currency": "EUR" });
    stack.submit_until_accepted(&before).await;

    gate.freeze();
    let body = json!({ "transactionId": "silent", "amount": "1.00", "currency": "EUR" });
    let (submission, by, _) = accepted_by(&stack, &body).await;
    assert_eq!(by, "queue");

    gate.open();
    eventually("it is completed", || async {
        let answer = stack.request("GET", &submission.this).send().await.expect("an answer");
        (answer.json::<Value>().await.expect("a body")["status"] == "completed").then_some(())
    })
    .await;
}

/// A forgotten transaction in somebody's console, say.
#[tokio::test]
async fn a_row_that_somebody_has_locked_holds_up_nobody_else() {
    let mut stack = Stack::with(Options::default()).await;
    let mut submissions = Vec::new();
    for n in 0..10 {
        submissions.push(stack.submit(&format!("t{n}"), "1.00").await);
    }
    let locked = submissions.remove(4);
    let mut theirs = stack.pool.begin().await.expect("begin");
    sqlx::query("select from wakeups join commands using (no) where commands.id = $1::uuid for update of wakeups")
        .bind(&locked.id)
        .execute(&mut *theirs)
        .await
        .expect("lock it");
    stack.start_worker();
    for submission in &submissions {
        assert_eq!(stack.settled(submission).await["status"], "completed");
    }
    let left = "message left to the queue";
    eventually("its message is left", || async { stack.log("holdfast-worker").contains(left).then_some(()) }).await;
    let log = stack.log("holdfast-worker");
    assert_eq!(log.matches(left).count(), 1, "{log}");
    assert!(!log.contains("postgres is unavailable"), "{log}");
    theirs.rollback().await.expect("let go");
    assert_eq!(stack.settled(&locked).await["status"], "completed");
    assert_eq!(stack.at_partner(&locked).effects, 1);
}

/// Its client is still to be told that it is pending, and that row is in somebody's hands.
#[tokio::test]
async fn a_payment_whose_end_cannot_be_written_is_not_to_blame() {
    let stack = Stack::start().await;
    let unreachable = format!("{}/status/503", stack.inbox_url);
    let body = json!({ "transactionId": "t", "amount": "1.07", "currency": "EUR", "callbackUrl": unreachable });
    let submission = stack.submit_body(&body).await;
    let lane = "from wakeups join commands using (no) where commands.id = $1::uuid and lane = ";
    eventually("a callback that failed", || async {
        let sql = format!("select tries {lane} 1 and token is null");
        let tries: Option<i16> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(&submission.id).fetch_optional(&stack.pool).await.ok()?;
        tries.filter(|tries| *tries > 0)
    })
    .await;
    let mut theirs = stack.pool.begin().await.expect("begin");
    let lock = format!("select {lane} 1 for update of wakeups");
    sqlx::query(sqlx::AssertSqlSafe(lock)).bind(&submission.id).execute(&mut *theirs).await.expect("lock it");
    let done = json!({ "id": submission.id, "status": "completed" }).to_string();
    assert!(stack.webhooks.send("processor", "evt_1", &done).await, "taken");
    eventually("the end could not be written", || async {
        stack.log("holdfast-worker").contains("write the end").then_some(())
    })
    .await;
    eventually("it was put back", || async {
        let sql = format!("select failures {lane} 0 and token is null and tries >= 0");
        let failures: Option<i16> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(&submission.id).fetch_optional(&stack.pool).await.ok()?;
        assert!(failures.is_none_or(|failures| failures == 0), "nobody failed");
        failures
    })
    .await;
    theirs.rollback().await.expect("let go");
    eventually("it is completed", || async {
        (stack.get(&submission.this).await["status"] == "completed").then_some(())
    })
    .await;
    assert_eq!(stack.at_partner(&submission).effects, 1);
}

#[tokio::test]
async fn a_webhook_about_a_locked_row_is_no_outage() {
    let stack = Stack::with(Options::default()).await;
    let submission = stack.submit("t", "1.00").await;
    let mut theirs = stack.pool.begin().await.expect("begin");
    sqlx::query("select from wakeups join commands using (no) where commands.id = $1::uuid for update of wakeups")
        .bind(&submission.id)
        .execute(&mut *theirs)
        .await
        .expect("lock it");
    let done = json!({ "id": submission.id, "status": "completed" }).to_string();
    assert!(stack.webhooks.send("processor", "evt_1", &done).await, "taken by the journal");
    let (_, by, _) =
        accepted_by(&stack, &json!({ "transactionId": "other", "amount": "1.00", "currency": "EUR" })).await;
    assert_eq!(by, "database");
    assert!(!stack.log("holdfast-api").contains("postgres does not answer"));
    theirs.rollback().await.expect("let go");
}
