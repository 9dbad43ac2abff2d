//! What workers do: claims, steps, requests to partners, ends, callbacks.

use super::{Timings, register, timings};
use holdfast_domain::status::Outcome;
use holdfast_domain::trail::{Answer, Happening};
use holdfast_domain::{Kind, Lane};
use holdfast_store::wakeups::Claimed;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use std::time::Duration;

#[derive(Debug)]
pub struct Carrying {
    claims: Family<Claim, Counter>,
    lag: Timings<OfKind>,
    taken_over: Family<OfKind, Counter>,
    steps: Timings<StepTaken>,
    partners: Timings<Exchange>,
    ends: Family<End, Counter>,
    callbacks: Timings<Callback>,
    callbacks_given_up: Counter,
    callbacks_unsigned: Counter,
    disbelieved: Family<Disbelieved, Counter>,
    lost: Counter,
    died: Counter,
    reaped: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Claim {
    lane: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepTaken {
    kind: &'static str,
    step: &'static str,
    partner: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Exchange {
    partner: String,
    operation: &'static str,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct End {
    kind: &'static str,
    status: &'static str,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Callback {
    attempt: &'static str,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Disbelieved {
    messaging_destination_name: String,
    why: &'static str,
}

impl Carrying {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let mut counter = |name, help| register(registry, name, help, Counter::default());
        let lost = counter("holdfast_claims_lost", "Claims that were found in other hands while they were carried");
        let died = counter("holdfast_declared_dead", "How often this worker was declared dead while it lived");
        let reaped = counter("holdfast_claims_reaped", "Claims of silent workers that this one has made due");
        let given_up = counter("holdfast_callbacks_given_up", "Callbacks whose schedule has ended");
        let help = "Callbacks that were put off because the secret that signs them could not be opened";
        let unsigned = counter("holdfast_callbacks_unsigned", help);
        let help = "Messages that were not believed, and put among the dead letters";
        let disbelieved = register(registry, "holdfast_messages_disbelieved", help, Family::default());
        let help = "Claims by name, as messages ask for them: claimed, or refused because nothing is to be done";
        let claims = register(registry, "holdfast_claims", help, Family::default());
        let help = "From the acceptance to the first claim, by Postgres' clock";
        let lag = register(registry, "holdfast_claim_lag_seconds", help, timings());
        let help = "Claims of what somebody else had in hand and did not release";
        let taken_over = register(registry, "holdfast_takeovers", help, Family::default());
        let help = "Steps within one claim: done, wait, full (of requests to the partner), lost, fault, or the end that it led to";
        let steps = register(registry, "holdfast_step_duration_seconds", help, timings());
        let help = "Requests to partners (create, look_up, poll) by what came of them; unknown and failed are in doubt";
        let partners = register(registry, "holdfast_partner_request_duration_seconds", help, timings());
        let help = "Commands that ended, needs_attention among them, and why";
        let ends = register(registry, "holdfast_ends", help, Family::default());
        let help = "Callbacks by attempt (first, retry): delivered, gone, refused, unreachable";
        let callbacks = register(registry, "holdfast_callback_duration_seconds", help, timings());
        Self {
            claims,
            lag,
            taken_over,
            steps,
            partners,
            ends,
            callbacks,
            callbacks_given_up: given_up,
            callbacks_unsigned: unsigned,
            disbelieved,
            lost,
            died,
            reaped,
        }
    }

    pub fn asked(&self, lane: Lane, claimed: bool) {
        let outcome = if claimed { "claimed" } else { "refused" };
        self.claims.get_or_create(&Claim { lane: lane.name(), outcome }).inc();
    }

    /// A run begins.
    pub fn began(&self, claimed: &Claimed) {
        let kind = OfKind { kind: claimed.kind.name() };
        if claimed.taken_over {
            self.taken_over.get_or_create(&kind).inc();
        }
        if claimed.sequence == 0 {
            let lag = (claimed.claimed_at - claimed.created_at).to_std().unwrap_or_default();
            self.lag.get_or_create(&kind).observe(lag.as_secs_f64());
        }
    }

    /// `stopped` says why it went no further.
    pub fn stepped(
        &self,
        kind: Kind,
        step: &'static str,
        partner: String,
        stopped: Option<&'static str>,
        took: Duration,
    ) {
        let step = StepTaken { kind: kind.name(), step, partner, outcome: stopped.unwrap_or("done") };
        self.steps.get_or_create(&step).observe(took.as_secs_f64());
    }

    /// As it goes into the trail.
    pub fn happened(&self, what: &Happening) {
        match what {
            Happening::Created { partner, answer, .. } => self.exchanged(partner, "create", answer),
            Happening::LookedUp { partner, answer } => self.exchanged(partner, "look_up", answer),
            Happening::Polled { partner, answer } => self.exchanged(partner, "poll", answer),
            Happening::CallbackAttempted { attempt, answer, .. } => {
                let attempt = if *attempt == 1 { "first" } else { "retry" };
                let callback = Callback { attempt, outcome: answer.outcome.clone() };
                self.callbacks.get_or_create(&callback).observe(seconds(answer));
            }
            Happening::CallbackGivenUp { .. } => drop(self.callbacks_given_up.inc()),
            Happening::Claimed { .. }
            | Happening::Recorded
            | Happening::Notified { .. }
            | Happening::Waiting { .. }
            | Happening::Finished { .. }
            | Happening::Rejected { .. }
            | Happening::Cancelled
            | Happening::Retried { .. }
            | Happening::Resolved { .. } => {}
        }
    }

    fn exchanged(&self, partner: &str, operation: &'static str, answer: &Answer) {
        let exchange = Exchange { partner: partner.to_owned(), operation, outcome: answer.outcome.clone() };
        self.partners.get_or_create(&exchange).observe(seconds(answer));
    }

    pub fn ended(&self, kind: Kind, outcome: &Outcome) {
        let reason = outcome.reason().map(|reason| reason.code.clone()).unwrap_or_default();
        self.ends.get_or_create(&End { kind: kind.name(), status: outcome.status().name(), reason }).inc();
    }

    pub fn unsigned(&self) {
        self.callbacks_unsigned.inc();
    }

    pub fn disbelieved(&self, queue: &str, why: &'static str) {
        let of = Disbelieved { messaging_destination_name: queue.to_owned(), why };
        self.disbelieved.get_or_create(&of).inc();
    }

    pub fn lost(&self) {
        self.lost.inc();
    }

    pub fn died(&self) {
        self.died.inc();
    }

    pub fn reaped(&self, claims: u64) {
        self.reaped.inc_by(claims);
    }
}

fn seconds(answer: &Answer) -> f64 {
    Duration::from_millis(answer.took_ms).as_secs_f64()
}
