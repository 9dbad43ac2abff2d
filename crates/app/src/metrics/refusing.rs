//! What was turned away so that the rest is served: by limits, not by what was asked.

use super::register;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Why a request was not carried out although nothing was wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// As many as there may be were in hand.
    InFlight,
    /// Commands waited too long for Postgres.
    Queue,
    /// As many as there may be waited for a command to change: answered at once.
    Waiting,
    /// The bodies of as many webhooks as there may be were on their way.
    Webhooks,
    /// Reads waited too long for their turn with Postgres.
    Reads,
}

/// What a client was too slow with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// To send the head of a request.
    Head,
    /// To send its body.
    Body,
    /// To take its answer.
    Answer,
}

/// Those that count when there is too much to do have no label to look up.
#[derive(Debug)]
pub struct Refusing {
    in_flight: Counter,
    queue: Counter,
    waiting: Counter,
    webhooks: Counter,
    reads: Counter,
    limited: Family<Limited, Counter>,
    connections: Counter,
    slow: Family<Slowness, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Shedding {
    why: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limited {
    limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Slowness {
    part: &'static str,
}

impl Refusing {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let help = "Requests that were one too many: in_flight, queue (for Postgres), waiting (answered at once), webhooks, reads";
        let shed: Family<Shedding, Counter> = register(registry, "holdfast_requests_shed", help, Family::default());
        let help = "Requests beyond what a client may make: submissions, reads, in_flight, endpoint_tests; or with unknown_keys, of all together";
        let limited = register(registry, "holdfast_requests_limited", help, Family::default());
        let help = "Connections that were one too many";
        let connections = register(registry, "holdfast_connections_refused", help, Counter::default());
        let help = "Clients that were cut off because they took too long over a head, a body, or their answer";
        let slow = register(registry, "holdfast_slow_clients", help, Family::default());
        let counter = |why| shed.get_or_create_owned(&Shedding { why });
        Self {
            in_flight: counter("in_flight"),
            queue: counter("queue"),
            waiting: counter("waiting"),
            webhooks: counter("webhooks"),
            reads: counter("reads"),
            limited,
            connections,
            slow,
        }
    }

    pub fn shed(&self, why: Shed) {
        match why {
            Shed::InFlight => self.in_flight.inc(),
            Shed::Queue => self.queue.inc(),
            Shed::Waiting => self.waiting.inc(),
            Shed::Webhooks => self.webhooks.inc(),
            Shed::Reads => self.reads.inc(),
        };
    }

    /// `limit` is a name of ours.
    pub fn limited(&self, limit: &'static str) {
        self.limited.get_or_create(&Limited { limit }).inc();
    }

    pub fn connection(&self) {
        self.connections.inc();
    }

    pub fn slow(&self, slow: Slow) {
        let part = match slow {
            Slow::Head => "head",
            Slow::Body => "body",
            Slow::Answer => "answer",
        };
        self.slow.get_or_create(&Slowness { part }).inc();
    }
}
