//! SQS, and SQS only: a publisher and a consumer runtime for any queue. Knows bytes and receipts, nothing of what the
//! messages mean; could be lifted out and used by somebody else.

mod attributes;
pub mod backoff;
mod burial;
mod client;
mod consumer;
mod counts;
mod deleter;
mod publisher;
mod slots;

pub use attributes::{Attributes, Redrive};
pub use backoff::Backoff;
pub use burial::DeadLetter;
pub use client::{Clients, Endpoint, Error, Queue};
pub use consumer::{Consumer, Handler, Message, Settings, Verdict};
pub use counts::Counts;
pub use publisher::{Outgoing, Sent, Unsent};
pub use slots::{Slot, Slots};

/// The message attribute that carries the W3C trace context.
pub const TRACEPARENT: &str = "traceparent";

/// The message attribute that says what the body is.
pub const CONTENT_TYPE: &str = "content-type";
