//! One client's flood and everybody else's commands.

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use holdfast_app::credentials::create_client;
use holdfast_devstack::sandbox::Sandbox;
use holdfast_domain::Kind;
use holdfast_testkit::partner::{held_back, slow_to};
use holdfast_testkit::{Gate, Options, Stack, at_partners, eventually};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// A share that a handful of requests uses up, and that does not grow again during a test.
fn small_shares() -> Options {
    Options { environment: vec![("HOLDFAST__QUEUES__SHARE_PER_S", "1".to_owned())], ..Options::default() }
}

/// Messages in a queue, as SQS counts them.
async fn waiting(stack: &Stack, name: &str) -> u64 {
    let queue = stack.app.queues.all().find(|queue| queue.name() == name).expect("it is one of ours");
    queue.counts().await.expect("counts").waiting
}

#[tokio::test]
async fn what_a_client_sends_beyond_its_share_waits_apart_and_ends_like_the_rest() {
    let mut stack = Stack::with(small_shares()).await;
    let (own, overflow) = (stack.queues["transactions"].clone(), format!("{}-overflow", stack.queues["transactions"]));
    let mut flood = Vec::new();
    for n in 0..20 {
        flood.push(stack.submit(&format!("flood-{n}"), "1.00").await);
    }
    eventually("all are published", || async {
        let (own, overflow) = (waiting(&stack, &own).await, waiting(&stack, &overflow).await);
        // Each second of these submissions brought a share of one.
        (own + overflow == 20 && own >= 1 && overflow > own).then_some(())
    })
    .await;
    let before = waiting(&stack, &own).await;
    let other = create_client(&stack.app, "other", None).await.expect("create").expect("the name is free");
    let flooding = std::mem::replace(&mut stack.api_key, other.api_key);
    let few = stack.submit("few-1", "1.00").await;
    eventually("the other's goes the short way", || async {
        (waiting(&stack, &own).await == before + 1).then_some(())
    })
    .await;
    stack.start_worker();
    assert_eq!(stack.settled(&few).await["status"], "completed");
    stack.api_key = flooding;
    for submission in &flood {
        assert_eq!(stack.settled(submission).await["status"], "completed");
        assert_eq!(stack.at_partner(submission).effects, 1);
    }
}

#[tokio::test]
async fn what_is_beyond_the_share_stays_in_its_queue_while_the_partner_has_enough_to_do() {
    let (gate, asked) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    let counting = from_fn(move |request: Request, next: Next| {
        count.fetch_add(1, Ordering::SeqCst);
        next.run(request)
    });
    let sandbox = Sandbox::default();
    // So slow that nobody waits for a turn.
    let slow = slow_to(sandbox.clone().router(), "POST", Duration::from_millis(300));
    let partner = held_back(slow, Arc::clone(&gate)).layer(counting);
    let mut stack = Stack::with(Options { partner: Some(partner), ..small_shares() }).await;
    let overflow = format!("{}-overflow", stack.queues["transactions"]);
    stack.start_worker_with(&[("HOLDFAST__PARTNERS__PROCESSOR__CONCURRENCY", "1")]);
    let is_asked = async |times| {
        eventually("the partner is asked", || async { (asked.load(Ordering::SeqCst) >= times).then_some(()) }).await;
    };
    gate.add_permits(1);
    let mut submissions = vec![stack.submit("first", "1.00").await];
    stack.settled(&submissions[0]).await;
    submissions.push(stack.submit("in-hand", "1.00").await);
    is_asked(2).await;
    for n in 0..20 {
        submissions.push(stack.submit(&format!("flood-{n}"), "1.00").await);
    }
    let many = || async { (waiting(&stack, &overflow).await > 12).then_some(()) };
    eventually("most wait beyond the share", many).await;
    let calm = create_client(&stack.app, "calm", None).await.expect("create").expect("the name is free");
    let flooding = std::mem::replace(&mut stack.api_key, calm.api_key);
    let few = stack.submit("few", "1.00").await;
    eventually("another client's is taken on all the same", || async {
        (stack.get(&few.this).await["status"] == "processing").then_some(())
    })
    .await;
    assert!(waiting(&stack, &overflow).await > 12, "they wait there still");
    gate.add_permits(100);
    assert_eq!(stack.settled_in_time(&few).await["status"], "completed");
    stack.api_key = flooding;
    for submission in &submissions {
        assert_eq!(stack.settled_in_time(submission).await["status"], "completed");
        assert!(at_partners(&sandbox, Kind::Transaction, submission).iter().all(|book| book.effects == 1));
    }
}

