//! What is kept no longer.

use super::register;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

#[derive(Debug)]
pub struct Keeping {
    archived: Counter,
}

impl Keeping {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let help = "Commands whose payload this process has taken away";
        Self { archived: register(registry, "holdfast_retention_archived", help, Counter::default()) }
    }

    pub fn archived(&self, commands: u64) {
        self.archived.inc_by(commands);
    }
}
