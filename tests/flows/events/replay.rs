//! Events of a stretch of time once more.

use super::{Endpoint, about, ended, stack, types};
use holdfast_domain::Kind;
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
