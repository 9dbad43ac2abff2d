//! What a client can see of its callbacks, telling it again, and endpoints that are slow or busy.

use holdfast_devstack::inbox::Inbox;
use holdfast_devstack::server;
use holdfast_testkit::{Options, Stack, Submission, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const ENDPOINT: &str = "/api/v1/callback-endpoint";

async fn submit_to(stack: &Stack, key: &str, url: &str) -> Submission {
    let body = json!({ "transactionId": key, "amount": "1.00", "currency": "EUR", "callbackUrl": url });
    stack.submit_body(&body).await
}

async fn callbacks(stack: &Stack, submission: &Submission) -> Vec<Value> {
    let listed = stack.get(&format!("{}/callbacks", submission.this)).await;
    listed["data"].as_array().expect("a list").clone()
}

async fn resend(stack: &Stack, submission: &Submission, callback: &str) -> (StatusCode, Value) {
    let path = format!("{}/callbacks/{callback}/resend", submission.this);
    let answer = stack.request("POST", &path).send().await.expect("an answer");
    (answer.status(), answer.json().await.expect("a body"))
}

#[tokio::test]
async fn every_attempt_is_listed_with_its_answer_and_a_resend_is_one_more() {
    let stack = Stack::start().await;
    let submission = submit_to(&stack, "t", &format!("{}/flaky/1", stack.inbox_url)).await;
    stack.settled_in_time(&submission).await;
    let listed = callbacks(&stack, &submission).await;
    assert_eq!(listed.len(), 1);
    let outcomes = |callback: &Value| {
        let attempts = callback["attempts"].as_array().expect("a list").iter();
        let outcome = |attempt: &Value| (attempt["attempt"].as_i64(), attempt["httpStatus"].as_i64());
        attempts.map(outcome).collect::<Vec<_>>()
    };
    assert_eq!((&listed[0]["state"], &listed[0]["type"]), (&json!("delivered"), &json!("transaction.completed")));
    assert_eq!(outcomes(&listed[0]), [(Some(1), Some(500)), (Some(2), Some(200))]);
    assert!(listed[0]["attempts"][0]["tookMs"].is_number());

    let id = listed[0]["id"].as_str().expect("text");
    assert_eq!(id, stack.told(&submission)[0].headers["webhook-id"]);
    for told in 3..=4 {
        assert_eq!(resend(&stack, &submission, id).await.0, StatusCode::ACCEPTED);
        stack.settled(&submission).await;
        assert_eq!(stack.told(&submission).len(), told);
    }
    let listed = callbacks(&stack, &submission).await;
    let last: Vec<_> = outcomes(&listed[0]).into_iter().skip(2).collect();
    assert_eq!(last, [(Some(3), Some(200)), (Some(4), Some(200))]);
    assert_eq!(resend(&stack, &submission, "evt_nothing").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_was_given_up_is_told_on_a_new_schedule_and_an_answer_is_quoted() {
    let schedule = ("HOLDFAST__CALLBACKS__SCHEDULE_MS", "1,1".to_owned());
    let mut stack = Stack::with(Options { environment: vec![schedule], ..Options::default() }).await;
    stack.start_worker();
    let submission = submit_to(&stack, "t", &format!("{}/status/503", stack.inbox_url)).await;
    stack.settled(&submission).await;
    let listed = callbacks(&stack, &submission).await;
    assert_eq!(listed[0]["state"], "given_up");
    assert_eq!(listed[0]["attempts"][1]["excerpt"], "this is a 503");
    resend(&stack, &submission, listed[0]["id"].as_str().expect("text")).await;
    stack.settled(&submission).await;
    assert_eq!(stack.told(&submission).len(), 6, "three more");
    assert_eq!(callbacks(&stack, &submission).await[0]["state"], "given_up");
}

#[tokio::test]
async fn an_earlier_state_is_not_sent_again() {
    let stack = Stack::start().await;
    let submission = stack.submit("p", "1.02").await;
    stack.settled(&submission).await;
    let listed = callbacks(&stack, &submission).await;
    let states: Vec<_> = listed.iter().map(|callback| (&callback["type"], &callback["state"])).collect();
    let delivered = json!("delivered");
    let expected = [json!("transaction.pending"), json!("transaction.completed")];
    assert_eq!(states, [(&expected[0], &delivered), (&expected[1], &delivered)]);
    let (status, problem) = resend(&stack, &submission, listed[0]["id"].as_str().expect("text")).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("/problems/not-resendable")));
}

#[tokio::test]
async fn what_is_owed_is_listed_before_its_first_attempt() {
    let mut stack = Stack::with(Options::default()).await;
    let submission = stack.submit("c", "1.00").await;
    let path = format!("{}/cancel", submission.this);
    assert_eq!(stack.request("POST", &path).send().await.expect("an answer").status(), StatusCode::OK);
    let listed = callbacks(&stack, &submission).await;
    assert_eq!((&listed[0]["state"], &listed[0]["attempts"]), (&json!("owed"), &json!([])));
    assert!(listed[0]["nextAttemptAt"].is_string());
    stack.start_worker();
    stack.settled(&submission).await;
    assert_eq!(stack.told(&submission)[0].headers["webhook-id"], listed[0]["id"].as_str().expect("text"));
}

#[tokio::test]
async fn an_endpoint_that_wants_to_be_left_alone_is_within_bounds() {
    for (asked, expected) in [(600, 480..=720), (86_400, 2_880..=4_320)] {
        let stack = Stack::start().await;
        let submission = submit_to(&stack, "t", &format!("{}/busy/{asked}", stack.inbox_url)).await;
        let wait = eventually("the wait is written", || async {
            let sql =
                "select extract(epoch from run_at - holdfast_now())::bigint from wakeups where lane = 1 and tries = 1";
            sqlx::query_scalar::<_, i64>(sql).fetch_optional(&stack.pool).await.expect("read")
        })
        .await;
        assert!(expected.contains(&wait), "{} was put off by {wait} s", submission.id);
    }
}

/// Whether this command's callback is in somebody's hands, at this attempt.
async fn is_under_way(stack: &Stack, tries: i16) -> bool {
    let sql = "select exists (select from wakeups where lane = 1 and token is not null and tries = $1)";
    sqlx::query_scalar(sql).bind(tries).fetch_one(&stack.pool).await.expect("read")
}

/// Attempts at an endpoint that never answers take this long, far longer than a test.
const STUCK: (&str, &str) = ("HOLDFAST__CALLBACKS__TIMEOUT_MS", "25000");

#[tokio::test]
async fn later_attempts_leave_the_first_ones_their_slots() {
    let environment = [STUCK, ("HOLDFAST__WORKER__TELL_SLOTS", "1"), ("HOLDFAST__CALLBACKS__SCHEDULE_MS", "1,1")];
    let environment = environment.map(|(name, value)| (name, value.to_owned())).into();
    let mut stack = Stack::with(Options { environment, ..Options::default() }).await;
    stack.start_worker();
    submit_to(&stack, "stuck", &format!("{}/stuck/1", stack.inbox_url)).await;
    eventually("the second attempt is stuck", || async { is_under_way(&stack, 1).await.then_some(()) }).await;
    let good = submit_to(&stack, "good", &format!("{}/callbacks", stack.inbox_url)).await;
    stack.settled(&good).await;
    assert_eq!(stack.told(&good).len(), 1);
    assert!(is_under_way(&stack, 1).await, "the good one did not wait for the stuck one");
}

#[tokio::test]
async fn a_slow_endpoint_does_not_take_all_the_slots() {
    let environment =
        // Two of these are for one client.
        [STUCK, ("HOLDFAST__WORKER__TELL_SLOTS", "8"), ("HOLDFAST__CALLBACKS__ENDPOINT_CONCURRENCY", "1")];
    let environment = environment.map(|(name, value)| (name, value.to_owned())).into();
    let mut stack = Stack::with(Options { environment, ..Options::default() }).await;
    stack.start_worker();
    let (elsewhere, stop) = (Inbox::default(), CancellationToken::new());
    let listener = server::bind(0).await.expect("bind");
    let url = server::serve(listener, elsewhere.router(), stop.clone()).expect("serve");
    for n in 0..3 {
        submit_to(&stack, &format!("stuck-{n}"), &format!("{}/stuck/0", stack.inbox_url)).await;
    }
    eventually("the first is stuck and the others are done", || async {
        let outcomes: i64 = sqlx::query_scalar("select count(*) from outcomes").fetch_one(&stack.pool).await.ok()?;
        (outcomes == 3 && is_under_way(&stack, 0).await).then_some(())
    })
    .await;
    let good = submit_to(&stack, "good", &format!("http://{url}/callbacks")).await;
    stack.settled(&good).await;
    assert_eq!(elsewhere.about(&good.id).len(), 1);
    assert!(is_under_way(&stack, 0).await, "the good one did not wait for the stuck one");
    stop.cancel();
}

#[tokio::test]
async fn an_endpoint_can_be_tested() {
    let stack = Stack::with(Options::default()).await;
    let test = async || {
        let answer = stack.request("POST", &format!("{ENDPOINT}/test")).send().await.expect("an answer");
        (answer.status(), answer.json::<Value>().await.expect("a body"))
    };
    assert_eq!(test().await.0, StatusCode::NOT_FOUND);
    let set = async |path: &str| {
        let body = json!({ "url": format!("{}{path}", stack.inbox_url) });
        let answer = stack.request("PUT", ENDPOINT).json(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
    };
    set("/callbacks").await;
    let (status, tested) = test().await;
    assert_eq!((status, &tested["outcome"], &tested["httpStatus"]), (StatusCode::OK, &json!("delivered"), &json!(200)));
    let delivery = stack.inbox.about("callback-endpoint").remove(0);
    assert_eq!(delivery.kind, "callback_endpoint.test");
    let webhook = standardwebhooks::Webhook::new(&stack.callback_secret).expect("a secret");
    let headers: http::HeaderMap = (&delivery.headers).try_into().expect("headers");
    webhook.verify(delivery.body.as_bytes(), &headers).expect("the signature is right");
    set("/status/404").await;
    let (_, tested) = test().await;
    assert_eq!((&tested["outcome"], &tested["excerpt"]), (&json!("refused"), &json!("this is a 404")));
}
