//! Publishing: one process at a time for each sink, under a lease; batches in the order of the outbox; the position moves
//! when the sink has confirmed, so that a crash in between publishes once more. A sink that fails holds up itself alone.
//! With connections of its own: commands never wait for it.

use super::{connect, event};
use crate::App;
use crate::config::EventSink;
use crate::failpoint;
use crate::run::random;
use anyhow::Context as _;
use holdfast_domain::Token;
use holdfast_domain::event::Event;
use holdfast_domain::schedule::jittered;
use holdfast_queue::backoff;
use holdfast_sinks::{Failure, Sink};
use holdfast_store::Error;
use holdfast_store::event_sinks::{self, Held};
use holdfast_store::outbox;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a turn lasts that is not kept. A publisher that was killed is replaced after that.
const LEASE: Duration = Duration::from_secs(20);

/// How often it is kept, and asked for.
const KEEP: Duration = Duration::from_secs(4);

/// For a whole batch. Well below the lease: who has lost it must have stopped sending when another begins.
const BATCH_TIMEOUT: Duration = Duration::from_secs(12);

/// Events at once while a sink fails: all of them may come there again and again.
const PROBE: i64 = 10;

/// Between attempts at a sink that fails: doubling, from this …
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// … up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

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
    token: Token,
}

/// A sink, and how it has been lately.
struct Outlet {
    name: String,
    config: EventSink,
    sink: Arc<dyn Sink>,
    failures: u32,
    not_before: Option<Instant>,
    limit: i64,
}

