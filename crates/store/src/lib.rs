//! All SQL of Holdfast, one file per table.
//!
//! Statements are set-oriented: accept, claim, wait and finish take slices, one is a batch of one. Every state change is
//! guarded on the row that it changes. Times go in as durations and are added to Postgres' clock (PROTOCOL 24). Nothing
//! here touches the network beyond Postgres, and nothing here decides anything.

pub mod api_keys;
pub mod attention;
pub mod audit;
pub mod callback_resends;
pub mod census;
pub mod chain;
pub mod clients;
pub mod commands;
pub mod dead_letters;
pub mod error;
pub mod event_sinks;
pub mod events;
mod kept;
pub mod letter_groups;
pub mod lists;
pub mod operator;
pub mod operators;
pub mod orders;
pub mod outbox;
pub mod overview;
pub mod partner_updates;
pub mod pool;
pub mod refunds;
pub mod retention;
pub mod schema;
pub mod secrets;
pub mod survey;
pub mod transactions;
pub mod wakeups;
pub mod workers;

pub use error::Error;
pub use pool::Pool;

/// What every statement here answers.
pub type Result<T> = std::result::Result<T, Error>;
