//! The figures that Holdfast is held to.

use crate::parts::Parts;
use crate::scenarios::Scenario;

/// What Holdfast must reach.
pub(crate) struct Target {
    pub(crate) scenario: Scenario,
    pub(crate) figure: &'static str,
    pub(crate) what: &'static str,
    pub(crate) bound: Bound,
    /// What this machine's parts allow.
    pub(crate) possible: Option<fn(&Parts) -> f64>,
}

#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

pub(crate) const TARGETS: &[Target] = &[
    target(Scenario::Accept, "accepted/s", "accept, 64 connections, /s", Bound::AtLeast(35_000.0))
        .if_possible(|parts| parts.accepted_per_s),
    target(Scenario::Steady, "p50 ms", "accept at 500/s, p50 ms", Bound::AtMost(0.5))
        .if_possible(|parts| parts.accept_p50_ms),
    target(Scenario::Steady, "p99 ms", "accept at 500/s, p99 ms", Bound::AtMost(2.0))
        .if_possible(|parts| parts.accept_p99_ms),
    target(Scenario::EndToEnd, "completed/s", "accept to callback, completed/s", Bound::AtLeast(8_000.0))
        .if_possible(|parts| parts.completed_per_s),
    target(Scenario::Drain, "completed/s", "worker alone, completed/s", Bound::AtLeast(9_000.0))
        .if_possible(|parts| parts.carried_per_s),
    target(Scenario::Idle, "callback p50 ms", "idle, accept to callback, p50 ms", Bound::AtMost(2.5))
        .if_possible(|parts| parts.command_p50_ms),
    target(Scenario::SlowPartner, "completed/s", "third party takes 50 + 20 ms, completed/s", Bound::AtLeast(4_000.0))
        .if_possible(|parts| parts.patient_per_s),
    target(Scenario::DistantQueue, "completed/s", "SQS takes 15 ms, completed/s", Bound::AtLeast(4_000.0)),
    target(Scenario::EndToEnd, "cpu ms", "CPU ms per command", Bound::AtMost(0.2)).if_possible(Parts::cpu_ms),
    target(Scenario::EndToEnd, "sqs calls", "SQS calls per command, saturated", Bound::AtMost(0.45)),
    target(Scenario::Calm, "sqs calls", "SQS calls per command, 200/s", Bound::AtMost(2.0)),
    target(Scenario::LostRequests, "callback p99 ms", "5 % lost creations, callback p99 ms", Bound::AtMost(500.0)),
    target(Scenario::EndToEnd, "api MB", "RSS of the API, MB", Bound::AtMost(40.0)),
    target(Scenario::DeepBacklog, "completed/s", "worker alone on 100,000, completed/s", Bound::AtLeast(9_000.0))
        .if_possible(|parts| parts.carried_per_s),
    target(Scenario::Flood, "p99 ratio", "accept p99 beside a flood, to alone", Bound::AtMost(2.0)),
    target(Scenario::Flood, "callback p99 ratio", "callback p99 beside a flood, to alone", Bound::AtMost(2.0)),
    target(Scenario::Publishing, "added cpu ms", "two sinks of events, CPU ms added to a command", Bound::AtMost(0.02)),
    target(Scenario::BigTable, "cpu ratio", "Postgres CPU beside millions, to empty", Bound::AtMost(1.25)),
    target(Scenario::BigTable, "wal ratio", "WAL beside millions, to empty, between checkpoints", Bound::AtMost(1.25)),
    target(Scenario::Soak, "api grown", "soak: RSS of the API, minute 10 to 2", Bound::AtMost(1.1)),
    target(Scenario::Soak, "worker grown", "soak: RSS of the worker, minute 10 to 2", Bound::AtMost(1.1)),
    target(Scenario::Soak, "wakeups grown", "soak: size of wakeups, minute 10 to 2", Bound::AtMost(1.5)),
    target(Scenario::Soak, "callback p99 ms", "soak: callback p99 ms in minute 10", Bound::AtMost(50.0)),
    target(Scenario::EndToEnd, "worker MB", "RSS of the worker, MB", Bound::AtMost(40.0)),
];

const fn target(scenario: Scenario, figure: &'static str, what: &'static str, bound: Bound) -> Target {
    Target { scenario, figure, what, bound, possible: None }
}

impl Target {
    const fn if_possible(self, possible: fn(&Parts) -> f64) -> Self {
        Self { possible: Some(possible), ..self }
    }
}

impl Bound {
    /// The figure as it would be at full pace, measured where everything takes its time divided by `pace`.
    pub(crate) fn at_pace(self, value: f64, pace: f64) -> f64 {
        match self {
            Self::AtLeast(_) => value / pace,
            Self::AtMost(_) => value * pace,
        }
    }

    pub(crate) const fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}
