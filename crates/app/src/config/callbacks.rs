//! How clients are told, and where that may be.

use super::Millis;
use anyhow::{Context as _, ensure};
use holdfast_partners::egress::{Guard, Rules};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use std::fmt;
use std::str::FromStr;

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Callbacks {
    /// Total deadline of an attempt, the answer's body included.
    pub timeout_ms: Millis,
    /// The wait after each failed attempt, ± 20 %. One attempt more than there are waits. In the environment: `5000,300000`.
    pub schedule_ms: Vec<Millis>,
    /// Callbacks that one client's endpoint gets at once, per process.
    pub endpoint_concurrency: usize,
    /// An endpoint's `Retry-After` puts off the next attempt by no more than this.
    pub retry_after_cap_ms: Millis,
    /// How long an old secret signs beside the new one.
    pub secret_overlap_ms: Millis,
    /// Plain `http` too, and its port 80. Whoever is on the way reads it then.
    pub allow_http: bool,
    /// Ports, and ranges of them such as `8000-8999`.
    pub ports: List,
    /// Addresses, networks such as `10.0.0.0/8`, and names of hosts that may be called although they are not public.
    pub allow: List,
}

impl Default for Callbacks {
    fn default() -> Self {
        // 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, 12 h, 12 h, 24 h: eleven attempts over 75 h.
        let schedule_s = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000, 43_200, 43_200, 86_400];
        Self {
            timeout_ms: Millis(10_000),
            schedule_ms: schedule_s.map(|s| Millis(s * 1_000)).to_vec(),
            endpoint_concurrency: 128,
            retry_after_cap_ms: Millis(3_600_000),
            secret_overlap_ms: Millis(86_400_000),
            allow_http: false,
            ports: List(vec!["443".to_owned()]),
            allow: List::default(),
        }
    }
}

impl Callbacks {
    pub fn guard(&self) -> anyhow::Result<Guard> {
        ensure!(!self.ports.0.is_empty(), "callbacks.ports must not be empty");
        let ports = self.ports.read().context("callbacks.ports")?;
        let allow = self.allow.read().context("callbacks.allow")?;
        Ok(Guard::new(Rules { allow_http: self.allow_http, ports, allow }))
    }
}

/// Texts, several or one: the environment has no lists of one, and what looks like a number comes as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List(Vec<String>);

impl List {
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    fn read<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(&self) -> anyhow::Result<Vec<T>> {
        self.0.iter().map(|text| text.parse::<T>().map_err(anyhow::Error::new)).collect()
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = seq.next_element()? {
            texts.push(text);
        }
        Ok(List(texts))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<List, E> {
        Ok(List(vec![text.to_owned()]))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<List, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<List, E> {
        self.visit_str(&number.to_string())
    }
}
