//! An engine at work, with its proof of life.

use crate::healthcheck;
use anyhow::Context as _;
use holdfast_app::engine::Engine;
use holdfast_app::{App, heartbeat};
use holdfast_store::workers;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

pub struct Shift {
    pub engine: Arc<Engine>,
    heart: JoinHandle<()>,
    heart_stop: DropGuard,
}

impl Shift {
    /// `stop` has everybody come to an end, or release what is in hand.
    pub fn begin(app: App, stop: CancellationToken) -> anyhow::Result<Self> {
        let pool = app.pool_of_its_own("holdfast-heartbeat").context("read database_url")?;
        // A connection that has gone silent must be given up before we are.
        let pool = pool.within(app.config.worker.silence_ms.get() / 2);
        let (engine, heart_stop) = (Engine::new(app, stop)?, CancellationToken::new());
        let heart = {
            let (engine, stop) = (Arc::clone(&engine), heart_stop.clone());
            tokio::spawn(async move { heartbeat::run(&engine, &pool, &healthcheck::name(), &stop).await })
        };
        Ok(Self { engine, heart, heart_stop: heart_stop.drop_guard() })
    }

    /// Waits for the callbacks under way, then leaves. Nothing new may be begun.
    pub async fn end(self) -> anyhow::Result<()> {
        let Self { engine, heart, heart_stop } = self;
        // The heart beats until the last has ended: a silent worker would be declared dead while it drains.
        engine.drain().await;
        drop(heart_stop);
        heart.await.context("stop the heartbeat")?;
        if let Err(error) = workers::leave(&engine.app.pool, engine.life.worker()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not leave, will be declared dead");
        }
        Ok(())
    }
}
