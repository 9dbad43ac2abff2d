//! The operators' console: what goes on, what needs a person, and what to do about it.
//!
//! Pages are made here and work without a script; the one there is refreshes the overview and listens to keys. Whatever an
//! operator changes goes through the use cases that the command line goes through, with who and why. Nothing here writes SQL,
//! and what comes from outside is text, never markup.

mod act;
mod assets;
mod failure;
mod fields;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod guard;
mod layout;
mod login;
mod pages;
mod plot;
mod queues;
mod redrives;
mod router;
mod samples;
mod session;
mod state;
mod text;
mod throttle;
mod timeline;

pub use router::router;
pub use state::Console;