/// Wakeups that were accepted as if they had been marked.
async fn left_alone(stack: &Stack) -> i64 {
    let late = "select count(*) from wakeups join commands using (no)
                 where publishes = 1 and due_at = created_at + interval '30 s'";
    sqlx::query_scalar(late).fetch_one(&stack.pool).await.expect("count")
}

#[tokio::test]
async fn what_is_beyond_the_share_is_left_alone_from_the_beginning_unless_it_could_not_be_sent() {
    let gate = Gate::before(Stack::sqs_address()).await;
    let sqs_url = Some(format!("http://{}", gate.address));
    let mut stack = Stack::with(Options { sqs_url, ..small_shares() }).await;
    let mut submissions = Vec::new();
    while left_alone(&stack).await < 5 {
        submissions.push(stack.submit(&format!("before-{}", submissions.len()), "1.00").await);
        assert!(submissions.len() < 1_000, "none is left alone");
    }
    let other = create_client(&stack.app, "other", None).await.expect("create").expect("the name is free");
    let flooding = std::mem::replace(&mut stack.api_key, other.api_key);
    let before = left_alone(&stack).await;
    let few = stack.submit("few", "1.00").await;
    assert_eq!(left_alone(&stack).await, before, "within the share the relay looks soon");
    let calm = std::mem::replace(&mut stack.api_key, flooding);
    gate.close();
    for n in 0..5 {
        submissions.push(stack.submit(&format!("unsent-{n}"), "1.00").await);
    }
    let soon = "select count(*) from wakeups join commands using (no) where key like 'unsent-%' and due_at < run_at + interval '28 s' and publishes = 0";
    eventually("what was not sent is due soon", || async {
        let due: i64 = sqlx::query_scalar(soon).fetch_one(&stack.pool).await.expect("count");
        (due == 5).then_some(())
    })
    .await;
    gate.open();
    stack.start_worker();
    for submission in &submissions {
        assert_eq!(stack.settled_in_time(submission).await["status"], "completed");
        assert_eq!(stack.at_partner(submission).effects, 1);
    }
    stack.api_key = calm;
    assert_eq!(stack.settled_in_time(&few).await["status"], "completed");
}

#[tokio::test]
async fn what_is_overdue_keeps_to_the_shares_too() {
    let stack = Stack::with(small_shares()).await;
    for n in 0..10 {
        stack.submit(&format!("late-{n}"), "1.00").await;
    }
    let (own, overflow) = (stack.queues["transactions"].clone(), format!("{}-overflow", stack.queues["transactions"]));
    let both = || async { (waiting(&stack, &own).await, waiting(&stack, &overflow).await) };
    eventually("all are published", || async { (both().await.0 + both().await.1 == 10).then_some(()) }).await;
    // Nobody has claimed them: the relay publishes each once more.
    stack.advance(Duration::from_secs(60)).await;
    eventually("all are published again", || async {
        let (own, overflow) = both().await;
        (own + overflow == 20 && overflow > own).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_overflow_queue_that_is_missing_holds_nothing_up() {
    let stack = Stack::with(small_shares()).await;
    let (own, overflow) = (stack.queues["transactions"].clone(), format!("{}-overflow", stack.queues["transactions"]));
    let url = stack.sqs.get_queue_url().queue_name(overflow).send().await.expect("there").queue_url.expect("a URL");
    stack.sqs.delete_queue().queue_url(url).send().await.expect("delete it");
    for n in 0..10 {
        stack.submit(&format!("late-{n}"), "1.00").await;
    }
    eventually("all are published", || async { (waiting(&stack, &own).await >= 10).then_some(()) }).await;
    // The relay knows a way too.
    stack.advance(Duration::from_secs(60)).await;
    eventually("all are published again", || async { (waiting(&stack, &own).await >= 20).then_some(()) }).await;
}