impl Publisher {
    async fn new(app: App) -> anyhow::Result<Self> {
        let app = app.apart("holdfast-events", CONNECTIONS, PATIENCE)?;
        let token =
            Token(i64::from(getrandom::u32().context("draw a token")? >> 1) << 32 | i64::from(std::process::id()));
        let mut outlets = BTreeMap::new();
        for (name, config) in &app.config.events.sinks {
            let sink = connect(&app.config, name).await?;
            let limit = app.config.events.batch.into();
            let outlet =
                Outlet { name: name.clone(), config: config.clone(), sink, failures: 0, not_before: None, limit };
            outlets.insert(name.clone(), Arc::new(Mutex::new(outlet)));
        }
        let shared = Arc::new(Shared { app, token });
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

    /// Takes and keeps the turn at all sinks that nobody else has.
    async fn keep(&self, begun: &mut bool) -> Result<(), Error> {
        let Shared { app, token } = &*self.shared;
        if !*begun {
            for (name, sink) in &app.config.events.sinks {
                event_sinks::begin(&app.pool, name, sink.start()).await?;
            }
            *begun = true;
        }
        let names: Vec<String> = self.outlets.keys().cloned().collect();
        // Before it is asked for: ours never ends later than Postgres says.
        let asked = Instant::now();
        let held = event_sinks::hold(&app.pool, &names, *token, LEASE).await?;
        let until = if held.is_empty() { asked } else { asked + LEASE };
        self.until.send_replace(until);
        Ok(())
    }

    /// One statement for all sinks; those that something waits for are published to at once, each by itself.
    async fn look(&self, stop: &CancellationToken) -> Result<(), Error> {
        let Shared { app, token } = &*self.shared;
        // Before the places are read: whoever is in hand moves its own, and goes on by itself until nothing is left.
        let free = self.outlets.values().filter_map(|outlet| Arc::clone(outlet).try_lock_owned().ok());
        let mut free: BTreeMap<_, _> = free.map(|outlet| (outlet.name.clone(), outlet)).collect();
        if free.is_empty() {
            return Ok(());
        }
        for held in event_sinks::waiting(&app.pool, *token).await? {
            let Some(outlet) = free.remove(&held.name) else { continue };
            if outlet.not_before.is_some_and(|not_before| Instant::now() < not_before) {
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
    let covers = |until: Instant| Instant::now() + BATCH_TIMEOUT < until;
    while !stop.is_cancelled() && covers(*until.borrow()) {
        match outlet.publish(shared, &held).await {
            Ok(Some(next)) => held = next,
            Ok(None) => return,
            Err(error) => {
                let name = &*outlet.name;
                tracing::warn!(
                    sink = name,
                    error = &error as &dyn std::error::Error,
                    "could not read or note what is published"
                );
                return;
            }
        }
    }
}

impl Outlet {
    /// One batch. Returns how the sink stands then, if there is more to be published at once.
    async fn publish(&mut self, shared: &Shared, held: &Held) -> Result<Option<Held>, Error> {
        let Shared { app, token } = shared;
        let batch = outbox::batch(&app.pool, held.position, self.limit).await?;
        let Some(end) = batch.end else { return Ok(None) };
        let wanted = batch.rows.into_iter().filter(|row| self.config.wants(row.kind));
        let mut events: Vec<Event> = wanted.map(event).collect();
        let all = events.len();
        events.retain(|event| Some(&event.id) != held.skip.as_ref());
        let skipped = events.len() < all;
        if let Err(failure) = self.send(&events, held.refused.as_deref()).await {
            self.failed(shared, &failure).await?;
            return Ok(None);
        }
        failpoint::hit("event_published");
        if !event_sinks::advance(&app.pool, &self.name, *token, end, skipped).await? {
            tracing::warn!(
                sink = &*self.name,
                "another process publishes to a sink: what was sent last goes out again"
            );
            return Ok(None);
        }
        self.went_well(app, events.len(), held.skip.as_deref().filter(|_| skipped));
        let skip = held.skip.clone().filter(|_| !skipped);
        let next = Held { name: held.name.clone(), position: end, skip, refused: None };
        Ok(batch.is_full.then_some(next))
    }

    /// What was refused goes first, alone: nobody gets all the others again and again because of it.
    async fn send(&self, events: &[Event], refused: Option<&str>) -> Result<(), Failure> {
        let sending = async {
            if let Some(first) = events.iter().find(|event| Some(&*event.id) == refused) {
                self.sink.publish_and_await(std::slice::from_ref(first)).await?;
            }
            if events.is_empty() { Ok(()) } else { self.sink.publish_and_await(events).await }
        };
        let sent = tokio::time::timeout(BATCH_TIMEOUT, sending).await;
        sent.unwrap_or_else(|_elapsed| {
            Err(Failure::Unavailable(format!("not confirmed within {} s", BATCH_TIMEOUT.as_secs())))
        })
    }

    fn went_well(&mut self, app: &App, count: usize, skipped: Option<&str>) {
        if self.failures > 0 {
            tracing::info!(sink = &*self.name, failures = self.failures, "a sink takes events again");
        }
        if let Some(id) = skipped {
            tracing::warn!(sink = &*self.name, event.id = id, "an event was left out, as an operator has decided");
        }
        app.metrics.publishing.published(&self.name, count as u64);
        self.failures = 0;
        self.not_before = None;
        // Not at once as many as before: it may be slow.
        self.limit = (self.limit * 2).min(app.config.events.batch.into());
    }

    async fn failed(&mut self, shared: &Shared, failure: &Failure) -> Result<(), Error> {
        let Shared { app, token } = shared;
        let refused = match failure {
            Failure::Refused { id, .. } => {
                tracing::error!(
                    sink = &*self.name, event.id = &**id, error = %failure,
                    "a sink refuses an event, nothing goes there until it takes it or somebody skips it (holdfast events skip)"
                );
                Some(&**id)
            }
            Failure::Unavailable(_) => {
                tracing::warn!(sink = &*self.name, failures = self.failures, error = %failure, "a sink takes no events");
                None
            }
        };
        app.metrics.publishing.failed(&self.name, refused.is_some());
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + wait_after(self.failures));
        self.limit = PROBE.min(app.config.events.batch.into());
        event_sinks::fail(&app.pool, &self.name, *token, &failure.to_string(), refused).await?;
        Ok(())
    }
}

/// `failures` in a row, at least one.
fn wait_after(failures: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << (failures - 1).min(10));
    jittered(doubled.min(LONGEST_WAIT), random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_that_fails_is_tried_less_and_less_often_up_to_a_cap() {
        for (failures, base_ms) in [(1, 500), (2, 1_000), (5, 8_000), (7, 30_000), (u32::MAX, 30_000)] {
            let (wait, base) = (wait_after(failures), Duration::from_millis(base_ms));
            assert!(base * 4 / 5 <= wait && wait <= base * 6 / 5, "{wait:?} after {failures}");
        }
    }

    #[test]
    fn a_batch_is_over_before_the_turn_of_who_sends_it() {
        assert!(BATCH_TIMEOUT + KEEP < LEASE, "a turn that is kept in time always covers a batch");
    }
}
