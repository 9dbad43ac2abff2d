//! Publishing: one process at a time for each sink, under a lease; batches in the order of the outbox; the position moves
//! when the sink has confirmed, so that a crash in between publishes once more. A sink that fails holds up itself alone.
//! With connections of its own: commands never wait for it.

use super::connect;
use super::outlet::{BATCH_TIMEOUT, Next, Outlet};
use super::reader::Reader;
use crate::App;
use anyhow::Context as _;
use holdfast_domain::Token;
use holdfast_queue::backoff;
use holdfast_store::Error;
use holdfast_store::event_sinks::{self, Held};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a turn lasts that is not kept. A publisher that was killed is replaced after that.
const LEASE: Duration = Duration::from_secs(20);

/// How often it is kept, and asked for.
const KEEP: Duration = Duration::from_secs(4);

/// Statements of a publisher at once, and how long each may take.
const CONNECTIONS: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(5);

/// Publishes to all sinks that are configured, whenever it is this process's turn, until `stop`.
pub async fn run(app: App, stop: CancellationToken) {
    if app.config.events.sinks.is_empty() {
        return;
    }
    match Publisher::new(app).await {
        Ok(publisher) => publisher.work(stop).await,
        Err(error) => tracing::error!(error = format!("{error:#}"), "cannot publish events"),
    }
}

struct Publisher {
    shared: Arc<Shared>,
    outlets: BTreeMap<String, Arc<Mutex<Outlet>>>,
    /// Until when the turns stand that are ours, as we know it.
    until: watch::Sender<Instant>,
    drains: TaskTracker,
}

/// What every outlet needs.
struct Shared {
    app: App,
    reader: Reader,
    token: Token,
    /// Sinks that are left to others, and until when.
    left: std::sync::Mutex<BTreeMap<String, Instant>>,
}

impl Shared {
    fn leaves(&self, name: &str) -> bool {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.get(name).is_some_and(|until| Instant::now() < *until)
    }

    /// Noted first: the turn must not be asked for again in between.
    async fn leave(&self, name: &str, until: Instant) -> Result<(), Error> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), until);
        event_sinks::leave(&self.app.pool, name, self.token).await
    }
}

impl Publisher {
    async fn new(app: App) -> anyhow::Result<Self> {
        let app = app.apart("holdfast-events", CONNECTIONS, PATIENCE)?;
        let token =
            Token(i64::from(getrandom::u32().context("draw a token")? >> 1) << 32 | i64::from(std::process::id()));
        let mut outlets = BTreeMap::new();
        for (name, config) in &app.config.events.sinks {
            match connect(&app.config, name, None).await {
                Ok(sink) => {
                    let outlet = Outlet::new(name, config, sink, app.config.events.batch);
                    outlets.insert(name.clone(), Arc::new(Mutex::new(outlet)));
                }
                Err(error) => tracing::error!(sink = name, error = format!("{error:#}"), "cannot publish to a sink"),
            }
        }
        let shared = Arc::new(Shared { app, reader: Reader::default(), token, left: std::sync::Mutex::default() });
        Ok(Self { shared, outlets, until: watch::Sender::new(Instant::now()), drains: TaskTracker::new() })
    }

    async fn work(self, stop: CancellationToken) {
        let interval = self.shared.app.config.events.interval_ms.get();
        let (mut begun, mut kept) = (false, None);
        while !stop.is_cancelled() {
            let wait = match self.turn(&mut begun, &mut kept, &stop).await {
                Ok(()) => interval,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "could not look for events to publish");
                    KEEP
                }
            };
            stop.run_until_cancelled(backoff::sleep(wait)).await;
        }
        self.drains.close();
        self.drains.wait().await;
        if let Err(error) = event_sinks::release(&self.shared.app.pool, self.shared.token).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "could not leave the sinks to others");
        }
    }

    async fn turn(&self, begun: &mut bool, kept: &mut Option<Instant>, stop: &CancellationToken) -> Result<(), Error> {
        if kept.is_none_or(|kept| kept.elapsed() >= KEEP) {
            *kept = Some(Instant::now());
            self.keep(begun).await?;
        }
        if *self.until.borrow() > Instant::now() { self.look(stop).await } else { Ok(()) }
    }

    /// Takes and keeps the turn at all sinks that nobody else has, and that are not left to others.
    async fn keep(&self, begun: &mut bool) -> Result<(), Error> {
        let Shared { app, token, .. } = &*self.shared;
        if !*begun {
            for (name, sink) in &app.config.events.sinks {
                event_sinks::begin(&app.pool, name, sink.start()).await?;
            }
            *begun = true;
        }
        let names: Vec<String> = self.outlets.keys().filter(|name| !self.shared.leaves(name)).cloned().collect();
        // Before it is asked for: ours never ends later than Postgres says.
        let asked = Instant::now();
        let held = event_sinks::hold(&app.pool, &names, *token, LEASE).await?;
        let until = if held.is_empty() { asked } else { asked + LEASE };
        self.until.send_replace(until);
        Ok(())
    }

    /// One statement for all sinks; those that something waits for are published to at once, each by itself.
    async fn look(&self, stop: &CancellationToken) -> Result<(), Error> {
        let Shared { app, token, .. } = &*self.shared;
        // Before the places are read: whoever is in hand moves its own, and goes on by itself until nothing is left.
        let free = self.outlets.values().filter_map(|outlet| Arc::clone(outlet).try_lock_owned().ok());
        let mut free: BTreeMap<_, _> = free.map(|outlet| (outlet.name.clone(), outlet)).collect();
        if free.is_empty() {
            return Ok(());
        }
        for held in event_sinks::waiting(&app.pool, *token).await? {
            let Some(outlet) = free.remove(&held.name) else { continue };
            if outlet.waits() {
                continue;
            }
            let (shared, until, stop) = (Arc::clone(&self.shared), self.until.subscribe(), stop.clone());
            self.drains.spawn(async move { drain(&shared, outlet, held, until, stop).await });
        }
        Ok(())
    }
}

/// Publishes batch after batch until none is full, something fails, or the turn is about to end.
async fn drain(
    shared: &Shared,
    mut outlet: OwnedMutexGuard<Outlet>,
    mut held: Held,
    until: watch::Receiver<Instant>,
    stop: CancellationToken,
) {
    let covers = || Instant::now() + BATCH_TIMEOUT < *until.borrow();
    while !stop.is_cancelled() && covers() {
        let noted = match outlet.publish(&shared.app, &shared.reader, shared.token, &held, covers).await {
            Ok(Next::Batch(next)) => {
                held = next;
                continue;
            }
            Ok(Next::Pause) => return,
            Ok(Next::Leave(until)) => shared.leave(&outlet.name, until).await,
            Err(error) => {
                outlet.hold_off();
                Err(error)
            }
        };
        if let Err(error) = noted {
            tracing::warn!(
                sink = &*outlet.name,
                error = &error as &dyn std::error::Error,
                "could not note what is published"
            );
        }
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_over_before_the_turn_of_who_sends_it() {
        assert!(BATCH_TIMEOUT + KEEP < LEASE, "a turn that is kept in time always covers a batch");
    }
}
