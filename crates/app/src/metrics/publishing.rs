//! What others were told.

use super::register;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug)]
pub struct Publishing {
    published: Family<ToSink, Counter>,
    failed: Family<Failed, Counter>,
}

/// Its name is the operator's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ToSink {
    sink: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    sink: String,
    why: &'static str,
}

impl Publishing {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let help = "Events that a sink has confirmed";
        let published = register(registry, "holdfast_events_published", help, Family::default());
        let help = "Batches that a sink has not confirmed: unavailable, or refused (an event that it will never take)";
        let failed = register(registry, "holdfast_events_failed", help, Family::default());
        Self { published, failed }
    }

    pub fn published(&self, sink: &str, events: u64) {
        self.published.get_or_create(&ToSink { sink: sink.to_owned() }).inc_by(events);
    }

    pub fn failed(&self, sink: &str, refused: bool) {
        let why = if refused { "refused" } else { "unavailable" };
        self.failed.get_or_create(&Failed { sink: sink.to_owned(), why }).inc();
    }
}
