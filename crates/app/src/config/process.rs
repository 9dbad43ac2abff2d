//! How API and worker behave.

use super::Millis;
use anyhow::{Context as _, ensure};
use serde::Deserialize;
use std::net::SocketAddr;
use url::Url;

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Address of `/metrics`, which clients must not reach.
    pub metrics_listen: SocketAddr,
    /// How long a request waits for Postgres before it is accepted by the journal queue …
    pub accept_timeout_ms: Millis,
    /// … and for that, before it is a 503.
    pub journal_timeout_ms: Millis,
    /// How often Postgres is asked whether it is there.
    pub probe_ms: Millis,
    /// A new command that no worker has claimed after this long is looked at by the relay; what a client has sent beyond its
    /// share after 30 s.
    pub publish_within_ms: Millis,
    /// How often the state of all commands that somebody waits for is read.
    pub wait_poll_ms: Millis,
    /// How often it is written down which API keys were used.
    pub key_usage_ms: Millis,
    /// After SIGTERM, how long requests are still taken, while `/readyz` says no: whoever spreads them must see that.
    pub drain_ms: Millis,
    /// After SIGTERM, how long all of this and requests under way may take.
    pub grace_ms: Millis,
    /// Connections at once. Whoever comes then is told so and hung up on.
    pub max_connections: usize,
    /// Requests in hand at once. Beyond that they are answered 503 before anything of them is looked at …
    pub max_in_flight: usize,
    /// … but those that wait for a command to change have a limit of their own, beyond which nobody waits.
    pub max_waiting: usize,
    /// How long the head of a request may take to arrive, or the first one of a connection to begin.
    pub header_timeout_ms: Millis,
    /// How long a whole body may take.
    pub body_timeout_ms: Millis,
    /// How long a client may take nothing of its answer.
    pub write_timeout_ms: Millis,
    /// How long a connection without a request is kept. Longer than whoever stands in front keeps it, or a request of theirs
    /// could meet its end.
    pub idle_timeout_ms: Millis,
    /// Tells browsers to come by HTTPS only (HSTS). Without it: unless `listen` is on the loopback.
    pub hsts: Option<bool>,
    /// Origins whose pages may call this API, as browsers write them: `https://shop.example`. None, as a rule: an API key
    /// is nothing for a page.
    pub cors_origins: Vec<String>,
}

impl Api {
    pub fn hsts(&self) -> bool {
        self.hsts.unwrap_or(!self.listen.ip().is_loopback())
    }

    pub(super) fn validate(&self) -> anyhow::Result<()> {
        let counts = [self.max_connections, self.max_in_flight, self.max_waiting];
        ensure!(!counts.contains(&0), "api.max_connections, .max_in_flight and .max_waiting must not be zero");
        let timeouts = [self.header_timeout_ms, self.body_timeout_ms, self.write_timeout_ms, self.idle_timeout_ms];
        ensure!(timeouts.iter().all(|timeout| !timeout.get().is_zero()), "no api.*_timeout_ms may be zero");
        for origin in &self.cors_origins {
            let url = Url::parse(origin).with_context(|| format!("read api.cors_origins: {origin}"))?;
            let is_origin = matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == *origin;
            ensure!(is_origin, "api.cors_origins: {origin} is no origin such as https://shop.example");
        }
        Ok(())
    }
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            metrics_listen: SocketAddr::from(([127, 0, 0, 1], 9464)),
            accept_timeout_ms: Millis(1_000),
            journal_timeout_ms: Millis(3_000),
            probe_ms: Millis(250),
            publish_within_ms: Millis(2_000),
            wait_poll_ms: Millis(25),
            key_usage_ms: Millis(60_000),
            drain_ms: Millis(1_000),
            grace_ms: Millis(20_000),
            max_connections: 10_000,
            max_in_flight: 4_096,
            max_waiting: 10_000,
            header_timeout_ms: Millis(10_000),
            body_timeout_ms: Millis(10_000),
            write_timeout_ms: Millis(10_000),
            idle_timeout_ms: Millis(90_000),
            hsts: None,
            cors_origins: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Worker {
    /// Address of `/metrics`.
    pub metrics_listen: SocketAddr,
    /// Commands in hand at once. Those that wait for a partner's answer do not count.
    pub run_slots: usize,
    /// Of these, how many at most for what clients sent beyond their shares.
    pub overflow_slots: usize,
    /// First attempts of callbacks at once …
    pub tell_slots: usize,
    /// … and later ones, which have slots of their own: endpoints that fail must not hold up those that do not.
    pub tell_again_slots: usize,
    /// Receives under way at once, per queue.
    pub pollers: usize,
    /// How long a receive waits for messages, at most 20 s.
    pub receive_wait_ms: Millis,
    /// How long a claim stands. Below the queue's visibility timeout plus what a redelivery may cost.
    pub lease_ms: Millis,
    /// How often due wakeups are looked for.
    pub relay_interval_ms: Millis,
    /// Wakeups overdue by this much are published, whoever they are for.
    pub overdue_ms: Millis,
    /// How often the worker proves that it is alive.
    pub heartbeat_ms: Millis,
    /// A worker silent for this long is declared dead, and what it had claimed becomes due.
    pub silence_ms: Millis,
    /// After SIGTERM, how long handlers may take.
    pub grace_ms: Millis,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            metrics_listen: SocketAddr::from(([127, 0, 0, 1], 9465)),
            run_slots: 480,
            overflow_slots: 400,
            tell_slots: 1024,
            tell_again_slots: 64,
            pollers: 8,
            receive_wait_ms: Millis(20_000),
            lease_ms: Millis(30_000),
            relay_interval_ms: Millis(250),
            overdue_ms: Millis(5_000),
            heartbeat_ms: Millis(1_000),
            silence_ms: Millis(3_500),
            grace_ms: Millis(60_000),
        }
    }
}
