//! From an entry's receipt to its acknowledgement.

use super::commands::Stream;
use super::entry::Entry;
use crate::delivery::{Delivery, Grave, Hold, Outcome};
use crate::metrics::SourceMetrics;
use crate::turns::Place;
use crate::{Consumer, Event, Failed, Handler, Unreadable};
use holdfast_queue::Slot;
use redis::RedisError;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Of what was cut off the stream.
const DELETED: &str = "it was deleted from the stream while it was in hand";

pub(super) struct Desk<H> {
    pub(super) stream: Stream,
    pub(super) consumer: Consumer<H>,
    pub(super) metrics: SourceMetrics,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// One of those that were delivered more than once at a time: should this process die, it died over that one.
    pub(super) alone: Arc<Semaphore>,
    /// Ids of the entries that are worked on, or wait here, and whether they were deleted from the stream meanwhile.
    in_hand: Mutex<HashMap<String, bool>>,
}

impl<H: Handler> Desk<H> {
    pub(super) fn new(stream: Stream, consumer: Consumer<H>, stop: CancellationToken) -> Self {
        let metrics = consumer.metrics.of(&stream.names.stream);
        let alone = Arc::new(Semaphore::new(1));
        Self { stream, consumer, metrics, stop, tasks: TaskTracker::new(), alone, in_hand: Mutex::default() }
    }

    /// Begins with an entry. Those of a subject must be taken in their order. `alone`: see [`Desk::alone`].
    pub(super) fn take(
        self: &Arc<Self>,
        entry: Entry,
        deliveries: u64,
        slot: Slot,
        alone: Option<OwnedSemaphorePermit>,
    ) {
        let Some(held) = self.hold(&entry.id) else { return };
        let event = Event::parse(entry.event()).map(|event| {
            let place = self.consumer.turns.enter(&event.subject, event.sequence);
            (event, place)
        });
        let desk = Arc::clone(self);
        self.tasks.spawn(async move {
            let counted = desk.metrics.hold();
            desk.work(Taken { entry, deliveries, event, alone }, slot).await;
            drop((counted, held));
        });
    }

    async fn work(&self, taken: Taken, mut slot: Slot) {
        let Taken { entry, deliveries, event, alone } = taken;
        let grave = Burial { stream: &self.stream, entry: &entry, deliveries };
        let outcome = match event {
            Ok((event, place)) => {
                let delivery = Delivery {
                    event: &event,
                    place,
                    deliveries,
                    most_deliveries: Some(self.stream.names.most_deliveries),
                    tries: self.consumer.settings.tries,
                    hold: Hold::Here,
                    alone,
                    grave,
                    metrics: &self.metrics,
                };
                self.consumer.settle(delivery, &mut slot, &self.stop).await
            }
            Err(error) => self.consumer.discard(&grave, &error, &self.metrics, &self.stop).await,
        };
        if outcome == Outcome::Done {
            self.acknowledge(&entry.id).await;
        } else if self.is_deleted(&entry.id) {
            self.bury_deleted(&entry, deliveries).await;
        }
    }

    async fn acknowledge(&self, id: &str) {
        // From now on nobody expects it to be there.
        self.in_hand().remove(id);
        if let Err(error) = self.stream.acknowledge(id).await {
            tracing::warn!(entry.id = id, %error, "could not acknowledge an entry, it will come again as a duplicate");
        }
    }

    /// It will not be delivered again: it is in our hands only.
    async fn bury_deleted(&self, entry: &Entry, deliveries: u64) {
        match self.stream.bury(entry, DELETED, deliveries).await {
            Ok(()) => {
                self.metrics.ended("dead");
                self.metrics.died("trimmed");
                tracing::error!(entry.id, DELETED, "an event became a dead letter");
            }
            Err(error) => tracing::error!(entry.id, %error, DELETED, "an event is lost, and could not be buried"),
        }
    }

    /// They were cut off the stream. What of them is handled is not lost.
    pub(super) fn mark_deleted<'a>(&self, ids: impl Iterator<Item = &'a String>) {
        let mut in_hand = self.in_hand();
        let mut count = 0;
        for id in ids {
            if let Some(is_deleted) = in_hand.get_mut(id) {
                count += usize::from(!*is_deleted);
                *is_deleted = true;
            }
        }
        drop(in_hand);
        if count > 0 {
            self.count_deleted(count);
        }
    }

    pub(super) fn count_deleted(&self, count: usize) {
        tracing::error!(count, "events were deleted from the stream before they were handled");
        self.metrics.trimmed(count);
    }

    pub(super) fn is_in_hand(&self, id: &str) -> bool {
        self.in_hand().contains_key(id)
    }

    fn is_deleted(&self, id: &str) -> bool {
        self.in_hand().get(id).is_some_and(|is_deleted| *is_deleted)
    }

    pub(super) fn ids_in_hand(&self) -> Vec<String> {
        // What is deleted cannot be renewed.
        self.in_hand().iter().filter(|(_, is_deleted)| !**is_deleted).map(|(id, _)| id.clone()).collect()
    }

    /// `None`: it is in hand already.
    fn hold(self: &Arc<Self>, id: &str) -> Option<Held<H>> {
        let mut in_hand = self.in_hand();
        if in_hand.contains_key(id) {
            return None;
        }
        in_hand.insert(id.to_owned(), false);
        Some(Held { desk: Arc::clone(self), id: id.to_owned() })
    }

    fn in_hand(&self) -> MutexGuard<'_, HashMap<String, bool>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry in hand, with its place in the line of its subject.
struct Taken {
    entry: Entry,
    deliveries: u64,
    event: Result<(Event, Place), Unreadable>,
    alone: Option<OwnedSemaphorePermit>,
}

/// Until it is dropped, the entry is in hand. Also by a panic.
struct Held<H: Handler> {
    desk: Arc<Desk<H>>,
    id: String,
}

impl<H: Handler> Drop for Held<H> {
    fn drop(&mut self) {
        self.desk.in_hand().remove(&self.id);
    }
}

struct Burial<'a> {
    stream: &'a Stream,
    entry: &'a Entry,
    deliveries: u64,
}

impl Grave for Burial<'_> {
    async fn bury(&self, reason: &str) -> Result<(), Failed> {
        let buried = self.stream.bury(self.entry, reason, self.deliveries).await;
        buried.map_err(|error| {
            let reason = format!("redis: {error}");
            if is_away(&error) { Failed::away(reason) } else { Failed::retry(reason) }
        })
    }
}

/// Whether Redis could not be reached, or cannot do it now. Otherwise somebody has to set something right.
fn is_away(error: &RedisError) -> bool {
    const PASSING: [&str; 9] =
        ["LOADING", "BUSY", "TRYAGAIN", "MASTERDOWN", "CLUSTERDOWN", "READONLY", "MISCONF", "OOM", "NOREPLICAS"];
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.code().is_some_and(|code| PASSING.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::{ErrorKind, ServerErrorKind};
    use std::io;

    #[test]
    fn what_somebody_has_to_set_right_is_not_away() {
        assert!(is_away(&RedisError::from(io::Error::from(io::ErrorKind::ConnectionRefused))));
        assert!(is_away(&RedisError::from((ErrorKind::Server(ServerErrorKind::BusyLoading), "loading"))));
        assert!(!is_away(&RedisError::from((ErrorKind::Server(ServerErrorKind::NoPerm), "no permission"))));
        assert!(!is_away(&RedisError::from((ErrorKind::UnexpectedReturnType, "of another type"))));
    }
}
