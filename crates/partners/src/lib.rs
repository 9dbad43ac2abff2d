//! Other people's systems over HTTP: third parties, and clients' callback endpoints. The only crate with an HTTP client
//! in the request path. Never sees a database connection, never retries, never decides.

pub mod callback;
pub mod egress;
mod exchange;
pub mod generic;
pub mod http_client;
pub mod signature;
pub mod webhook;

pub use exchange::Exchange;
