//! What every kind must pass: delivered twice, killed at each step, and each request to a partner lost in turn.

use holdfast_app::failpoint::POINTS;
use holdfast_devstack::sandbox::Sandbox;
use holdfast_domain::{CommandId, CommandNo, Kind, Lane, message};
use holdfast_testkit::{Loss, Options, Stack, Submission, at_partners, losing};
use std::time::Duration;

/// Past every lease and every first retry.
const LATER: Duration = Duration::from_secs(60);

/// Completed, one effect at each partner, told at least once, nothing sent while in doubt.
pub(crate) async fn assert_whole(stack: &Stack, kind: Kind, submission: &Submission, point: &str) {
    let settled = stack.settled(submission).await;
    assert_eq!(settled["status"], "completed", "{point}");
    for book in stack.at_partners(kind, submission) {
        assert_eq!((book.effects, book.while_unknown), (1, 0), "{point}");
    }
    let told = stack.told(submission);
    assert!(!told.is_empty(), "{point}: the client was told");
    let ids: std::collections::HashSet<_> = told.iter().map(|delivery| &delivery.headers["webhook-id"]).collect();
    assert_eq!(ids.len(), 1, "{point}: one state, one id");
    let outcomes: i64 =
        sqlx::query_scalar("select count(*) from outcomes").fetch_one(&stack.pool).await.expect("count");
    assert_eq!(outcomes, 1, "{point}");
    assert_trail_has_no_gaps(stack, submission, point).await;
}

async fn assert_trail_has_no_gaps(stack: &Stack, submission: &Submission, point: &str) {
    let trail = stack.trail(submission).await;
    let mut sequences: Vec<_> = trail.iter().map(|event| event["sequence"].as_i64().expect("a number")).collect();
    assert!(sequences.is_sorted(), "{point}");
    sequences.dedup();
    let expected: Vec<_> = (0..sequences.len() as i64).collect();
    assert_eq!(sequences, expected, "{point}: {trail:?}");
}

/// Delivered again and again, it happens once.
async fn delivered_twice(kind: Kind) {
    let mut stack = Stack::with(Options::default()).await;
    stack.sandbox.set_dedupe(false);
    let submission = stack.submit_as(kind, kind.name(), "1.02").await;
    let no: i64 = sqlx::query_scalar("select no from commands").fetch_one(&stack.pool).await.expect("a row");
    let id = CommandId(submission.id.parse().expect("an id"));
    let nudge = serde_json::to_string(&message::nudge(CommandNo(no), id, kind, Lane::Run)).expect("serialises");
    for _ in 0..5 {
        stack.send_message(kind, &nudge).await;
    }
    stack.start_worker();
    stack.start_worker();
    assert_eq!(stack.settled(&submission).await["status"], "completed");
    for book in stack.at_partners(kind, &submission) {
        assert_eq!((book.requests, book.effects), (1, 1));
    }
    assert_eq!(stack.told(&submission).len(), 1);
}

/// A worker that is killed at any step leaves one effect.
async fn killed_at_each_step(kind: Kind) {
    let passed = |point: &&str| match *point {
        // The one is the API's, the other is passed where there are sinks.
        "accepted" | "event_published" => false,
        "next_partner" => kind == Kind::Refund,
        _ => true,
    };
    for point in POINTS.into_iter().filter(passed) {
        let mut stack = Stack::with(Options::default()).await;
        // A partner that does not dedupe: a missing lookup would be a second effect.
        stack.sandbox.set_dedupe(false);
        // The answer that is lost leads through the note.
        let amount = if point == "noted" { "1.04" } else { "1.00" };
        stack.start_worker_with(&[("HOLDFAST_FAILPOINT", point)]);
        let submission = stack.submit_as(kind, point, amount).await;
        assert!(stack.worker_died().await, "{point}: killed by a signal");
        stack.advance(LATER).await;
        stack.start_worker();
        assert_whole(&stack, kind, &submission, point).await;
    }
}

/// Each request to a partner in turn is lost, on the way in or on the way out.
async fn any_request_lost(kind: Kind) {
    let (amount, requests) = match kind {
        Kind::Transaction | Kind::Order => ("1.02", 3),
        // One at each partner, and the lookup that follows the loss.
        Kind::Refund => ("1.00", 5),
    };
    for (nth, loss) in (1..=requests).flat_map(|nth| [(nth, Loss::OnTheWayIn), (nth, Loss::OnTheWayOut)]) {
        let sandbox = Sandbox::default();
        sandbox.set_dedupe(false);
        let partner = Some(losing(sandbox.router(), nth, loss));
        let mut stack = Stack::with(Options { partner, ..Options::default() }).await;
        stack.start_worker();
        let submission = stack.submit_as(kind, kind.name(), amount).await;
        let settled = stack.settled_in_time(&submission).await;
        assert_eq!(settled["status"], "completed", "{nth} {loss:?}");
        for book in at_partners(&sandbox, kind, &submission) {
            assert_eq!((book.effects, book.while_unknown), (1, 0), "{nth} {loss:?}");
        }
        assert_eq!(stack.told(&submission).len(), 1, "{nth} {loss:?}");
    }
}

/// One test of each, for each kind: a kind that somebody forgot here does not compile.
macro_rules! every_kind {
    ($($kind:ident: $module:ident),+) => {
        const _: fn(Kind) = |kind| match kind { $(Kind::$kind => {})+ };
        $(mod $module {
            use holdfast_domain::Kind;

            #[tokio::test]
            async fn delivered_twice_happens_once() {
                super::delivered_twice(Kind::$kind).await;
            }

            #[tokio::test]
            async fn killed_at_any_step_leaves_one_effect() {
                super::killed_at_each_step(Kind::$kind).await;
            }

            #[tokio::test]
            async fn the_loss_of_any_request_is_survived() {
                super::any_request_lost(Kind::$kind).await;
            }
        })+
    };
}

every_kind!(Transaction: transaction, Refund: refund, Order: order);
