//! What every request handler has.

use holdfast_app::accept::Acceptor;
use holdfast_app::endpoint::{self, Deliverer};
use holdfast_app::keys::Keys;
use holdfast_app::watch::Watch;
use holdfast_app::webhook::Webhooks;
use holdfast_app::{App, relay};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[derive(Clone)]
pub struct State {
    pub app: App,
    pub acceptor: Acceptor,
    pub keys: Keys,
    pub watch: Watch,
    pub webhooks: Webhooks,
    /// For tests of clients' endpoints.
    pub deliverer: Deliverer,
    pub stop: CancellationToken,
    /// What must end before the process may.
    pub tasks: TaskTracker,
    schema_checked: Arc<AtomicBool>,
}

impl State {
    /// Starts what works behind the requests. Must be called within the runtime.
    pub fn start(app: App, stop: CancellationToken) -> anyhow::Result<Self> {
        let tasks = TaskTracker::new();
        Ok(Self {
            webhooks: Webhooks::new(&app)?,
            deliverer: endpoint::deliverer(&app)?,
            acceptor: Acceptor::start(&app, &tasks),
            keys: Keys::new(app.clone()),
            watch: Watch::start(app.clone(), stop.clone()),
            schema_checked: Arc::default(),
            app,
            stop,
            tasks,
        })
    }

    /// Whether the schema is known to be ours. Nothing is accepted before.
    pub fn is_ready(&self) -> bool {
        self.schema_checked.load(Ordering::Acquire)
    }

    /// From here on commands are accepted, and overdue ones published.
    pub fn schema_is_checked(&self) {
        self.schema_checked.store(true, Ordering::Release);
        self.tasks.spawn(relay::publish_overdue(self.app.clone(), self.stop.clone()));
    }
}
