//! holdfast-api: accepts commands over HTTP, and says where they stand.

mod body;
mod console;
mod cors;
mod envelope;
pub mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gate;
mod headers;
mod healthcheck;
mod load;
mod measure;
pub mod openapi;
mod path;
mod places;
mod reading;
mod routes;
mod server;
mod state;

pub use healthcheck::healthcheck;
pub use server::{Server, router};
pub use state::State;
