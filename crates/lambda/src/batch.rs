//! The messages of one invocation, each with a verdict of its own.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use holdfast_app::App;
use holdfast_app::dispatch::Dispatch;
use holdfast_app::engine::Engine;
use holdfast_app::graveyard::Graveyard;
use holdfast_app::replay::Replay;
use holdfast_app::track::Track;
use holdfast_domain::Kind;
use holdfast_queue::{Handler as _, Message, Slot, TRACEPARENT, Verdict, backoff};
use holdfast_worker::Shift;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What is not done by then is handed back: nothing may be under way when the process is frozen.
const RESERVE: Duration = Duration::from_millis(500);

/// Of the time until then, how much is worked as usual. In the rest, whoever waits releases what it has in hand.
const AS_USUAL: f64 = 0.8;

/// Works on all of them at once. Those that are reported come back after the visibility timeout.
pub(crate) async fn work(app: &App, messages: Vec<SqsMessage>, time: Duration) -> anyhow::Result<SqsBatchResponse> {
    let mut left: BTreeSet<String> = messages.iter().filter_map(|message| message.message_id.clone()).collect();
    let (count, time) = (left.len(), time.saturating_sub(RESERVE));
    let stop = CancellationToken::new();
    let working = work_on(app, messages, &stop, &mut left);
    let last_call = async {
        backoff::sleep(time.mul_f64(AS_USUAL)).await;
        stop.cancel();
        std::future::pending::<()>().await;
    };
    let in_time = async {
        tokio::select! {
            worked = working => worked,
            () = last_call => Ok(()),
        }
    };
    match tokio::time::timeout(time, in_time).await {
        Ok(worked) => worked?,
        Err(_elapsed) => tracing::warn!("the invocation's time is over"),
    }
    tracing::info!(count, done = count - left.len(), reported = left.len(), "worked on a batch");
    let mut response = SqsBatchResponse::default();
    left.into_iter().for_each(|id| response.add_failure(id));
    Ok(response)
}

/// Takes out of `left` what is done. Dropped, it ends all that it has begun.
async fn work_on(
    app: &App,
    messages: Vec<SqsMessage>,
    stop: &CancellationToken,
    left: &mut BTreeSet<String>,
) -> anyhow::Result<()> {
    let shift = Shift::begin(app.clone(), stop.clone())?;
    // While Postgres is not there, all of them are handed back.
    let mut opening = shift.engine.intake.opening();
    // What is waited for is a lock on the value, which the heart needs: it must end with the statement.
    let is_open = matches!(stop.run_until_cancelled(opening.wait_for(|open| *open)).await, Some(Ok(_)));
    if is_open {
        let mut handlers = JoinSet::new();
        for message in messages {
            handlers.spawn(handle(Arc::clone(&shift.engine), message));
        }
        while let Some(handled) = handlers.join_next().await {
            match handled {
                Ok((id, Verdict::Delete)) => drop(left.remove(&id)),
                Ok((_, Verdict::Leave | Verdict::LeaveFor(_))) => {}
                Err(error) => tracing::error!(%error, "handler panicked, message left"),
            }
        }
    }
    shift.end().await
}

async fn handle(engine: Arc<Engine>, message: SqsMessage) -> (String, Verdict) {
    let arn = message.event_source_arn.as_deref().unwrap_or_default();
    let queue: Arc<str> = arn.rsplit(':').next().unwrap_or_default().into();
    let id = message.message_id.unwrap_or_default();
    let count = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok());
    let message = Message {
        queue: Arc::clone(&queue),
        id: id.clone(),
        body: message.body.unwrap_or_default(),
        traceparent: message.message_attributes.get(TRACEPARENT).and_then(|value| value.string_value.clone()),
        receive_count: count.unwrap_or(1),
    };
    let (queues, slot) = (&engine.app.config.queues, Slot::uncounted());
    for (kind, track) in Kind::ALL.into_iter().flat_map(|kind| Track::ALL.map(|track| (kind, track))) {
        if queues.on(kind, track) == *queue {
            return (id, Dispatch { engine: Arc::clone(&engine), kind, track }.handle(message, slot).await);
        }
    }
    if let Some(kind) = Kind::ALL.into_iter().find(|kind| queues.dead_letters_of(*kind) == *queue) {
        return (id, Graveyard { engine: Arc::clone(&engine), kind }.handle(message, slot).await);
    }
    if queues.journal == *queue {
        return (id, Replay(Arc::clone(&engine)).handle(message, slot).await);
    }
    tracing::error!(queue.name = &*queue, "this queue is in no configuration of ours, message left");
    (id, Verdict::Leave)
}
