//! Secrets at rest: what Postgres knows of them, with which keys, and what becomes of those that cannot be opened.

use holdfast_partners::signature::read_secret;
use holdfast_testkit::cli::{Ran, run};
use holdfast_testkit::{Options, Stack, Submission, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::query_scalar;
use standardwebhooks::Webhook;
use std::time::Duration;

/// 32 bytes each.
const FIRST: &str = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=";
const SECOND: &str = "MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjI=";

const KEY_ONE: &str = "HOLDFAST__ENCRYPTION__KEYS__2026_11";
const KEY_TWO: &str = "HOLDFAST__ENCRYPTION__KEYS__2027_02";
const CURRENT: &str = "HOLDFAST__ENCRYPTION__CURRENT";

/// Before, while and after keys are exchanged.
const ONE: [(&str, &str); 3] = [(KEY_ONE, FIRST), (KEY_TWO, ""), (CURRENT, "2026_11")];
const BOTH: [(&str, &str); 3] = [(KEY_ONE, FIRST), (KEY_TWO, SECOND), (CURRENT, "2027_02")];
const TWO: [(&str, &str); 3] = [(KEY_ONE, ""), (KEY_TWO, SECOND), (CURRENT, "2027_02")];

/// An API and no worker.
async fn stack(environment: &[(&'static str, &str)]) -> Stack {
    let environment = environment.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Stack::with(Options { environment, ..Options::default() }).await
}

/// An operator with other settings.
async fn operate(stack: &Stack, settings: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let mut command = stack.operator_command(arguments);
    command.envs(settings.iter().copied());
    run(command, String::new()).await
}

async fn seal(stack: &Stack, settings: &[(&str, &str)], more: &[&str]) -> Value {
    let ran = operate(stack, settings, &[&["--output", "json", "secrets", "seal"], more].concat()).await;
    assert_eq!(ran.status, 0, "{ran:?}");
    ran.document()
}

/// What `doctor` says of secrets, and whether it is content with them.
async fn examined(stack: &Stack, settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let skip = ["--skip", "queues", "--skip", "partners", "--skip", "work"];
    let ran = operate(stack, settings, &[&["--output", "json", "doctor"][..], &skip].concat()).await;
    let mut findings = ran.lines();
    findings.retain(|finding| finding["check"] == "secrets");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    findings.iter().map(|finding| (text(&finding["level"]), text(&finding["found"]))).collect()
}

/// The bytes of the client's secret in Postgres.
async fn stored(stack: &Stack) -> Vec<u8> {
    let stored = query_scalar("select callback_secret from clients where name = 'test'");
    stored.fetch_one(&stack.pool).await.expect("a client")
}

async fn store(stack: &Stack, secret: &[u8]) {
    let store = sqlx::query("update clients set callback_secret = $1 where name = 'test'").bind(secret);
    store.execute(&stack.pool).await.expect("store it");
}

/// Has the API exchange the client's secret.
async fn rotate(stack: &Stack) -> String {
    let answer = stack.request("POST", "/api/v1/callback-endpoint/rotate-secret").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let rotated: Value = answer.json().await.expect("a body");
    rotated["secret"].as_str().expect("a secret").to_owned()
}

fn key_of(stored: &[u8]) -> String {
    String::from_utf8_lossy(stored).chars().skip(12).take(7).collect()
}

async fn is_told_with(stack: &Stack, key: &str, secret: &str) -> bool {
    let submission = stack.submit(key, "1.00").await;
    stack.settled(&submission).await;
    verifies(stack, &submission, secret)
}

fn verifies(stack: &Stack, submission: &Submission, secret: &str) -> bool {
    let told = stack.told(submission).remove(0);
    // The times are the database's, which is moved: only the signature is looked at.
    let (id, at) = (&told.headers["webhook-id"], told.headers["webhook-timestamp"].parse().expect("a number"));
    let signature = Webhook::new(secret).expect("a secret").sign(id, at, told.body.as_bytes()).expect("signs");
    told.headers["webhook-signature"].split(' ').any(|one| one == signature)
}

/// All of the table, as a dump would have it.
async fn dumped(stack: &Stack) -> String {
    let rows: Vec<String> =
        query_scalar("select clients::text from clients").fetch_all(&stack.pool).await.expect("rows");
    rows.join("\n")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn postgres_knows_no_secret_and_no_api_key() {
    let stack = stack(&[]).await;
    let now = rotate(&stack).await;
    let dumped = dumped(&stack).await;
    for secret in [&stack.callback_secret, &now] {
        let bytes = read_secret(secret).expect("a secret");
        assert!(!dumped.contains(&hex(&bytes)) && !dumped.contains(secret.trim_start_matches("whsec_")), "{dumped}");
    }
    // It would be found: this is how what is there is written.
    assert!(dumped.contains(&hex(&stored(&stack).await)), "{dumped}");
    let previous: Vec<u8> =
        query_scalar("select callback_previous_secret from clients").fetch_one(&stack.pool).await.expect("one");
    assert!(stored(&stack).await.starts_with(b"hf-sealed:") && previous.starts_with(b"hf-sealed:"));
    let keys: Vec<String> =
        query_scalar("select api_keys::text from api_keys").fetch_all(&stack.pool).await.expect("rows");
    assert!(!keys.concat().contains(&stack.api_key[21..]));
    assert_eq!(
        examined(&stack, &[]).await,
        [("ok".to_owned(), "2 are sealed, with a key that is derived from server_key".to_owned())]
    );
}

#[tokio::test]
async fn what_cannot_be_opened_signs_nothing_and_nothing_is_lost() {
    let mut stack = stack(&[]).await;
    stack.cli(&["clients", "create", "other"]).await;
    let moved = "update clients set callback_secret = (select callback_secret from clients where name = 'other')";
    sqlx::query(moved).execute(&stack.pool).await.expect("move it");
    stack.start_worker();
    let submission = stack.submit("t", "1.00").await;
    eventually("it waits, and no attempt is counted", || async {
        let waits = "select count(*) from wakeups
                      where lane = 1 and token is null and tries = 0 and run_at > holdfast_now() + interval '10 s'";
        (query_scalar::<_, i64>(waits).fetch_one(&stack.pool).await.ok()? == 1).then_some(())
    })
    .await;
    assert!(stack.inbox.about(&submission.id).is_empty(), "nobody was told what nobody can verify");
    let log = stack.log("holdfast-worker");
    assert!(log.contains("could not sign a callback, it waits") && log.contains("with the key server"), "{log}");
    let body = json!({ "url": format!("{}/callbacks", stack.inbox_url) });
    let put = stack.request("PUT", "/api/v1/callback-endpoint").json(&body).send().await.expect("an answer");
    assert_eq!(put.status(), StatusCode::SERVICE_UNAVAILABLE, "it cannot be shown");

    // It names the right key all the same.
    let found = examined(&stack, &[]).await;
    assert!(
        found.iter().any(|(level, what)| level == "fail" && what.contains("those of 1 clients do not open")),
        "{found:?}"
    );
    let ran = operate(&stack, &[], &["secrets", "seal"]).await;
    assert!(ran.status == 1 && ran.err.contains("the secrets of 1 clients cannot be opened"), "{ran:?}");

    let secret = rotate(&stack).await;
    stack.advance(Duration::from_secs(120)).await;
    assert_eq!(stack.settled(&submission).await["status"], "completed");
    assert!(stack.told(&submission).len() == 1 && verifies(&stack, &submission, &secret));
}

#[tokio::test]
async fn keys_are_exchanged_while_callbacks_go_on() {
    let mut stack = stack(&ONE).await;
    let secret = stack.callback_secret.clone();
    assert_eq!(key_of(&stored(&stack).await), "2026_11");
    stack.start_worker();
    assert!(is_told_with(&stack, "before", &secret).await);

    stack.stop_workers().await;
    stack.start_worker_with(&BOTH);
    assert!(is_told_with(&stack, "both", &secret).await);
    let found = examined(&stack, &BOTH).await;
    assert_eq!(found, [("warn".to_owned(), "1 are sealed with the key 2026_11, an old one".to_owned())]);
    assert_eq!(seal(&stack, &BOTH, &["--dry-run"]).await["stale"], 1);
    assert_eq!(key_of(&stored(&stack).await), "2026_11", "a dry run changes nothing");
    let sealed = seal(&stack, &BOTH, &[]).await;
    assert_eq!((&sealed["sealed"], &sealed["current"]), (&json!(1), &json!(0)), "{sealed}");
    assert_eq!(key_of(&stored(&stack).await), "2027_02");
    let again = seal(&stack, &BOTH, &[]).await;
    assert_eq!((&again["sealed"], &again["current"]), (&json!(0), &json!(1)), "{again}");

    stack.stop_workers().await;
    stack.start_worker_with(&TWO);
    assert!(is_told_with(&stack, "after", &secret).await);
    assert_eq!(examined(&stack, &TWO).await, [("ok".to_owned(), "1 are sealed with the key 2027_02".to_owned())]);
}

#[tokio::test]
async fn a_key_that_was_taken_away_too_early_is_named() {
    let stack = stack(&ONE).await;
    let found = examined(&stack, &TWO).await;
    assert_eq!(found[0].0, "fail", "{found:?}");
    let ran = operate(&stack, &TWO, &["secrets", "seal"]).await;
    assert!(ran.status == 1 && ran.err.contains("test") && ran.err.contains("the key 2026_11"), "{ran:?}");
    assert_eq!(key_of(&stored(&stack).await), "2026_11");
}

#[tokio::test]
async fn what_an_earlier_release_has_written_still_signs_until_it_is_sealed() {
    let mut stack = stack(&[]).await;
    let secret = stack.callback_secret.clone();
    let plain = read_secret(&secret).expect("a secret");
    store(&stack, &plain).await;
    stack.start_worker();
    assert!(is_told_with(&stack, "plain", &secret).await);
    assert_eq!(examined(&stack, &[]).await, [("warn".to_owned(), "1 are in plain".to_owned())]);
    assert_eq!(seal(&stack, &[], &[]).await["sealed"], 1);
    assert!(!dumped(&stack).await.contains(&hex(&plain)));
    stack.stop_workers().await;
    stack.start_worker();
    assert!(is_told_with(&stack, "sealed", &secret).await);
}

/// While a release runs that reads plain secrets alone.
#[tokio::test]
async fn sealing_can_be_put_off() {
    let off = [("HOLDFAST__ENCRYPTION__SEAL", "false")];
    let stack = stack(&off).await;
    assert_eq!(stored(&stack).await, read_secret(&stack.callback_secret).expect("a secret"));
    let ran = operate(&stack, &[], &["secrets", "seal"]).await;
    assert!(ran.status == 1 && ran.err.contains("encryption.seal is off"), "{ran:?}");
    assert_eq!(seal(&stack, &[], &["--dry-run"]).await["stale"], 1);
}
