//! holdfast-api: accepts commands over HTTP, and says where they stand.

mod body;
mod console;
pub mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod headers;
mod healthcheck;
mod measure;
pub mod openapi;
mod path;
mod routes;
mod server;
mod state;

pub use healthcheck::healthcheck;
pub use server::{Server, router};
pub use state::State;
