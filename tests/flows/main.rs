//! Flows across API and worker, against the real binaries, real Postgres, real SQS protocol, real HTTP.

mod accept;
mod callbacks;
mod handlers;
mod kills;
mod outages;
mod query;
mod store;
mod worker;
