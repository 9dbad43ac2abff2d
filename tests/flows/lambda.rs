//! The same handlers in a function, through the Runtime API.

use holdfast_testkit::{Gate, Options, RuntimeApi, SecretsManager, Stack, Submission, eventually};
use reqwest::Url;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What SQS would hand to the function: the messages of this queue, as the event source writes them.
async fn event(stack: &Stack, key: &str, count: usize) -> Value {
    let url = stack.queue_url(key).await;
    let mut records = Vec::new();
    while records.len() < count {
        let received = stack.sqs.receive_message().queue_url(&url).max_number_of_messages(10).wait_time_seconds(5);
        let received = received.message_attribute_names("All").send().await.expect("receive");
        assert!(!received.messages().is_empty(), "{} of {count} messages came", records.len());
        for message in received.messages() {
            records.push(json!({
                "messageId": message.message_id(),
                "receiptHandle": message.receipt_handle(),
                "body": message.body(),
                "attributes": { "ApproximateReceiveCount": "1", "SentTimestamp": "1763000000000" },
                "messageAttributes": {},
                "md5OfBody": message.md5_of_body(),
                "eventSource": "aws:sqs",
                "eventSourceARN": format!("arn:aws:sqs:eu-west-1:000000000000:{}", stack.queues[key]),
                "awsRegion": "eu-west-1",
            }));
        }
    }
    json!({ "Records": records })
}

fn reported(response: &Value) -> BTreeSet<String> {
    let failures = response["batchItemFailures"].as_array().expect("a list");
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().expect("an id").to_owned()).collect()
}

/// The id of the message that is about this command.
fn message_about(event: &Value, submission: &Submission) -> String {
    let records = event["Records"].as_array().expect("a list");
    let about = |record: &&Value| record["body"].as_str().is_some_and(|body| body.contains(&submission.id));
    records.iter().find(about).expect("its message")["messageId"].as_str().expect("an id").to_owned()
}

/// Read beside the API, which may still take Postgres for gone.
async fn ended(stack: &Stack, submission: &Submission) -> String {
    let sql = "select o.status from outcomes o join commands c using (no) where c.id = $1::uuid";
    sqlx::query_scalar(sql).bind(&submission.id).fetch_one(&stack.pool).await.expect("it has ended")
}

#[tokio::test]
async fn of_ten_messages_the_poisoned_one_is_reported() {
    let mut stack = Stack::with(Options::default()).await;
    let runtime = RuntimeApi::start().await;
    stack.start_lambda(&runtime);
    let mut submissions = Vec::new();
    for n in 0..10 {
        submissions.push(stack.submit(&format!("t{n}"), "1.00").await);
    }
    let event = event(&stack, "transactions", 10).await;
    let poisoned = &submissions[6];
    sqlx::query("update commands set body = '[]' where id = $1::uuid")
        .bind(&poisoned.id)
        .execute(&stack.pool)
        .await
        .expect("poison it");
    let response = runtime.invoke(event.clone(), Duration::from_secs(30)).await.expect("no error");
    assert_eq!(reported(&response), BTreeSet::from([message_about(&event, poisoned)]));
    for submission in submissions.iter().filter(|submission| submission.id != poisoned.id) {
        // The invocation is over: nothing goes on behind it.
        assert_eq!(stack.get(&submission.this).await["status"], "completed");
        assert_eq!(stack.told(submission).len(), 1);
        assert_eq!(stack.at_partner(submission).effects, 1);
    }
    // Redelivered, the others are superfluous.
    let again = runtime.invoke(event, Duration::from_secs(30)).await.expect("no error");
    assert!(reported(&again).is_empty(), "its row was released until later: {again}");
    assert!(stack.log("holdfast-lambda").contains("worked on a batch"));
}

#[tokio::test]
async fn what_does_not_end_in_time_is_handed_back() {
    let mut stack = Stack::with(Options::default()).await;
    let runtime = RuntimeApi::start().await;
    stack.start_lambda(&runtime);
    let quick = stack.submit("quick", "1.00").await;
    // Answered after three seconds.
    let slow = stack.submit("slow", "1.08").await;
    let event = event(&stack, "transactions", 2).await;
    let response = runtime.invoke(event.clone(), Duration::from_secs(2)).await.expect("no error");
    assert_eq!(reported(&response), BTreeSet::from([message_about(&event, &slow)]));
    assert_eq!(stack.get(&quick.this).await["status"], "completed");
    // Taken over by whoever comes next, with one effect.
    stack.kill_workers().await;
    stack.start_worker();
    assert_eq!(stack.settled_in_time(&slow).await["status"], "completed");
    assert_eq!(stack.at_partner(&slow).effects, 1);
}

