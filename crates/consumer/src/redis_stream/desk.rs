//! From an entry's receipt to its acknowledgement.

use super::commands::Stream;
use super::entry::Entry;
use crate::delivery::{Delivery, Grave, Outcome};
use crate::metrics::SourceMetrics;
use crate::turns::Place;
use crate::{Consumer, Event, Failed, Handler, Unreadable};
use holdfast_queue::Slot;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(super) struct Desk<H> {
    pub(super) stream: Stream,
    pub(super) consumer: Consumer<H>,
    pub(super) metrics: SourceMetrics,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// Ids of the entries that are worked on, or wait here.
    in_hand: Mutex<HashSet<String>>,
}

impl<H: Handler> Desk<H> {
    pub(super) fn new(stream: Stream, consumer: Consumer<H>, stop: CancellationToken) -> Self {
        let metrics = consumer.metrics.of(&stream.names.stream);
        Self { stream, consumer, metrics, stop, tasks: TaskTracker::new(), in_hand: Mutex::default() }
    }

    /// Begins with an entry. Those of a subject must be taken in their order.
    pub(super) fn take(self: &Arc<Self>, entry: Entry, deliveries: u64, slot: Slot) {
        let Some(held) = self.hold(&entry.id) else { return };
        let event = Event::parse(entry.event()).map(|event| {
            let place = self.consumer.turns.enter(&event.subject, event.sequence);
            (event, place)
        });
        let desk = Arc::clone(self);
        self.tasks.spawn(async move {
            let counted = desk.metrics.hold();
            desk.work(Taken { entry, deliveries, event }, slot).await;
            drop((counted, held));
        });
    }

    async fn work(&self, taken: Taken, mut slot: Slot) {
        let Taken { entry, deliveries, event } = taken;
        let grave = Burial { stream: &self.stream, entry: &entry, deliveries };
        let outcome = match event {
            Ok((event, place)) => {
                let most_deliveries = Some(self.stream.names.most_deliveries);
                let metrics = &self.metrics;
                let delivery = Delivery { event: &event, place, deliveries, most_deliveries, grave, metrics };
                self.consumer.settle(delivery, &mut slot, &self.stop).await
            }
            Err(error) => self.consumer.discard(&grave, &error, &self.metrics, &self.stop).await,
        };
        if outcome == Outcome::Done
            && let Err(error) = self.stream.acknowledge(&entry.id).await
        {
            tracing::warn!(entry.id, %error, "could not acknowledge an entry, it will come again as a duplicate");
        }
    }

    pub(super) fn ids_in_hand(&self) -> Vec<String> {
        self.in_hand().iter().cloned().collect()
    }

    /// `None`: it is in hand already.
    fn hold(self: &Arc<Self>, id: &str) -> Option<Held<H>> {
        self.in_hand().insert(id.to_owned()).then(|| Held { desk: Arc::clone(self), id: id.to_owned() })
    }

    fn in_hand(&self) -> MutexGuard<'_, HashSet<String>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry in hand, with its place in the line of its subject.
struct Taken {
    entry: Entry,
    deliveries: u64,
    event: Result<(Event, Place), Unreadable>,
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
        buried.map_err(|error| Failed::away(format!("redis: {error}")))
    }
}
