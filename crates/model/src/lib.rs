//! The protocol as a model: one command, two workers, one API, one relay, one partner, and every order in which they can
//! act, fail and be lost. Searched exhaustively; the statements that it abstracts are named in the README's rules.
//!
//! Time is abstract: a row is due `Now`, `Soon` (2 s, a lease, 120 s) or `Far` (15 min). One command is enough: commands
//! share nothing but the workers.

mod check;
mod guards;
mod state;
mod steps;

pub use check::{Found, check};
pub use guards::Guards;
pub use state::{Breach, Faults, State};
pub use steps::Protocol;