#[tokio::test]
async fn a_schedule_publishes_what_is_overdue() {
    let mut stack = Stack::with(Options::default()).await;
    let runtime = RuntimeApi::start().await;
    let submission = stack.submit("t", "1.00").await;
    let url = stack.queue_url("transactions").await;
    eventually("its first message", || async {
        let received = stack.sqs.receive_message().queue_url(&url).wait_time_seconds(1).send().await.expect("receive");
        let message = received.messages().first()?.clone();
        let receipt = message.receipt_handle.expect("a receipt");
        // Lost.
        stack.sqs.delete_message().queue_url(&url).receipt_handle(receipt).send().await.expect("delete");
        Some(())
    })
    .await;
    stack.stop_api().await;
    stack.advance(Duration::from_secs(3_600)).await;
    stack.start_lambda(&runtime);
    let tick = json!({ "source": "aws.events", "detail-type": "Scheduled Event", "detail": {} });
    runtime.invoke(tick, Duration::from_secs(30)).await.expect("no error");
    let event = event(&stack, "transactions", 1).await;
    let response = runtime.invoke(event, Duration::from_secs(30)).await.expect("no error");
    assert!(reported(&response).is_empty());
    stack.start_api(&[]).await;
    assert_eq!(stack.get(&submission.this).await["status"], "completed");
}

#[tokio::test]
async fn without_postgres_everything_is_handed_back() {
    let gate = Gate::before(Stack::postgres_address()).await;
    let options = Options { database_address: Some(gate.address), ..Options::default() };
    let mut stack = Stack::with(options).await;
    let runtime = RuntimeApi::start().await;
    stack.start_lambda(&runtime);
    let first = stack.submit("first", "1.00").await;
    let warm = event(&stack, "transactions", 1).await;
    let response = runtime.invoke(warm, Duration::from_secs(30)).await.expect("no error");
    assert!(reported(&response).is_empty());
    assert_eq!(ended(&stack, &first).await, "completed");
    let second = stack.submit("second", "1.00").await;
    let event = event(&stack, "transactions", 1).await;
    gate.close();
    let response = runtime.invoke(event.clone(), Duration::from_secs(5)).await.expect("no error");
    assert_eq!(reported(&response), BTreeSet::from([message_about(&event, &second)]));
    gate.open();
    let response = runtime.invoke(event, Duration::from_secs(30)).await.expect("no error");
    assert!(reported(&response).is_empty());
    assert_eq!(ended(&stack, &second).await, "completed");
}

/// 32 bytes.
const ENCRYPTION_KEY: &str = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=";

/// As Terraform deploys it: credentials are not in its environment, but where to get them.
#[tokio::test]
async fn credentials_come_from_secrets_manager() {
    let mut stack = Stack::with(Options::default()).await;
    let mut url = Url::parse(stack.setting("DATABASE_URL")).expect("a URL");
    let database = json!({ "username": url.username(), "password": url.password(), "engine": "postgres" });
    url.set_username("").and_then(|()| url.set_password(None)).expect("without credentials");
    let arn = |name: &str| format!("arn:aws:secretsmanager:eu-west-1:000000000000:secret:{name}");
    let secrets = SecretsManager::with(BTreeMap::from([
        (arn("database"), database.to_string()),
        (arn("server-key"), stack.setting("HOLDFAST__SERVER_KEY").to_owned()),
        (arn("encryption-key"), ENCRYPTION_KEY.to_owned()),
    ]))
    .await;
    let references = json!({
        "PGUSER": format!("{}:username::", arn("database")),
        "PGPASSWORD": format!("{}:password::", arn("database")),
        "HOLDFAST__SERVER_KEY": arn("server-key"),
        "HOLDFAST__ENCRYPTION__KEYS__A": arn("encryption-key"),
    });
    let environment = [
        ("DATABASE_URL", url.as_str()),
        ("HOLDFAST__SERVER_KEY", ""),
        ("HOLDFAST__ENCRYPTION__CURRENT", "a"),
        ("HOLDFAST_SECRETS", &references.to_string()),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets.url()),
    ];
    let runtime = RuntimeApi::start().await;
    stack.start_lambda_with(&runtime, &environment);
    let submission = stack.submit("t", "1.00").await;
    let event = event(&stack, "transactions", 1).await;
    let response = runtime.invoke(event, Duration::from_secs(30)).await.expect("no error");
    assert!(reported(&response).is_empty());
    assert_eq!(stack.get(&submission.this).await["status"], "completed");
    assert_eq!(secrets.asked(), [arn("encryption-key"), arn("server-key"), arn("database")], "each once");
    let log = stack.log("holdfast-lambda");
    assert!([stack.setting("HOLDFAST__SERVER_KEY"), ENCRYPTION_KEY].into_iter().all(|secret| !log.contains(secret)));
}
