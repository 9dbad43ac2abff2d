//! The net below publishing: what is due is claimed by whoever has room, and what nobody has room for is published.

use crate::App;
use crate::engine::{Engine, Held};
use crate::track::Track;
use holdfast_domain::{CommandNo, Kind, Lane, message};
use holdfast_queue::{Backoff, Outgoing, Sent, backoff};
use holdfast_store::Error;
use holdfast_store::wakeups::{Due, Overdue, claim, claim_due, claimed_under, not_published, take_overdue};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Rows claimed in one statement.
const CLAIM_BATCH: usize = 50;

/// Rows taken for publishing in one statement …
const PUBLISH_BATCH: i64 = 100;

/// … and while SQS is failing: one batch, as a probe.
const PROBE_BATCH: i64 = 10;

/// Claims what is due and carries it, as far as there is room.
pub async fn run_due(engine: Arc<Engine>, kinds: Vec<Kind>, stop: CancellationToken) {
    let interval = engine.app.config.worker.relay_interval_ms.get();
    let opening = engine.intake.opening();
    while !stop.is_cancelled() {
        let mut more = false;
        for due in [Due::Tell, Due::TellAgain, Due::Run] {
            // While Postgres is unreachable the heartbeat is the only probe.
            if !*opening.borrow() {
                continue;
            }
            match claim_batch(&engine, due, &kinds).await {
                Ok(full) => more |= full,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "could not claim what is due");
                    if matches!(error, Error::Unavailable(_)) {
                        engine.intake.found_outage();
                    }
                }
            }
        }
        if !more {
            stop.run_until_cancelled(backoff::sleep(interval)).await;
        }
    }
}

/// Returns whether there may be more.
async fn claim_batch(engine: &Arc<Engine>, due: Due, kinds: &[Kind]) -> Result<bool, Error> {
    let slots = match due {
        Due::Run => &engine.due_slots,
        Due::Tell => &engine.tell_slots,
        Due::TellAgain => &engine.tell_again_slots,
    };
    let Some(pass) = engine.company.try_together() else { return Ok(false) };
    let slots = slots.take_up_to(CLAIM_BATCH);
    if slots.is_empty() {
        return Ok(false);
    }
    let tokens: Vec<_> = slots.iter().map(|_| engine.life.token()).collect();
    let started = Instant::now();
    let (pool, worker, lease) = (&engine.app.pool, engine.life.worker(), engine.lease());
    let claimed = match claim_due(pool, worker, lease, due, kinds, &tokens).await {
        // The answer was lost. What was claimed all the same is asked for by token, and claimed once more by name.
        Err(Error::Unavailable(_)) => claim(pool, worker, lease, &claimed_under(pool, &tokens).await?).await?,
        claimed => claimed?,
    };
    let full = claimed.len() == CLAIM_BATCH;
    for (claimed, slot) in claimed.into_iter().zip(slots) {
        let held = Held::new(Box::new(claimed), started, Arc::clone(&pass), Track::Share);
        engine.spawn_carry(held.due(&engine.app.tracer), slot);
    }
    Ok(full)
}

/// Publishes what is overdue, whatever its kind: its own workers may all be gone. Runs in the API too, because with no
/// worker running there would be nobody to wake one.
pub async fn publish_overdue(app: App, stop: CancellationToken) {
    let worker = &app.config.worker;
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
    let mut batch = PUBLISH_BATCH;
    while !stop.is_cancelled() {
        match publish_batch(&app, worker.overdue_ms.get(), batch).await {
            Ok(Published::All { more }) => {
                backoff.reset();
                batch = PUBLISH_BATCH;
                if !more {
                    stop.run_until_cancelled(backoff::sleep(worker.relay_interval_ms.get() * 4)).await;
                }
            }
            // SQS is in trouble: one batch at a time finds out when it is over.
            Ok(Published::Partly) => {
                batch = PROBE_BATCH;
                stop.run_until_cancelled(backoff.wait()).await;
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not look for overdue wakeups");
                stop.run_until_cancelled(backoff.wait()).await;
            }
        }
    }
}

/// The same once, for whoever is woken by a schedule. Answers whether SQS took all of it.
pub async fn publish_overdue_now(app: &App) -> Result<bool, Error> {
    loop {
        match publish_batch(app, app.config.worker.overdue_ms.get(), PUBLISH_BATCH).await? {
            Published::All { more: true } => {}
            Published::All { more: false } => return Ok(true),
            Published::Partly => return Ok(false),
        }
    }
}

/// How soon what SQS did not take is looked at again.
const UNSENT: Duration = Duration::from_secs(20);

enum Published {
    All { more: bool },
    Partly,
}

async fn publish_batch(app: &App, by: Duration, limit: i64) -> Result<Published, Error> {
    let (mut more, mut failed) = (false, false);
    for lane in [Lane::Run, Lane::Tell] {
        let overdue = take_overdue(&app.pool, lane, by, limit).await?;
        more |= overdue.len() as i64 == limit;
        let mut by_track: HashMap<(Kind, Track), (Vec<CommandNo>, Vec<Outgoing>)> = HashMap::new();
        for row in overdue {
            let (nos, messages) = by_track.entry((row.kind, app.shares.again(row.client))).or_default();
            nos.push(row.no);
            messages.push(nudge(app, row));
        }
        // Before the next are taken: what is taken counts as published.
        for ((kind, track), (nos, messages)) in by_track {
            let sent = app.send((kind, track), "relay", &messages).await;
            let unsent = nos.iter().zip(sent).filter(|(_, sent)| *sent == Sent::Failed);
            let unsent: Vec<_> = unsent.map(|(no, _)| *no).collect();
            if !unsent.is_empty() {
                failed = true;
                // Else they are looked at later.
                if let Err(error) = not_published(&app.pool, lane, &unsent, UNSENT).await {
                    tracing::debug!(%error, "could not take back what was not sent");
                }
            }
            tracing::debug!(
                queue.name = app.queues.on(kind, track).name(),
                count = messages.len(),
                unsent = unsent.len(),
                "published overdue wakeups"
            );
        }
    }
    Ok(if failed { Published::Partly } else { Published::All { more } })
}

fn nudge(app: &App, row: Overdue) -> Outgoing {
    let message = message::nudge(row.no, row.id, row.kind, row.lane);
    let body = serde_json::to_string(&message).expect("a message always serialises");
    Outgoing { body, group: app.shares.group(row.client), ..Outgoing::default() }
}
