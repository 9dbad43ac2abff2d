//! holdfast-worker: carries accepted commands to their end.

use anyhow::Context as _;
use holdfast_app::dispatch::Dispatch;
use holdfast_app::engine::Engine;
use holdfast_app::{App, SchemaError, heartbeat, relay};
use holdfast_domain::Kind;
use holdfast_queue::{Backoff, Consumer, Settings, backoff};
use holdfast_store::workers;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs until `stop`, then finishes or releases what is in hand, within the grace period.
pub async fn run(app: App, kinds: Vec<Kind>, stop: CancellationToken) -> anyhow::Result<()> {
    wait_for_schema(&app, &stop).await?;
    let grace = app.config.worker.grace_ms.get();
    let engine = Engine::new(app, stop.clone())?;
    let overtime = async {
        stop.cancelled().await;
        backoff::sleep(grace).await;
    };
    tokio::select! {
        worked = work(Arc::clone(&engine), kinds, &stop) => worked?,
        () = overtime => {
            // Without our row nobody would reap what is still claimed.
            tracing::warn!("handlers were still at work at the end of the grace period");
            return Ok(());
        }
    }
    if let Err(error) = workers::leave(&engine.app.pool, engine.life.worker()).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "could not leave, will be declared dead");
    }
    Ok(())
}

async fn work(engine: Arc<Engine>, kinds: Vec<Kind>, stop: &CancellationToken) -> anyhow::Result<()> {
    // The heart beats until the last handler has ended: a silent worker would be declared dead while it drains.
    let heart_stop = CancellationToken::new();
    let heart = {
        let (engine, stop) = (Arc::clone(&engine), heart_stop.clone());
        let pool = engine.app.pool_of_its_own("holdfast-heartbeat").context("read database_url")?;
        tokio::spawn(async move { heartbeat::run(&engine, &pool, &worker_name(), &stop).await })
    };
    let sources = TaskTracker::new();
    for kind in &kinds {
        sources.spawn(consumer(&engine, *kind).run(stop.clone()));
    }
    sources.spawn(relay::run_due(Arc::clone(&engine), kinds, stop.clone()));
    sources.spawn(relay::publish_overdue(engine.app.clone(), stop.clone()));
    sources.close();
    tracing::info!(worker.id = engine.life.worker().0, "working");
    sources.wait().await;
    engine.drain().await;
    heart_stop.cancel();
    heart.await.context("stop the heartbeat")
}

fn consumer(engine: &Arc<Engine>, kind: Kind) -> Consumer<Dispatch> {
    let worker = &engine.app.config.worker;
    Consumer {
        queue: engine.app.queues.of(kind).clone(),
        slots: engine.run_slots.clone(),
        settings: Settings { wait: worker.receive_wait_ms.get(), renew_visibility: None, pollers: worker.pollers },
        open: engine.opening(),
        handler: Arc::new(Dispatch(Arc::clone(engine))),
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

fn worker_name() -> String {
    format!("pid {}", std::process::id())
}
