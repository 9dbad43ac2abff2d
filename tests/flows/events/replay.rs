//! Events of a stretch of time once more.

use super::{Endpoint, about, create_queue, ended, stack, take, types};
use holdfast_domain::Kind;
use holdfast_testkit::{Options, Stack, free_port};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_stretch_of_time_is_told_again_with_the_same_events_and_none_of_another_time() {
    let endpoint = Endpoint::start().await;
    let mut stack = stack(&endpoint).await;
    stack.start_worker();
    let early = stack.submit("early", "1.00").await;
    stack.settled(&early).await;
    stack.advance(Duration::from_secs(3_600)).await;
    let from = stack.app.pool.now().await.expect("the time");
    let order = stack.submit_as(Kind::Order, "o", "1.00").await;
    let transaction = stack.submit("t", "1.00").await;
    for submission in [&order, &transaction] {
        stack.settled(submission).await;
    }
    stack.advance(Duration::from_secs(3_600)).await;
    let to = stack.app.pool.now().await.expect("the time");
    let late = stack.submit("late", "1.00").await;
    stack.settled(&late).await;
    let submissions = [early, order, transaction, late];
    let first = ended(&endpoint, &submissions).await;
    assert_eq!(first.len(), 8, "each once");

    let (from, to) = (from.to_rfc3339(), to.to_rfc3339());
    let words = ["events", "replay", "--sink", "hook", "--from", &from, "--to", &to, "-o", "json"];
    let planned = stack.as_operator(&[&words[..], &["--dry-run"]].concat()).await;
    assert_eq!(planned.lines().last().expect("a line")["events"], 4, "{planned:?}");
    assert_eq!(endpoint.taken().len(), 8, "nothing was sent");
    let one = stack.as_operator(&[&words[..], &["--kind", "order"]].concat()).await;
    assert_eq!(one.lines().last().expect("a line")["events"], 2, "{one:?}");
    let all = stack.as_operator(&words).await;
    assert_eq!(all.lines().last().expect("a line")["done"], json!(true), "{all:?}");
    let taken = endpoint.taken();
    assert_eq!(taken.len(), 8 + 2 + 4);
    let [early, order, transaction, late] = submissions;
    for (submission, times) in [(&early, 1), (&order, 3), (&transaction, 2), (&late, 1)] {
        let whole = about(&taken, &submission.id);
        assert_eq!(whole.len(), 2, "{:?}", types(&whole));
        let came = taken.iter().filter(|event| event["subject"] == submission.id).count();
        assert_eq!(came, 2 * times);
    }
    let upto = all.lines()[0]["upto"].to_string();
    let rest = stack.as_operator(&[&words[..], &["--after", &upto]].concat()).await;
    assert_eq!(rest.lines().last().expect("a line")["events"], 0, "{rest:?}");
    let unknown = stack.as_operator(&["events", "replay", "--sink", "none", "--from", &from, "--to", &to]).await;
    assert_ne!(unknown.status, 0);
}

#[tokio::test]
async fn what_is_refused_is_left_out_and_all_the_rest_gets_there() {
    let endpoint = Endpoint::start().await;
    let mut stack = stack(&endpoint).await;
    stack.start_worker();
    let mut submissions = Vec::new();
    for n in 0..3 {
        submissions.push(stack.submit(&format!("k{n}"), "1.00").await);
    }
    let first = ended(&endpoint, &submissions).await;
    let poison = format!("{}/0", submissions[1].id);
    endpoint.refuse(&poison);
    let from = (stack.app.pool.now().await.expect("the time") - Duration::from_secs(3_600)).to_rfc3339();
    let to = (stack.app.pool.now().await.expect("the time") + Duration::from_secs(3_600)).to_rfc3339();
    let words = ["events", "replay", "--sink", "hook", "--from", &from, "--to", &to, "-o", "json"];
    let replayed = stack.as_operator(&words).await;
    assert_eq!(replayed.status, 1, "not all of it is there: {replayed:?}");
    let lines = replayed.lines();
    assert!(lines.iter().any(|line| line["leftOut"] == *poison), "{lines:?}");
    let last = lines.last().expect("a line");
    assert_eq!((&last["events"], &last["leftOut"]), (&json!(5), &json!(1)));
    let came = |event: &&serde_json::Value| endpoint.taken().iter().filter(|other| other["id"] == event["id"]).count();
    assert!(first.iter().filter(|event| event["id"] != *poison).all(|event| came(&event) > 1));
}

#[tokio::test]
async fn a_queue_that_drops_repetitions_gets_a_replay_all_the_same() {
    let name = format!("replayed-{}.fifo", free_port().await);
    let environment = vec![
        ("HOLDFAST__EVENTS__SINKS__BUS__TYPE", "sqs".to_owned()),
        ("HOLDFAST__EVENTS__SINKS__BUS__QUEUE", name.clone()),
        ("HOLDFAST__EVENTS__SINKS__BUS__FROM", "beginning".to_owned()),
    ];
    let mut stack = Stack::with(Options { environment, ..Options::default() }).await;
    let url = create_queue(&stack, &name).await;
    stack.start_worker();
    let order = stack.submit_as(Kind::Order, "o", "1.00").await;
    stack.settled(&order).await;
    let whole = |events: &[serde_json::Value]| (about(events, &order.id).len() == 2).then_some(());
    let mut first = Vec::new();
    while whole(&first).is_none() {
        first.extend(take(&stack, &url).await);
    }
    let from = (stack.app.pool.now().await.expect("the time") - Duration::from_secs(3_600)).to_rfc3339();
    let to = (stack.app.pool.now().await.expect("the time") + Duration::from_secs(3_600)).to_rfc3339();
    for _ in 0..2 {
        let replayed = stack.as_operator(&["events", "replay", "--sink", "bus", "--from", &from, "--to", &to]).await;
        assert_eq!(replayed.status, 0, "{replayed:?}");
        assert!(whole(&take(&stack, &url).await).is_some(), "it was sent, and it is there");
    }
}
