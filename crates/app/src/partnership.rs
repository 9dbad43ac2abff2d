//! A third party and how we deal with it.

use crate::circuit::{self, Circuit};
use crate::config;
use anyhow::Context as _;
use holdfast_partners::generic::{Partner, Settings};
use holdfast_partners::http_client::HttpClient;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct Partnership {
    pub name: String,
    pub terms: config::Partner,
    pub partner: Partner,
    pub circuit: Circuit,
}

/// All partners by name.
pub type Partnerships = BTreeMap<String, Partnership>;

pub fn build(config: &config::Config, client: &HttpClient) -> anyhow::Result<Partnerships> {
    let partnerships = config.partners.iter().map(|(name, terms)| {
        let settings = Settings {
            base_url: terms.base_url.clone(),
            auth_header: terms.auth_header.clone(),
            create_timeout: terms.create_timeout_ms.get(),
            lookup_timeout: terms.lookup_timeout_ms.get(),
        };
        let partner = Partner::new(settings, client.clone()).with_context(|| format!("read partners.{name}"))?;
        let circuit = Circuit::new(circuit::Terms {
            concurrency: terms.concurrency,
            waiting: (config.worker.run_slots / 2).max(1),
            failures: terms.breaker_failures,
            open: terms.breaker_open_ms.get(),
            cap: terms.breaker_cap_ms.get(),
            probe: terms.create_timeout_ms.get().max(terms.lookup_timeout_ms.get()) * 2,
        });
        Ok((name.clone(), Partnership { name: name.clone(), terms: terms.clone(), partner, circuit }))
    });
    partnerships.collect()
}
