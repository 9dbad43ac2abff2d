//! What is counted and timed, as Prometheus reads it: `holdfast_…`, or the name that OpenTelemetry's semantic conventions
//! have for it. Counters say what this process did; what stands in Postgres and SQS is for `survey`.
//!
//! Labels are words of our own, kinds, partners and routes: never ids, clients or texts from outside.

mod accepting;
mod carrying;
mod engine;
mod keeping;
mod publishing;
mod refusing;
mod sampled;
mod statements;

pub use accepting::Accepting;
pub use carrying::Carrying;
pub use engine::watch;
pub use keeping::Keeping;
pub use publishing::Publishing;
pub use refusing::{Refusing, Shed, Slow};
pub use sampled::{Gauge, Value, gauge, one};
pub use statements::{Meter, Statements};

use prometheus_client::encoding::text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use sampled::Samples;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Upper bounds in seconds of what should take milliseconds and may take a minute.
const SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// A histogram for each set of labels.
type Timings<L> = Family<L, Histogram, fn() -> Histogram>;

/// Of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    samples: Arc<Samples>,
    pub accepting: Accepting,
    pub carrying: Carrying,
    pub refusing: Refusing,
    pub keeping: Keeping,
    pub publishing: Publishing,
    pub statements: Statements,
}

impl Metrics {
    pub fn new() -> Arc<Self> {
        let (mut registry, samples) = (Registry::default(), Arc::new(Samples::default()));
        registry.register_collector(Box::new(Arc::clone(&samples)));
        Arc::new(Self {
            accepting: Accepting::new(&mut registry),
            carrying: Carrying::new(&mut registry),
            refusing: Refusing::new(&mut registry),
            keeping: Keeping::new(&mut registry),
            publishing: Publishing::new(&mut registry),
            statements: Statements::new(&mut registry),
            registry: Mutex::new(registry),
            samples,
        })
    }

    /// Asked on every scrape.
    pub fn sample(&self, sampler: impl Fn() -> Vec<Gauge> + Send + Sync + 'static) {
        self.samples.add(Box::new(sampler));
    }

    /// OpenMetrics text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut encoded = String::new();
        text::encode(&mut encoded, &self.registry())?;
        Ok(encoded)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

fn timings<L: Clone + Eq + Hash>() -> Timings<L> {
    Family::new_with_constructor(seconds)
}

fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}
