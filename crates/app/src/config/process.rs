//! How API and worker behave.

use super::Millis;
use serde::Deserialize;
use std::net::SocketAddr;

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
    /// A new command that no worker has claimed after this long is looked at by the relay.
    pub publish_within_ms: Millis,
    /// How often the state of all commands that somebody waits for is read.
    pub wait_poll_ms: Millis,
    /// After SIGTERM, how long requests are still taken, while `/readyz` says no: whoever spreads them must see that.
    pub drain_ms: Millis,
    /// After SIGTERM, how long all of this and requests under way may take.
    pub grace_ms: Millis,
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
            drain_ms: Millis(1_000),
            grace_ms: Millis(20_000),
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
            run_slots: 256,
            tell_slots: 512,
            tell_again_slots: 64,
            pollers: 2,
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
