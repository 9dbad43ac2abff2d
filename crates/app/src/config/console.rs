//! The operators' console.

use super::Millis;
use anyhow::ensure;
use serde::Deserialize;
use std::net::SocketAddr;

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    /// Where the API serves it, beside what it serves for clients. Without an address there is none.
    pub listen: Option<SocketAddr>,
    /// Browsers reach it by plain HTTP, on this machine: its cookie is then not bound to HTTPS.
    pub plain_http: bool,
    /// After this long without a request an operator must sign in anew …
    pub idle_ms: Millis,
    /// … and after this long in any case.
    pub session_ms: Millis,
    /// Between looks at what goes on.
    pub sample_ms: Millis,
    /// How long a page waits for an answer of Postgres.
    pub patience_ms: Millis,
    /// Connections to Postgres of its own.
    pub connections: u32,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            listen: None,
            plain_http: false,
            idle_ms: Millis(1_800_000),
            session_ms: Millis(43_200_000),
            sample_ms: Millis(2_000),
            patience_ms: Millis(4_000),
            connections: 4,
        }
    }
}

impl Console {
    pub(super) fn validate(&self) -> anyhow::Result<()> {
        let is_near = self.listen.is_none_or(|listen| listen.ip().is_loopback());
        ensure!(!self.plain_http || is_near, "console.plain_http is for a console.listen on the loopback");
        ensure!(self.connections > 0, "console.connections must not be zero");
        ensure!(!self.sample_ms.get().is_zero(), "console.sample_ms must not be zero");
        Ok(())
    }
}
