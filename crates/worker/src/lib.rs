//! holdfast-worker: carries accepted commands to their end.

mod healthcheck;
mod shift;
mod source;

pub use healthcheck::healthcheck;
pub use shift::Shift;
pub use source::Source;

use anyhow::Context as _;
use holdfast_app::dispatch::Dispatch;
use holdfast_app::engine::Engine;
use holdfast_app::events::publisher;
use holdfast_app::graveyard::Graveyard;
use holdfast_app::replay::Replay;
use holdfast_app::track::Track;
use holdfast_app::{App, SchemaError, relay, retention, survey};
use holdfast_domain::Kind;
use holdfast_queue::{Backoff, Consumer, Settings, Slots, backoff};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Entries of the journal that are written at once: they share statements.
const JOURNAL_SLOTS: usize = 100;

/// Dead letters of one kind that are stored at once.
const DEAD_LETTER_SLOTS: usize = 10;

/// Runs until `stop`, then finishes or releases what is in hand, within the grace period.
pub async fn run(app: App, sources: Vec<Source>, stop: CancellationToken) -> anyhow::Result<()> {
    wait_for_schema(&app, &stop).await?;
    let grace = app.config.worker.grace_ms.get();
    let shift = Shift::begin(app, stop.clone())?;
    let overtime = async {
        stop.cancelled().await;
        backoff::sleep(grace).await;
    };
    tokio::select! {
        worked = work(shift, &sources, &stop) => worked,
        () = overtime => {
            // Without our row nobody would reap what is still claimed.
            tracing::warn!("handlers were still at work at the end of the grace period");
            Ok(())
        }
    }
}

async fn work(shift: Shift, sources: &[Source], stop: &CancellationToken) -> anyhow::Result<()> {
    let engine = &shift.engine;
    let working = TaskTracker::new();
    for source in sources {
        match source {
            Source::Kind(kind) => Track::ALL.into_iter().for_each(|track| {
                working.spawn(commands(engine, *kind, track).run(stop.clone()));
            }),
            Source::Journal => drop(working.spawn(journal(engine).run(stop.clone()))),
            Source::DeadLetters => Kind::ALL.into_iter().for_each(|kind| {
                working.spawn(dead_letters(engine, kind).run(stop.clone()));
            }),
            Source::Events => drop(working.spawn(publisher::run(engine.app.clone(), stop.clone()))),
        }
    }
    let kind = |source: &Source| if let Source::Kind(kind) = source { Some(*kind) } else { None };
    let kinds: Vec<_> = sources.iter().filter_map(kind).collect();
    working.spawn(relay::run_due(Arc::clone(engine), kinds, stop.clone()));
    let (overflow, stopped) = (Arc::clone(&engine.overflow), stop.clone());
    working.spawn(async move { overflow.adapt(stopped).await });
    working.spawn(relay::publish_overdue(engine.app.clone(), stop.clone()));
    working.spawn(survey::run(engine.app.clone(), stop.clone()));
    working.spawn(retention::run(engine.app.clone(), stop.clone()));
    working.close();
    tracing::info!(worker.id = engine.life.worker().0, "working");
    working.wait().await;
    shift.end().await
}

fn commands(engine: &Arc<Engine>, kind: Kind, track: Track) -> Consumer<Dispatch> {
    let worker = &engine.app.config.worker;
    let slots = match track {
        Track::Share => &engine.run_slots,
        Track::Overflow => engine.overflow.slots(kind),
    };
    Consumer {
        queue: engine.app.queues.on(kind, track).clone(),
        slots: slots.clone(),
        settings: Settings { wait: worker.receive_wait_ms.get(), renew_visibility: None, pollers: worker.pollers },
        open: engine.intake.opening(),
        handler: Arc::new(Dispatch { engine: Arc::clone(engine), kind, track }),
    }
}

/// With slots of its own: what rests on SQS alone is written down before anything else is done.
fn journal(engine: &Arc<Engine>) -> Consumer<Replay> {
    let worker = &engine.app.config.worker;
    Consumer {
        queue: engine.app.queues.journal().clone(),
        slots: Slots::new(JOURNAL_SLOTS),
        settings: Settings { wait: worker.receive_wait_ms.get(), renew_visibility: None, pollers: worker.pollers },
        open: engine.intake.opening(),
        handler: Arc::new(Replay(Arc::clone(engine))),
    }
}

fn dead_letters(engine: &Arc<Engine>, kind: Kind) -> Consumer<Graveyard> {
    let worker = &engine.app.config.worker;
    Consumer {
        queue: engine.app.queues.dead_letters_of(kind).clone(),
        slots: Slots::new(DEAD_LETTER_SLOTS),
        settings: Settings { wait: worker.receive_wait_ms.get(), renew_visibility: None, pollers: 1 },
        open: engine.intake.opening(),
        handler: Arc::new(Graveyard { engine: Arc::clone(engine), kind }),
    }
}

/// A wrong schema ends the process; an unreachable Postgres is waited for.
async fn wait_for_schema(app: &App, stop: &CancellationToken) -> anyhow::Result<()> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    loop {
        match app.check_schema().await {
            Err(SchemaError::Store(error)) if !stop.is_cancelled() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not check the schema");
                stop.run_until_cancelled(backoff.wait()).await;
            }
            checked => return checked.context("cannot work with this database"),
        }
    }
}
