//! What every page has.

use crate::queues::Queues;
use crate::redrives::Redrives;
use crate::samples::Samples;
use crate::throttle::Throttle;
use anyhow::Context as _;
use holdfast_app::{App, operators};
use std::ops::Deref;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Cheap to clone.
#[derive(Clone)]
pub struct Console(Arc<Inner>);

pub struct Inner {
    /// With connections of its own: operators never keep clients waiting.
    pub(crate) app: App,
    pub(crate) samples: Samples,
    pub(crate) queues: Queues,
    pub(crate) throttle: Throttle,
    pub(crate) redrives: Redrives,
    pub(crate) stop: CancellationToken,
}

impl Deref for Console {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Console {
    /// Begins to look at what goes on, until `stop`. Must be called within the runtime.
    pub fn start(app: &App, stop: CancellationToken) -> anyhow::Result<Self> {
        let config = &app.config.console;
        let app = app
            .apart("holdfast-console", config.connections, config.patience_ms.get())
            .context("make the console's connections")?;
        tokio::task::spawn_blocking(operators::prepare);
        Ok(Self(Arc::new(Inner {
            samples: Samples::start(app.clone(), stop.clone()),
            queues: Queues::start(&app, stop.clone()),
            throttle: Throttle::default(),
            redrives: Redrives::default(),
            app,
            stop,
        })))
    }
}
