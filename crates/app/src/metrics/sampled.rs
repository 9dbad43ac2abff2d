//! Gauges that are not kept but asked for, on every scrape.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use std::fmt;
use std::sync::{PoisonError, RwLock};

/// One metric with all its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauge {
    pub name: &'static str,
    pub help: &'static str,
    pub values: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

/// A metric that has labels.
pub fn gauge(name: &'static str, help: &'static str, values: impl IntoIterator<Item = Value>) -> Gauge {
    Gauge { name, help, values: values.into_iter().collect() }
}

/// A metric that has none.
pub fn one(name: &'static str, help: &'static str, value: f64) -> Gauge {
    gauge(name, help, [Value { labels: Vec::new(), value }])
}

type Sampler = Box<dyn Fn() -> Vec<Gauge> + Send + Sync>;

#[derive(Default)]
pub(super) struct Samples(RwLock<Vec<Sampler>>);

impl Samples {
    pub(super) fn add(&self, sampler: Sampler) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(sampler);
    }
}

impl Collector for Samples {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let samplers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for Gauge { name, help, values } in samplers.iter().flat_map(|sampler| sampler()) {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for Value { labels, value } in values {
                match labels.is_empty() {
                    true => metric.encode_gauge(&value)?,
                    false => metric.encode_family(&labels)?.encode_gauge(&value)?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Samples")
    }
}
