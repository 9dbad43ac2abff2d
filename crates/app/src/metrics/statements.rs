//! Batches: how many rows went into one statement, how long it took. And batches of messages.

use super::{Timings, register, timings};
use holdfast_queue::{Queue, Sent};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// Upper bounds of the sizes of batches.
const ROWS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 35.0, 50.0, 75.0, 100.0, 200.0];

#[derive(Debug)]
pub struct Statements {
    durations: Timings<Operation>,
    rows: Family<Operation, Histogram, fn() -> Histogram>,
    refused: Family<Operation, Counter>,
    published: Family<Publishing, Counter>,
    sends: Timings<Messaging>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    db_operation_name: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Publishing {
    messaging_destination_name: String,
    by: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Messaging {
    messaging_operation_name: &'static str,
    messaging_destination_name: String,
}

/// Of one statement.
#[derive(Clone, Debug)]
pub struct Meter {
    duration: Histogram,
    rows: Histogram,
}

impl Statements {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let name = "db_client_operation_duration_seconds";
        let durations = register(registry, name, "Batched statements, until their answer", timings());
        let rows: fn() -> Histogram = || Histogram::new(ROWS);
        let rows = Family::new_with_constructor(rows);
        let rows = register(registry, "holdfast_batch_rows", "Items in one statement", rows);
        let help = "Writes that the fence refused: the claim was in other hands, or somebody had knocked meanwhile";
        let refused = register(registry, "holdfast_fence_refusals", help, Family::default());
        let help = "Messages given to SQS, by the acceptance (accept), the net below it (relay) or in place of Postgres (journal)";
        let published = register(registry, "holdfast_published", help, Family::default());
        let name = "messaging_client_operation_duration_seconds";
        let sends = register(registry, name, "Calls to SQS that send a batch, with their retries", timings());
        Self { durations, rows, refused, published, sends }
    }

    pub fn meter(&self, statement: &'static str) -> Meter {
        let operation = Operation { db_operation_name: statement };
        Meter {
            duration: self.durations.get_or_create_owned(&operation),
            rows: self.rows.get_or_create_owned(&operation),
        }
    }

    pub fn refused(&self, statement: &'static str) {
        self.refused.get_or_create(&Operation { db_operation_name: statement }).inc();
    }

    /// `by` is whose messages they are.
    pub fn published(&self, queue: &Queue, by: &'static str, sent: &[Sent], took: Duration) {
        let stored = sent.iter().filter(|sent| **sent == Sent::Stored).count();
        for (outcome, count) in [("stored", stored), ("failed", sent.len() - stored)] {
            if count > 0 {
                let publishing = Publishing { messaging_destination_name: queue.name().to_owned(), by, outcome };
                self.published.get_or_create(&publishing).inc_by(count as u64);
            }
        }
        let messaging =
            Messaging { messaging_operation_name: "send", messaging_destination_name: queue.name().to_owned() };
        self.sends.get_or_create(&messaging).observe(took.as_secs_f64());
    }
}

impl Meter {
    /// That nobody reads.
    pub fn unread() -> Self {
        Self { duration: super::seconds(), rows: Histogram::new(ROWS) }
    }

    pub fn ran(&self, rows: usize, took: Duration) {
        self.duration.observe(took.as_secs_f64());
        self.rows.observe(rows as f64);
    }
}
