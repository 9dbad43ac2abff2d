//! What every request handler has.

use crate::error::Problem;
use crate::load::Load;
use crate::reading::Readers;
use anyhow::Context as _;
use axum::extract::{self, FromRef, Request};
use axum::middleware::Next;
use axum::response::Response;
use holdfast_app::accept::Acceptor;
use holdfast_app::endpoint::{self, Deliverer};
use holdfast_app::journal::Journal;
use holdfast_app::keys::Keys;
use holdfast_app::limits::Limits;
use holdfast_app::metrics::one;
use holdfast_app::outage::Outage;
use holdfast_app::watch::Watch;
use holdfast_app::webhook::Webhooks;
use holdfast_app::{App, key_usage, relay, retention, survey};
use holdfast_domain::Scope;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Cheap to clone: that happens several times for each request.
#[derive(Clone)]
pub struct State(Arc<Inner>);

pub struct Inner {
    pub app: App,
    pub acceptor: Acceptor,
    pub keys: Keys,
    /// What each client may ask for.
    pub limits: Arc<Limits>,
    /// What all of them together may.
    pub load: Arc<Load>,
    /// And what they may ask Postgres at once.
    pub readers: Readers,
    pub watch: Watch,
    pub webhooks: Webhooks,
    /// For tests of clients' endpoints.
    pub deliverer: Deliverer,
    /// Whether Postgres answers.
    pub outage: Outage,
    pub stop: CancellationToken,
    /// What must end before the process may.
    pub tasks: TaskTracker,
    schema_checked: AtomicBool,
}

impl Deref for State {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl State {
    /// Starts what works behind the requests. Must be called within the runtime.
    pub fn start(app: App, stop: CancellationToken) -> anyhow::Result<Self> {
        let (tasks, outage, journal) = (TaskTracker::new(), Outage::default(), Journal::start(&app));
        app.metrics.sample({
            let outage = outage.clone();
            move || {
                let on = f64::from(u8::from(outage.is_on()));
                vec![one(
                    "holdfast_outage",
                    "1: Postgres does not answer, commands are accepted by the journal queue",
                    on,
                )]
            }
        });
        // Not stopped with the rest: requests are still answered while the process drains.
        watch(&app, outage.clone())?;
        Ok(Self(Arc::new(Inner {
            webhooks: Webhooks::new(&app, journal.clone(), outage.clone())?,
            deliverer: endpoint::deliverer(&app).context("build the client for callbacks")?,
            acceptor: Acceptor::start(&app, journal, outage.clone(), &tasks),
            keys: Keys::new(&app, outage.clone()),
            limits: Arc::new(Limits::new(&app.config.limits)),
            load: Load::new(&app.config.api, &app.metrics),
            readers: Readers::new(&app.config.database, &app.metrics),
            watch: Watch::start(app.clone(), stop.clone()),
            schema_checked: AtomicBool::default(),
            outage,
            app,
            stop,
            tasks,
        })))
    }

    /// Whether the schema is known to be ours. Nothing is accepted before.
    pub fn is_ready(&self) -> bool {
        self.schema_checked.load(Ordering::Acquire)
    }

    /// What the handlers of a route get whose callers need this scope.
    pub(crate) fn needing(&self, scope: Scope) -> Needing {
        Needing { state: self.clone(), scope }
    }

    /// From here on commands are accepted, and overdue ones published.
    pub fn schema_is_checked(&self) {
        self.schema_checked.store(true, Ordering::Release);
        self.tasks.spawn(relay::publish_overdue(self.app.clone(), self.stop.clone()));
        self.tasks.spawn(survey::run(self.app.clone(), self.stop.clone()));
        self.tasks.spawn(retention::run(self.app.clone(), self.stop.clone()));
        let (api, keys) = (&self.app.config.api, self.keys.clone());
        let pool = self.app.pool.within(api.accept_timeout_ms.get());
        self.tasks.spawn(key_usage::write_down(keys, pool, api.key_usage_ms.get(), self.stop.clone()));
    }
}

/// The state, and what a caller must be allowed to do. There is a [`Caller`](crate::headers::Caller) in no other state: a
/// route that does not say what it needs does not compile.
#[derive(Clone)]
pub(crate) struct Needing {
    pub(crate) state: State,
    pub(crate) scope: Scope,
}

impl FromRef<Needing> for State {
    fn from_ref(needing: &Needing) -> Self {
        needing.state.clone()
    }
}

fn watch(app: &App, outage: Outage) -> anyhow::Result<()> {
    let config = &app.config.api;
    let pool = app.pool_of_its_own("holdfast-probe")?.within(config.accept_timeout_ms.get());
    tokio::spawn(outage.watch(pool, config.probe_ms.get()));
    Ok(())
}

/// In front of everything that only Postgres can answer: while it is down nobody waits for it in vain.
pub(crate) async fn needs_postgres(
    extract::State(state): extract::State<State>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if state.outage.is_on() { Err(Problem::Unavailable) } else { Ok(next.run(request).await) }
}
