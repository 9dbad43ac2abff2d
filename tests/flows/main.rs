//! Flows across API and worker, against the real binaries, real Postgres, real SQS protocol, real HTTP.

mod accept;
mod attention;
mod callbacks;
mod cancel;
mod cli;
mod clients;
mod containers;
mod dead_letters;
mod every_kind;
mod expiry;
mod handlers;
mod kills;
mod lambda;
mod lists;
mod orders;
mod outages;
mod poison;
mod query;
mod refunds;
mod restore;
mod schema;
mod store;
mod telling;
mod webhooks;
mod worker;
