//! One sink: what it gets next, and how it takes it.

use super::pace::Pace;
use super::portion::portion;
use super::reader::Reader;
use crate::App;
use crate::config::EventSink;
use crate::failpoint;
use crate::run::random;
use holdfast_domain::Token;
use holdfast_domain::event::Event;
use holdfast_domain::schedule::jittered;
use holdfast_sinks::{Failure, Sink};
use holdfast_store::Error;
use holdfast_store::event_sinks::{self, Held, Progress};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For a whole batch. Well below a turn: who has lost it must have stopped sending when another begins.
pub(super) const BATCH_TIMEOUT: Duration = Duration::from_secs(12);

/// Between attempts at a sink that fails: doubling, from this …
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// … up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// For how long a sink is left to others whose next event this version cannot read: a newer one may be among them.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(30);

/// A sink, and how it has been lately.
pub(super) struct Outlet {
    pub(super) name: String,
    config: EventSink,
    sink: Arc<dyn Sink>,
    failures: u32,
    not_before: Option<Instant>,
    pace: Pace,
}

/// What comes next, after a batch.
pub(super) enum Next {
    /// There is more.
    Batch(Held),
    /// Nothing for now.
    Pause,
    /// What others may be able to read. Until then nobody here asks for the turn.
    Leave(Instant),
}

impl Outlet {
    pub(super) fn new(name: &str, config: &EventSink, sink: Arc<dyn Sink>, most: u32) -> Self {
        let pace = Pace::new(most as usize);
        Self { name: name.to_owned(), config: config.clone(), sink, failures: 0, not_before: None, pace }
    }

    /// It has failed, and is tried again later.
    pub(super) fn waits(&self) -> bool {
        self.not_before.is_some_and(|not_before| Instant::now() < not_before)
    }

    /// One batch, if the turn still lasts when it has been read: Postgres may have been away for as long.
    pub(super) async fn publish(
        &mut self,
        app: &App,
        reader: &Reader,
        token: Token,
        held: &Held,
        may_send: impl Fn() -> bool + Send,
    ) -> Result<Next, Error> {
        let limit = self.pace.limit();
        let (batch, is_full) = match reader.batch(&app.pool, held.position, limit).await {
            Ok(read) => read,
            Err(error) => {
                let why = format!("its events cannot be read: {:#}", anyhow::Error::from(error));
                return self.failed(app, token, &Failure::Unavailable(why), limit).await;
            }
        };
        let size = batch.rows.len();
        let portion = portion(&batch, |kind| self.config.wants(kind), held.skip.as_deref());
        let Some(end) = portion.end else {
            return match portion.unreadable {
                Some(id) => self.cannot_read(app, token, &id).await,
                None => Ok(Next::Pause),
            };
        };
        if !may_send() {
            return Ok(Next::Pause);
        }
        if let Err(failure) = send(&*self.sink, &portion.events, held.refused.as_deref()).await {
            return self.failed(app, token, &failure, size).await;
        }
        failpoint::hit("event_published");
        let timeline = batch.timeline.unwrap_or_default();
        let progress = Progress { from: held.position, to: end, timeline, skipped: portion.skipped };
        if !event_sinks::advance(&app.pool, &self.name, token, progress).await? {
            reader.forget().await;
            self.hold_off();
            tracing::warn!(
                sink = &*self.name,
                "another process publishes to a sink, or did, or another Postgres has taken over: what was sent last may go out again"
            );
            return Ok(Next::Pause);
        }
        self.went_well(app, portion.events.len(), held.skip.as_deref().filter(|_| portion.skipped));
        let skip = held.skip.clone().filter(|_| !portion.skipped);
        let next = Held { name: held.name.clone(), position: end, skip, refused: None };
        Ok(if is_full || portion.unreadable.is_some() { Next::Batch(next) } else { Next::Pause })
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
        self.pace.went_well();
    }

    /// `size` rows did not go.
    async fn failed(&mut self, app: &App, token: Token, failure: &Failure, size: usize) -> Result<Next, Error> {
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
        self.pace.failed(size);
        self.hold_off();
        event_sinks::fail(&app.pool, &self.name, token, &failure.to_string(), refused).await?;
        Ok(Next::Pause)
    }

    /// The next event is one that this version cannot read. It is never passed by unless somebody says so.
    async fn cannot_read(&mut self, app: &App, token: Token, id: &str) -> Result<Next, Error> {
        tracing::error!(
            sink = &*self.name,
            event.id = id,
            "an event cannot be read by this version: nothing goes to a sink until a newer one publishes, or somebody skips it \
             (holdfast events skip)"
        );
        app.metrics.publishing.failed(&self.name, true);
        self.hold_off();
        let why = format!("{id} cannot be read by this version: a newer one has written it");
        event_sinks::fail(&app.pool, &self.name, token, &why, Some(id)).await?;
        Ok(Next::Leave(Instant::now() + LEFT_TO_OTHERS))
    }

    /// Nothing is tried for a while.
    pub(super) fn hold_off(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + wait_after(self.failures));
    }
}

/// What was refused goes first, alone: nobody gets all the others again and again because of it.
async fn send(sink: &dyn Sink, events: &[Event], refused: Option<&str>) -> Result<(), Failure> {
    let sending = async {
        if let Some(first) = events.iter().find(|event| Some(&*event.id) == refused) {
            sink.publish_and_await(std::slice::from_ref(first)).await?;
        }
        if events.is_empty() { Ok(()) } else { sink.publish_and_await(events).await }
    };
    let sent = tokio::time::timeout(BATCH_TIMEOUT, sending).await;
    sent.unwrap_or_else(|_elapsed| {
        Err(Failure::Unavailable(format!("not confirmed within {} s", BATCH_TIMEOUT.as_secs())))
    })
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
}
