//! What handlers make of partners that lose, refuse, contradict or forget. What every kind must pass is in `every_kind`.

use holdfast_testkit::{Line, Options, Script, Stack, eventually};
use serde_json::Value;

const COMPLETED: &str = r#"{"id": "p1", "status": "completed"}"#;
const PENDING: &str = r#"{"id": "p1", "status": "pending"}"#;

/// Plays a script with one transaction of 1.00 EUR, and answers its end and what the partner was asked.
async fn play(
    lines: impl IntoIterator<Item = Line>,
    environment: &[(&'static str, &str)],
) -> (Value, Vec<&'static str>, Vec<Value>) {
    let script = Script::new(lines);
    let environment = environment.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let options = Options { partner: Some(script.router()), environment, ..Options::default() };
    let mut stack = Stack::with(options).await;
    stack.start_worker();
    let submission = stack.submit("script", "1.00").await;
    let settled = stack.settled_in_time(&submission).await;
    assert_eq!(stack.told(&submission).len(), 1);
    (settled, script.asked(), stack.trail(&submission).await)
}

fn reason(settled: &Value) -> (&str, &str) {
    (settled["status"].as_str().expect("text"), settled["reason"]["code"].as_str().unwrap_or_default())
}

/// How long the trail says that it waited, in seconds.
fn waits(trail: &[Value]) -> Vec<u64> {
    let waiting = trail.iter().filter(|event| event["type"] == "waiting");
    waiting.map(|event| event["forMs"].as_u64().expect("a number").div_ceil(1000)).collect()
}

#[tokio::test]
async fn sandbox_amounts_end_as_the_readme_says() {
    let stack = Stack::start().await;
    let cases = [
        ("1.00", "completed", "", 1, 1),
        ("1.02", "completed", "", 1, 1),
        ("1.03", "completed", "", 2, 1),
        ("1.04", "completed", "", 1, 1),
        ("1.05", "completed", "", 2, 1),
        ("1.06", "failed", "rejected_by_partner", 1, 0),
        ("1.08", "completed", "", 1, 1),
        ("1.09", "failed", "failed_at_partner", 1, 1),
        ("1.13", "failed", "partner_unavailable", 3, 0),
    ];
    for (amount, status, code, requests, effects) in cases {
        let submission = stack.submit(amount, amount).await;
        let settled = stack.settled_in_time(&submission).await;
        assert_eq!(reason(&settled), (status, code), "{amount}");
        let book = stack.at_partner(&submission);
        assert_eq!((book.requests, book.effects, book.while_unknown), (requests, effects, 0), "{amount}");
        assert_eq!(settled["partners"][0]["tries"], requests, "{amount}");
    }
}

#[tokio::test]
async fn a_lost_answer_leads_to_a_lookup_and_to_no_second_creation() {
    let stack = Stack::start().await;
    stack.sandbox.set_dedupe(false);
    let submission = stack.submit("lost", "1.04").await;
    assert_eq!(stack.settled(&submission).await["status"], "completed");
    let book = stack.at_partner(&submission);
    assert_eq!((book.requests, book.effects, book.while_unknown), (1, 1, 0));
    let trail = stack.trail(&submission).await;
    let outcomes: Vec<_> = trail.iter().filter_map(|event| event["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["unknown", "completed", "delivered"]);
}

#[tokio::test]
async fn three_tries_stand_120_seconds_apart() {
    let lines = [Line::Create(503, ""), Line::Create(429, ""), Line::Create(401, "")];
    let (settled, asked, trail) = play(lines, &[]).await;
    assert_eq!(reason(&settled), ("failed", "partner_unavailable"));
    assert_eq!(asked, ["create"; 3]);
    assert_eq!(waits(&trail), [120, 120]);
}

#[tokio::test]
async fn while_the_lookup_fails_nothing_is_created() {
    let lines =
        [Line::Create(504, ""), Line::LookUp(500, ""), Line::LookUp(200, "what?"), Line::LookUp(200, COMPLETED)];
    let (settled, asked, _) = play(lines, &[]).await;
    assert_eq!(reason(&settled), ("completed", ""));
    assert_eq!(asked, ["create", "look up", "look up", "look up"]);
}

#[tokio::test]
async fn the_first_creation_after_not_found_follows_at_once_the_next_waits_and_looks_again() {
    let lines = [
        Line::Create(504, ""),
        Line::LookUp(404, ""),
        Line::Create(504, ""),
        Line::LookUp(404, ""),
        Line::LookUp(404, ""),
        Line::Create(201, COMPLETED),
    ];
    let (settled, asked, trail) = play(lines, &[]).await;
    assert_eq!(reason(&settled), ("completed", ""));
    assert_eq!(asked, ["create", "look up", "create", "look up", "look up", "create"]);
    assert_eq!(waits(&trail), [120]);
}

#[tokio::test]
async fn at_a_partner_that_may_not_dedupe_a_lost_request_gets_its_time_to_land() {
    // It lands after the first lookup.
    let lines = [Line::Create(504, ""), Line::LookUp(404, ""), Line::LookUp(200, COMPLETED)];
    let (settled, asked, trail) = play(lines, &[("HOLDFAST__PARTNERS__PROCESSOR__IDEMPOTENT", "false")]).await;
    assert_eq!(reason(&settled), ("completed", ""));
    assert_eq!(asked, ["create", "look up", "look up"]);
    assert_eq!(waits(&trail), [120]);
}

#[tokio::test]
async fn a_change_of_partner_moves_nothing_that_is_under_way() {
    let mut stack = Stack::with(Options::default()).await;
    stack.start_worker();
    // Unavailable once: it waits for its next try.
    let submission = stack.submit("loyal", "1.03").await;
    eventually("it waits", || async { (stack.at_partner(&submission).requests == 1).then_some(()) }).await;
    stack.stop_workers().await;
    let other = holdfast_devstack::sandbox::Sandbox::default();
    let listener = holdfast_devstack::server::bind(0).await.expect("bind");
    let stop = tokio_util::sync::CancellationToken::new();
    let url = format!("http://{}", holdfast_devstack::server::serve(listener, other.router(), stop).expect("serve"));
    stack.start_worker_with(&[
        ("HOLDFAST__PARTNERS__OTHER__BASE_URL", &url),
        ("HOLDFAST__TRANSACTIONS__PARTNER", "other"),
    ]);
    let next = stack.submit("next", "1.00").await;
    assert_eq!(stack.settled_in_time(&submission).await["partners"][0]["partner"], "processor");
    assert_eq!(stack.settled_in_time(&next).await["partners"][0]["partner"], "other");
    assert_eq!((stack.at_partner(&submission).effects, other.entries().len()), (1, 1));
}

#[tokio::test]
async fn tries_that_all_got_lost_end_in_failed_only_after_a_lookup() {
    let lines = [
        Line::Create(504, ""),
        Line::LookUp(404, ""),
        Line::Create(500, ""),
        Line::LookUp(404, ""),
        Line::LookUp(404, ""),
        Line::Create(502, ""),
        Line::LookUp(404, ""),
        Line::LookUp(404, ""),
    ];
    let (settled, asked, trail) = play(lines, &[]).await;
    assert_eq!(reason(&settled), ("failed", "partner_unavailable"));
    assert_eq!(waits(&trail), [120, 120]);
    assert_eq!(asked.iter().filter(|asked| **asked == "create").count(), 3);
}

#[tokio::test]
async fn an_unavailable_last_try_after_a_doubt_is_looked_up_too() {
    let lines = [
        Line::Create(504, ""),
        Line::LookUp(404, ""),
        Line::Create(503, ""),
        Line::Create(503, ""),
        // The first request has landed after all.
        Line::LookUp(200, COMPLETED),
    ];
    let (settled, ..) = play(lines, &[]).await;
    assert_eq!(reason(&settled), ("completed", ""));
}

#[tokio::test]
async fn a_last_try_that_was_refused_leaves_a_lost_one_its_time_to_land() {
    let lines = [
        Line::Create(504, ""),
        Line::LookUp(404, ""),
        Line::Create(503, ""),
        Line::LookUp(404, ""),
        Line::LookUp(404, ""),
    ];
    let (settled, asked, trail) = play(lines, &[("HOLDFAST__PARTNERS__PROCESSOR__TRIES", "2")]).await;
    assert_eq!(reason(&settled), ("failed", "partner_unavailable"));
    assert_eq!(asked, ["create", "look up", "create", "look up", "look up"]);
    assert_eq!(waits(&trail), [120]);
}

#[tokio::test]
async fn a_partner_that_can_never_be_looked_up_first_is_unavailable_in_the_end() {
    let first = [
        ("HOLDFAST__PARTNERS__PROCESSOR__LOOKUP_FIRST", "true"),
        ("HOLDFAST__PARTNERS__PROCESSOR__KEY_LIFETIME_MS", "60000"),
    ];
    let (settled, asked, _) = play(vec![Line::LookUp(500, ""); 100], &first).await;
    assert_eq!(reason(&settled), ("failed", "partner_unavailable"));
    assert!(asked.iter().all(|asked| *asked == "look up"), "{asked:?}");
}

#[tokio::test]
async fn a_partner_without_keys_gets_lookups_only_after_a_doubt() {
    let lines = [Line::Create(504, ""), Line::LookUp(404, ""), Line::LookUp(404, ""), Line::LookUp(404, "")];
    let (settled, asked, _) = play(lines, &[("HOLDFAST__PARTNERS__PROCESSOR__AT_MOST_ONCE", "true")]).await;
    assert_eq!(reason(&settled), ("needs_attention", "outcome_unknown"));
    assert_eq!(asked, ["create", "look up", "look up", "look up"]);
}

#[tokio::test]
async fn past_the_keys_lifetime_nothing_is_created_again() {
    let lines = [Line::Create(503, "")];
    let lifetime = [("HOLDFAST__PARTNERS__PROCESSOR__KEY_LIFETIME_MS", "60000")];
    let (settled, asked, _) = play(lines, &lifetime).await;
    assert_eq!(reason(&settled), ("needs_attention", "key_lifetime_over"));
    assert_eq!(asked, ["create"]);
}

#[tokio::test]
async fn a_rejection_after_a_doubt_is_believed_only_after_a_lookup() {
    let rejected = r#"{"reason": "no funds"}"#;
    let lines = [
        Line::Create(504, ""),
        Line::LookUp(404, ""),
        Line::Create(422, rejected),
        Line::LookUp(404, ""),
        Line::LookUp(404, ""),
    ];
    let (settled, _, trail) = play(lines, &[]).await;
    assert_eq!(reason(&settled), ("failed", "rejected_by_partner"));
    assert_eq!(waits(&trail), [120], "the lost one has its time to land");
    assert_eq!(settled["reason"]["detail"], "no funds");
    // The lost one has arrived meanwhile, and the rejection was about the second.
    let lines =
        [Line::Create(504, ""), Line::LookUp(404, ""), Line::Create(422, rejected), Line::LookUp(200, COMPLETED)];
    let (settled, ..) = play(lines, &[]).await;
    assert_eq!(reason(&settled), ("completed", ""));
}

#[tokio::test]
async fn a_conflict_an_unreadable_answer_and_silence_are_looked_up() {
    let timeout = [("HOLDFAST__PARTNERS__PROCESSOR__CREATE_TIMEOUT_MS", "300")];
    for lost in [Line::Create(409, ""), Line::Create(200, "{}"), Line::Create(302, ""), Line::CreateHangs] {
        let (settled, asked, _) = play([lost.clone(), Line::LookUp(200, COMPLETED)], &timeout).await;
        assert_eq!(reason(&settled), ("completed", ""), "{lost:?}");
        assert_eq!(asked, ["create", "look up"], "{lost:?}");
    }
}

#[tokio::test]
async fn another_sale_under_our_id_needs_a_person() {
    for other in [
        r#"{"id": "p1", "status": "completed", "amount": "2.00", "currency": "EUR"}"#,
        r#"{"id": "p1", "status": "completed", "amount": "1.00", "currency": "USD"}"#,
        r#"{"id": "p1", "status": "completed", "reference": "another"}"#,
    ] {
        let (settled, ..) = play([Line::Create(504, ""), Line::LookUp(200, other)], &[]).await;
        assert_eq!(reason(&settled), ("needs_attention", "partner_mismatch"), "{other}");
    }
    let created = r#"{"id": "p1", "status": "completed", "amount": "1.01", "currency": "EUR"}"#;
    let (settled, ..) = play([Line::Create(201, created)], &[]).await;
    assert_eq!(reason(&settled), ("needs_attention", "partner_mismatch"));
    let polled = r#"{"id": "p1", "status": "completed", "amount": "1.00", "currency": "USD"}"#;
    let (settled, ..) = play([Line::Create(201, PENDING), Line::LookUp(200, polled)], &[]).await;
    assert_eq!(reason(&settled), ("needs_attention", "partner_mismatch"));
    let same = r#"{"id": "p1", "status": "completed", "amount": "1.0", "currency": "EUR", "reference": "script"}"#;
    let (settled, ..) = play([Line::Create(504, ""), Line::LookUp(200, same)], &[]).await;
    assert_eq!(reason(&settled), ("completed", ""));
}

#[tokio::test]
async fn some_partners_are_looked_up_first() {
    let first = [("HOLDFAST__PARTNERS__PROCESSOR__LOOKUP_FIRST", "true")];
    let (settled, asked, _) = play([Line::LookUp(200, COMPLETED)], &first).await;
    assert_eq!((reason(&settled), asked), (("completed", ""), vec!["look up"]));
    let (settled, asked, _) = play([Line::LookUp(404, ""), Line::Create(201, COMPLETED)], &first).await;
    assert_eq!((reason(&settled), asked), (("completed", ""), vec!["look up", "create"]));
}

#[tokio::test]
async fn a_partner_that_never_decides_needs_attention() {
    let limit = [("HOLDFAST__PARTNERS__PROCESSOR__SETTLE_WITHIN_MS", "150")];
    let lines = [Line::Create(201, PENDING), Line::LookUp(200, PENDING), Line::LookUp(200, PENDING)];
    let (settled, asked, _) = play(lines, &limit).await;
    assert_eq!(reason(&settled), ("needs_attention", "settlement_timeout"));
    assert_eq!(asked, ["create", "look up", "look up"]);
}

#[tokio::test]
async fn a_decision_that_nobody_saw_in_time_still_counts() {
    let mut stack = Stack::with(Options::default()).await;
    stack.start_worker();
    let submission = stack.submit("late", "1.02").await;
    eventually("it settles", || async { (stack.at_partner(&submission).lookups > 0).then_some(()) }).await;
    stack.stop_workers().await;
    stack.advance(std::time::Duration::from_secs(24 * 3600)).await;
    eventually("the partner has decided", || async { stack.sandbox.has_decided(&submission.id).then_some(()) }).await;
    stack.start_worker();
    assert_eq!(stack.settled(&submission).await["status"], "completed");
}
