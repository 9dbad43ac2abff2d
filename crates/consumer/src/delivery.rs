//! One delivery of an event, and what may become of it.

use crate::metrics::SourceMetrics;
use crate::turns::Place;
use crate::{Event, Failed};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// One delivery of an event.
pub(crate) struct Delivery<'a, G> {
    pub(crate) event: &'a Event,
    /// Taken when it came.
    pub(crate) place: Place,
    /// This one included.
    pub(crate) deliveries: u64,
    /// `None`: the source itself gives up what it has delivered too often.
    pub(crate) most_deliveries: Option<u64>,
    /// How often it is tried before it goes back to its source, or is given up.
    pub(crate) tries: u32,
    pub(crate) hold: Hold,
    /// That it is handled alone: should this process die over it, no other event of the kind dies with it.
    pub(crate) alone: Option<OwnedSemaphorePermit>,
    pub(crate) grave: G,
    pub(crate) metrics: &'a SourceMetrics,
}

/// Where an event waits for its predecessors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Here, as long as it takes: of a stream nothing comes behind those that wait.
    Here,
    /// Here, while there is room for it. What it waits for may be behind it in its queue.
    WhileThereIsRoom,
    /// In its queue, which delivers nothing of its subject while we have it.
    InItsQueue {
        /// Until it is delivered again.
        pause: Duration,
        /// It has been delivered before: all that its queue has of its subject before it has come.
        again: bool,
        /// It may not be delivered once more.
        is_last: bool,
    },
}

impl<G> Delivery<'_, G> {
    /// What was delivered too often has taken its consumer down with it each time, or was left by it. Not so what comes
    /// behind another: its turn has not come.
    pub(crate) fn first_act(&self) -> Act {
        match self.most_deliveries {
            Some(most) if self.deliveries > most && self.place.is_first() => {
                let reason = format!("delivered {} times, and never handled to the end", self.deliveries - 1);
                Act::Bury { reason, why: "exhausted" }
            }
            _ => Act::Handle,
        }
    }

    /// After its last try.
    pub(crate) fn is_given_up(&self) -> bool {
        // Its successors would come before it otherwise.
        matches!(self.hold, Hold::InItsQueue { .. }) || self.most_deliveries.is_some_and(|most| self.deliveries >= most)
    }
}

/// Where a dead letter goes.
pub(crate) trait Grave: Send + Sync {
    /// Once at least. [`Failed::Away`] only where that passes by itself.
    fn bury(&self, reason: &str) -> impl Future<Output = Result<(), Failed>> + Send;
}

/// What the source is to do with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Acknowledge it.
    Done,
    /// Deliver it again.
    Left,
    /// Deliver it again after so long.
    GivenBack(Duration),
}

/// What is to be done when it is the event's turn.
pub(crate) enum Act {
    Handle,
    /// In its turn too: its successors go on after it.
    Bury {
        reason: String,
        why: &'static str,
    },
}
