//! What a worker can be told to work on.

use holdfast_domain::Kind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Commands of one kind.
    Kind(Kind),
    /// What was taken while Postgres was down.
    Journal,
    /// What SQS has put aside, of every kind.
    DeadLetters,
    /// What others are told: no queue of ours, but the sinks that are configured.
    Events,
}

impl Source {
    pub const ALL: [Self; 6] = [
        Self::Kind(Kind::Transaction),
        Self::Kind(Kind::Refund),
        Self::Kind(Kind::Order),
        Self::Journal,
        Self::DeadLetters,
        Self::Events,
    ];

    /// As in `--queues`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kind(kind) => kind.plural(),
            Self::Journal => "journal",
            Self::DeadLetters => "dead-letters",
            Self::Events => "events",
        }
    }
}
