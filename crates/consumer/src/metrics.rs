//! What is counted: `holdfast_consumer_…`, labelled with the source. `lag`, `pending` and `dead_letters` are asked of the
//! source every few seconds, for all of its consumers; the rest is what this process did.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Content type of what [`exposition`] writes.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds in seconds of one try of a handler.
const SECONDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

/// Everything in a registry, as Prometheus reads it.
pub fn exposition(registry: &Registry) -> Result<String, fmt::Error> {
    let mut encoded = String::new();
    text::encode(&mut encoded, registry)?;
    Ok(encoded)
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    source: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    source: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Dead {
    source: Arc<str>,
    why: &'static str,
}

type Timings = Family<Of, Histogram, fn() -> Histogram>;

/// Of all consumers of one process. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    events: Family<Ended, Counter>,
    dead: Family<Dead, Counter>,
    failures: Family<Of, Counter>,
    away: Family<Of, Counter>,
    held_back: Family<Of, Counter>,
    overtaken: Family<Of, Counter>,
    trimmed: Family<Of, Counter>,
    duration: Timings,
    in_hand: Family<Of, Gauge>,
    waiting: Family<Of, Gauge>,
    looked_at: Family<Of, Gauge>,
    lag: Family<Of, Gauge>,
    pending: Family<Of, Gauge>,
    dead_letters: Family<Of, Gauge>,
}

impl Metrics {
    /// In a registry of the service, beside its own metrics.
    pub fn register(registry: &mut Registry) -> Self {
        Self {
            events: add(registry, "events", "Deliveries by what became of them", Family::default()),
            dead: add(registry, "dead", "Events that became dead letters, by the reason", Family::default()),
            failures: add(registry, "failures", "Tries that failed", Family::default()),
            away: add(registry, "away", "Tries that needed something that was away", Family::default()),
            held_back: add(registry, "held_back", "Events that came before their predecessor", Family::default()),
            overtaken: add(registry, "overtaken", "Events handled without their predecessors", Family::default()),
            trimmed: add(registry, "trimmed", "Events deleted from the stream while pending", Family::default()),
            duration: add(
                registry,
                "duration_seconds",
                "One try, from the begin of its transaction to the end",
                Timings::new_with_constructor(|| Histogram::new(SECONDS)),
            ),
            in_hand: add(registry, "in_hand", "Events that this process holds", Family::default()),
            waiting: add(registry, "waiting", "Of these, events that wait for their predecessors", Family::default()),
            looked_at: add(
                registry,
                "looked_at_seconds",
                "When the source last said what lies there, in seconds since 1970",
                Family::default(),
            ),
            lag: add(registry, "lag", "Events that no consumer has received yet", Family::default()),
            pending: add(registry, "pending", "Events received and not yet acknowledged", Family::default()),
            dead_letters: add(registry, "dead_letters", "Dead letters that lie there", Family::default()),
        }
    }

    pub(crate) fn of(&self, source: &str) -> SourceMetrics {
        SourceMetrics { all: self.clone(), source: source.into() }
    }
}

fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(format!("holdfast_consumer_{name}"), help, metric.clone());
    metric
}

/// The same, of one source.
#[derive(Clone, Debug)]
pub(crate) struct SourceMetrics {
    all: Metrics,
    source: Arc<str>,
}

impl SourceMetrics {
    fn label(&self) -> Of {
        Of { source: Arc::clone(&self.source) }
    }

    pub(crate) fn ended(&self, outcome: &'static str) {
        self.all.events.get_or_create(&Ended { source: Arc::clone(&self.source), outcome }).inc();
    }

    pub(crate) fn died(&self, why: &'static str) {
        self.all.dead.get_or_create(&Dead { source: Arc::clone(&self.source), why }).inc();
    }

    pub(crate) fn failed(&self) {
        self.all.failures.get_or_create(&self.label()).inc();
    }

    pub(crate) fn missed(&self) {
        self.all.away.get_or_create(&self.label()).inc();
    }

    pub(crate) fn held_back(&self) {
        self.all.held_back.get_or_create(&self.label()).inc();
    }

    pub(crate) fn overtaken(&self) {
        self.all.overtaken.get_or_create(&self.label()).inc();
    }

    pub(crate) fn trimmed(&self, count: usize) {
        self.all.trimmed.get_or_create(&self.label()).inc_by(count as u64);
    }

    pub(crate) fn took(&self, time: Duration) {
        self.all.duration.get_or_create(&self.label()).observe(time.as_secs_f64());
    }

    /// Until the guard is dropped.
    pub(crate) fn hold(&self) -> Counted {
        Counted::one_more(self.all.in_hand.get_or_create(&self.label()).clone())
    }

    /// Until the guard is dropped.
    pub(crate) fn wait(&self) -> Counted {
        Counted::one_more(self.all.waiting.get_or_create(&self.label()).clone())
    }

    /// The gauges of what lies there are as of now.
    #[expect(clippy::disallowed_methods, reason = "whoever scrapes it compares it with a clock of his own")]
    pub(crate) fn looked(&self) {
        self.all.looked_at.get_or_create(&self.label()).set(chrono::Utc::now().timestamp());
    }

    pub(crate) fn set_lag(&self, events: u64) {
        self.all.lag.get_or_create(&self.label()).set(events as i64);
    }

    pub(crate) fn set_pending(&self, events: u64) {
        self.all.pending.get_or_create(&self.label()).set(events as i64);
    }

    pub(crate) fn set_dead_letters(&self, letters: u64) {
        self.all.dead_letters.get_or_create(&self.label()).set(letters as i64);
    }
}

pub(crate) struct Counted(Gauge);

impl Counted {
    fn one_more(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_can_be_scraped() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry).of("orders");
        metrics.ended("handled");
        metrics.died("refused");
        metrics.took(Duration::from_millis(3));
        let held = metrics.hold();
        let text = exposition(&registry).expect("text");
        assert!(text.contains(r#"holdfast_consumer_events_total{source="orders",outcome="handled"} 1"#), "{text}");
        assert!(text.contains(r#"holdfast_consumer_dead_total{source="orders",why="refused"} 1"#), "{text}");
        assert!(text.contains(r#"holdfast_consumer_in_hand{source="orders"} 1"#), "{text}");
        drop(held);
        assert!(exposition(&registry).expect("text").contains(r#"in_hand{source="orders"} 0"#));
    }
}
