//! Nouns and rules of Holdfast. No I/O, no clock, no randomness: everything here is a function of its arguments.

pub mod api_key;
pub mod audit;
pub mod breaker;
pub mod card_number;
pub mod chain;
pub mod cloud_event;
pub mod command;
pub mod content;
pub mod endpoint;
pub mod event;
mod fields;
pub mod ids;
pub mod journal;
pub mod json;
pub mod message;
pub mod money;
pub mod order;
pub mod progress;
pub mod refund;
pub mod resource;
pub mod schedule;
pub mod scope;
pub mod server_key;
pub mod status;
pub mod tombstone;
pub mod trail;
pub mod transaction;
pub mod vouched;
pub mod wishes;

pub use command::{Command, Kind, Lane};
pub use ids::{ClientNo, CommandId, CommandNo, Token, WorkerId};
pub use json::Violation;
pub use scope::{Scope, Scopes};
pub use server_key::ServerKey;
pub use status::Status;
pub use tombstone::Tombstone;
