//! What fails between the outbox and a sink: the sink, the publisher, and both.

use super::{Endpoint, TURN, about, ended, sinks, stack, to, types};
use holdfast_domain::Kind;
use holdfast_testkit::{Options, Stack, Submission, eventually, free_port};
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn submit(stack: &Stack, prefix: &str, count: usize) -> Vec<Submission> {
    let mut submissions = Vec::new();
    for n in 0..count {
        submissions.push(stack.submit(&format!("{prefix}{n}"), "1.00").await);
    }
    submissions
}

fn assert_whole(endpoint: &Endpoint, submissions: &[Submission]) {
    let taken = endpoint.taken();
    for submission in submissions {
        assert_eq!(types(&about(&taken, &submission.id)), ["transaction.accepted", "transaction.completed"]);
    }
}

#[tokio::test]
async fn a_sink_that_is_down_holds_up_nobody_and_catches_up() {
    let mut endpoint = Endpoint::closed(free_port().await);
    let mut stack = stack(&endpoint).await;
    stack.start_worker();
    let mut submissions = submit(&stack, "closed", 15).await;
    for submission in &submissions {
        assert_eq!(stack.settled(submission).await["status"], "completed");
    }
    let waiting = eventually("its failures are noted", || async {
        let sink = sinks(&stack).await.remove("hook")?;
        (sink["failures"].as_i64()? > 0).then_some(sink)
    })
    .await;
    assert_eq!((&waiting["lag"], &waiting["refused"]), (&json!(30), &json!(null)), "{waiting}");
    assert!(waiting["error"].as_str().is_some_and(|error| !error.is_empty()), "{waiting}");

    endpoint.answer(Some(500));
    endpoint.open().await;
    submissions.extend(submit(&stack, "failing", 5).await);
    eventually("it is asked", || async { (endpoint.turned_away() > 0).then_some(()) }).await;
    assert!(endpoint.taken().is_empty());
    endpoint.answer(None);
    ended(&endpoint, &submissions).await;
    assert_whole(&endpoint, &submissions);
    eventually("nothing is left", || async {
        let sink = sinks(&stack).await.remove("hook")?;
        (sink["lag"] == 0 && sink["failures"] == 0 && sink["error"].is_null()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_publisher_that_dies_before_it_has_noted_how_far_it_is_publishes_again() {
    let endpoint = Endpoint::start().await;
    let mut stack = stack(&endpoint).await;
    let submissions = submit(&stack, "k", 3).await;
    stack.start_worker_with(&[("HOLDFAST_FAILPOINT", "event_published")]);
    assert!(stack.worker_died().await, "killed by a signal");
    let before = endpoint.taken();
    assert!(!before.is_empty(), "they were sent");
    stack.advance(TURN).await;
    stack.start_worker();
    ended(&endpoint, &submissions).await;
    eventually("all of them come again, under the same ids", || async {
        let taken = endpoint.taken();
        let again = |id: &Value| taken.iter().filter(|other| other["id"] == *id).count() > 1;
        before.iter().all(|event| again(&event["id"])).then_some(())
    })
    .await;
    assert_whole(&endpoint, &submissions);
}

/// Of who publishes.
async fn token(stack: &Stack) -> Option<i64> {
    sqlx::query_scalar("select token from event_sinks").fetch_one(&stack.pool).await.expect("one")
}

#[tokio::test]
async fn of_two_workers_one_publishes_and_the_other_goes_on_when_it_is_gone() {
    let endpoint = Endpoint::start().await;
    let mut stack = stack(&endpoint).await;
    stack.start_worker();
    stack.start_worker();
    let submissions = submit(&stack, "two", 20).await;
    let taken = ended(&endpoint, &submissions).await;
    assert_whole(&endpoint, &submissions);
    let ids: BTreeSet<_> = taken.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), taken.len(), "nothing came twice: nobody else publishes");

    let first = token(&stack).await.expect("it is held");
    stack.kill_workers().await;
    stack.start_worker();
    stack.advance(TURN).await;
    let more = submit(&stack, "more", 3).await;
    ended(&endpoint, &more).await;
    assert_whole(&endpoint, &more);
    assert_ne!(token(&stack).await, Some(first));
    stack.stop_workers().await;
    assert_eq!(token(&stack).await, None, "who ends leaves it to others at once");
}

#[tokio::test]
async fn only_who_is_told_to_publishes() {
    let endpoint = Endpoint::start().await;
    let mut stack = stack(&endpoint).await;
    stack.start_worker_with(&[("HOLDFAST_QUEUES", "transactions")]);
    let submissions = submit(&stack, "q", 2).await;
    for submission in &submissions {
        stack.settled(submission).await;
    }
    assert!(endpoint.taken().is_empty() && sinks(&stack).await["hook"]["position"].is_null(), "it has no place yet");
    stack.start_worker_with(&[("HOLDFAST_QUEUES", "events")]);
    ended(&endpoint, &submissions).await;
    assert_whole(&endpoint, &submissions);
}

#[tokio::test]
async fn an_event_that_is_refused_holds_up_its_sink_until_somebody_decides() {
    let endpoint = Endpoint::start().await;
    let mut stack = stack(&endpoint).await;
    let submissions = submit(&stack, "r", 3).await;
    let poison = format!("{}/0", submissions[1].id);
    endpoint.refuse(&poison);
    stack.start_worker();
    eventually("it is held up", || async { (sinks(&stack).await.remove("hook")?["refused"] == *poison).then_some(()) })
        .await;
    for submission in &submissions {
        assert_eq!(stack.settled(submission).await["status"], "completed", "commands go on");
    }
    assert_eq!(stack.as_operator(&["doctor", "-o", "json"]).await.status, 1, "something is wrong");
    let other = format!("{}/0", submissions[2].id);
    let wrong = stack.as_operator(&["events", "skip", "hook", &other, "--why", "a test"]).await;
    assert_ne!(wrong.status, 0, "that is not the one that it refuses: {wrong:?}");
    let skipped = stack.as_operator(&["events", "skip", "hook", &poison, "--why", "a test", "-o", "json"]).await;
    assert_eq!(skipped.document()["skipped"], *poison, "{skipped:?}");
    eventually("all the rest is there", || async {
        let ids: BTreeSet<_> = endpoint.taken().iter().map(|event| event["id"].to_string()).collect();
        (ids.len() == 5).then_some(())
    })
    .await;
    assert!(endpoint.taken().iter().all(|event| event["id"] != *poison));
    let sink = eventually("it goes on", || async {
        let sink = sinks(&stack).await.remove("hook")?;
        sink["refused"].is_null().then_some(sink)
    })
    .await;
    assert_eq!(sink["skipped"], 1, "and it is known for ever that one was left out");
    let again = stack.as_operator(&["events", "skip", "hook", &poison, "--why", "a test"]).await;
    assert_ne!(again.status, 0, "it refuses nothing: {again:?} {:?}", to(&endpoint));
}

#[tokio::test]
async fn a_sink_that_takes_but_two_at_once_gets_everything() {
    let endpoint = Endpoint::start().await;
    endpoint.take_at_once(2);
    let mut stack = stack(&endpoint).await;
    let submissions = submit(&stack, "slow", 20).await;
    stack.start_worker();
    ended(&endpoint, &submissions).await;
    assert_whole(&endpoint, &submissions);
}

/// As if a newer version had written the last row of this command, and as this one did.
async fn written_by_a_newer(stack: &Stack, id: &str, is_newer: bool) {
    let change = "update events e
                     set data = case when $2 then jsonb_build_array(data -> 0 || '{\"type\": \"newer\"}') || data
                                     else data - 0 end
                    from commands c
                   where c.no = e.no and c.id::text = $1 and e.attempt = 0";
    sqlx::query(change).bind(id).bind(is_newer).execute(&stack.pool).await.expect("change it");
}

#[tokio::test]
async fn an_event_of_a_newer_version_waits_for_one_and_holds_up_only_who_wants_it() {
    let (endpoint, other) = (Endpoint::start().await, Endpoint::start().await);
    let mut stack = stack(&endpoint).await;
    stack.start_worker_with(&[("HOLDFAST_QUEUES", "transactions,orders")]);
    let submissions = submit(&stack, "n", 3).await;
    let order = stack.submit_as(Kind::Order, "o", "1.00").await;
    for submission in submissions.iter().chain([&order]) {
        stack.settled(submission).await;
    }
    let newer = &submissions[1].id;
    written_by_a_newer(&stack, newer, true).await;
    let url = other.url();
    let orders = [
        ("HOLDFAST_QUEUES", "events"),
        ("HOLDFAST__EVENTS__SINKS__ORDERS__TYPE", "http"),
        ("HOLDFAST__EVENTS__SINKS__ORDERS__URL", &*url),
        ("HOLDFAST__EVENTS__SINKS__ORDERS__FROM", "beginning"),
        ("HOLDFAST__EVENTS__SINKS__ORDERS__KINDS", "orders"),
    ];
    stack.start_worker_with(&orders);
    ended(&other, std::slice::from_ref(&order)).await;
    let unread = format!("{newer}/1");
    let held_up = eventually("it says which one, and is left to others", || async {
        let sink = sinks(&stack).await.remove("hook")?;
        (sink["refused"] == *unread && sink["hasPublisher"] == false).then_some(sink)
    })
    .await;
    assert!(held_up["error"].as_str().is_some_and(|error| error.contains("newer")), "{held_up}");
    assert_eq!(stack.as_operator(&["doctor", "-o", "json"]).await.status, 1, "it needs somebody");
    let taken = endpoint.taken();
    assert!(taken.iter().all(|event| event["id"] != *unread), "it is not passed by");
    assert!(taken.iter().any(|event| event["id"] == format!("{newer}/0")), "what is before it goes");

    written_by_a_newer(&stack, newer, false).await;
    stack.start_worker_with(&orders);
    ended(&endpoint, &submissions).await;
    assert_whole(&endpoint, &submissions);
}

#[tokio::test]
async fn of_what_is_archived_nothing_is_told_to_a_sink_that_begins_at_the_beginning() {
    let endpoint = Endpoint::start().await;
    let mut stack = stack(&endpoint).await;
    stack.start_worker_with(&[("HOLDFAST_QUEUES", "transactions")]);
    let submissions = submit(&stack, "a", 2).await;
    for submission in &submissions {
        stack.settled(submission).await;
    }
    let archived = "with c as (update commands set body = '' where id::text = $1 returning no)
                    delete from events e using c where e.no = c.no";
    sqlx::query(archived).bind(&submissions[0].id).execute(&stack.pool).await.expect("as it is archived");
    stack.start_worker_with(&[("HOLDFAST_QUEUES", "events")]);
    ended(&endpoint, &submissions[1..]).await;
    eventually("nothing is left", || async { (sinks(&stack).await.remove("hook")?["lag"] == 0).then_some(()) }).await;
    assert!(about(&endpoint.taken(), &submissions[0].id).is_empty());
}

#[tokio::test]
async fn who_archives_waits_also_for_sinks_that_only_others_know() {
    let mut stack = Stack::with(Options::default()).await;
    let endpoint = Endpoint::closed(free_port().await);
    let known = to(&endpoint);
    let known: Vec<_> = known.iter().map(|(name, value)| (*name, &**value)).collect();
    stack.start_worker_with(&known);
    let submission = stack.submit("a", "1.00").await;
    stack.settled(&submission).await;
    eventually("it waits for the sink", || async { (sinks(&stack).await.remove("hook")?["lag"] == 2).then_some(()) })
        .await;
    stack.advance(std::time::Duration::from_secs(402 * 86_400)).await;
    let held = "select held_at > holdfast_now() - interval '1 minute' from event_sinks";
    eventually("somebody still publishes", || async {
        sqlx::query_scalar::<_, bool>(held).fetch_one(&stack.pool).await.ok()?.then_some(())
    })
    .await;
    assert_eq!(stack.as_operator(&["retention", "run"]).await.status, 0);
    assert_eq!(archived(&stack).await, Some(0));
    stack.kill_workers().await;
    stack.advance(std::time::Duration::from_secs(2 * 86_400)).await;
    eventually("it was given up, and nothing waits for it", || async {
        assert_eq!(stack.as_operator(&["retention", "run"]).await.status, 0);
        (archived(&stack).await? == 1).then_some(())
    })
    .await;
}

/// Commands whose payload is gone.
async fn archived(stack: &Stack) -> Option<i64> {
    let sql = "select count(*) from outcomes where expunged_at is not null";
    sqlx::query_scalar(sql).fetch_one(&stack.pool).await.ok()
}

#[tokio::test]
async fn nothing_is_archived_that_a_sink_has_yet_to_get() {
    let mut endpoint = Endpoint::closed(free_port().await);
    let mut stack = stack(&endpoint).await;
    stack.start_worker();
    let submissions = submit(&stack, "old", 1).await;
    stack.settled(&submissions[0]).await;
    eventually("it waits for the sink", || async { (sinks(&stack).await.remove("hook")?["lag"] == 2).then_some(()) })
        .await;
    stack.advance(std::time::Duration::from_secs(402 * 86_400)).await;
    let ran = stack.as_operator(&["retention", "run", "-o", "json"]).await;
    assert_eq!((ran.status, &ran.document()["archived"]), (0, &json!(0)), "{ran:?}");
    assert!(ran.err.contains("a sink has yet to get"), "{ran:?}");
    endpoint.open().await;
    ended(&endpoint, &submissions).await;
    assert_whole(&endpoint, &submissions);
    eventually("it is archived then", || async {
        assert_eq!(stack.as_operator(&["retention", "run"]).await.status, 0);
        (archived(&stack).await? == 1).then_some(())
    })
    .await;
}
