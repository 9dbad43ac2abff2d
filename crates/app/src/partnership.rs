//! A third party and how we deal with it.

use crate::config;
use anyhow::Context as _;
use holdfast_partners::generic::{Partner, Settings};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct Partnership {
    pub name: String,
    pub terms: config::Partner,
    pub partner: Partner,
}

/// All partners by name.
pub type Partnerships = BTreeMap<String, Partnership>;

pub fn build(config: &config::Config) -> anyhow::Result<Partnerships> {
    let partnerships = config.partners.iter().map(|(name, terms)| {
        let settings = Settings {
            base_url: terms.base_url.clone(),
            auth_header: terms.auth_header.clone(),
            create_timeout: terms.create_timeout_ms.get(),
            lookup_timeout: terms.lookup_timeout_ms.get(),
        };
        let partner = Partner::new(settings).with_context(|| format!("read partners.{name}"))?;
        Ok((name.clone(), Partnership { name: name.clone(), terms: terms.clone(), partner }))
    });
    partnerships.collect()
}
