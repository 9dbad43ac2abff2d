//! One delivery of an event, and what may become of it.

use crate::metrics::SourceMetrics;
use crate::turns::Place;
use crate::{Event, Failed};

/// One delivery of an event.
pub(crate) struct Delivery<'a, G> {
    pub(crate) event: &'a Event,
    /// Taken when it came.
    pub(crate) place: Place,
    /// This one included.
    pub(crate) deliveries: u64,
    /// `None`: the source itself gives up what it has delivered too often.
    pub(crate) most_deliveries: Option<u64>,
    pub(crate) grave: G,
    pub(crate) metrics: &'a SourceMetrics,
}

impl<G> Delivery<'_, G> {
    /// What was delivered too often has taken its consumer down with it each time, or was left by it.
    pub(crate) fn first_act(&self) -> Act {
        match self.most_deliveries {
            Some(most) if self.deliveries > most => {
                let reason = format!("delivered {} times, and never handled to the end", self.deliveries - 1);
                Act::Bury { reason, why: "exhausted" }
            }
            _ => Act::Handle,
        }
    }
}

/// Where a dead letter goes.
pub(crate) trait Grave: Send + Sync {
    /// Once at least. An error is one that passes.
    fn bury(&self, reason: &str) -> impl Future<Output = Result<(), Failed>> + Send;
}

/// What the source is to do with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Acknowledge it.
    Done,
    /// Deliver it again.
    Left,
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
