//! How a consumer works.

use std::time::Duration;

/// The defaults suit a handler that writes a few rows.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many events are handled at once, of each source. The pool needs a connection for each.
    pub concurrency: usize,
    /// How long one try of a handler may take. Then it is dropped and rolled back, and has failed.
    pub timeout: Duration,
    /// How often an event is tried before it is given back to its source, which delivers it again, later.
    pub tries: u32,
    /// Between two tries. Doubles, up to `longest_pause`.
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// How long an event whose predecessor is missing is held back. Then it is handled all the same, with a warning, and the
    /// predecessor, should it come, is a dead letter. Must be longer than the source needs to deliver an event for the
    /// last time: its deliveries times the time between two of them.
    pub patience: Duration,
    /// With which event a subject may begin that was never heard of.
    pub begin: Begin,
    /// Events beyond this many that wait for others keep the place of one that could be handled: reading stops in the end.
    pub most_held: usize,
}

/// With which event of a subject a consumer may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begin {
    /// Its first. Others wait for it, as long as for any predecessor.
    #[default]
    First,
    /// Any: for a consumer that joins in the middle. Needs a source that keeps the order: a Redis stream, a FIFO queue.
    Anywhere,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: 16,
            timeout: Duration::from_secs(60),
            tries: 3,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            patience: Duration::from_secs(300),
            begin: Begin::First,
            most_held: 1_000,
        }
    }
}
