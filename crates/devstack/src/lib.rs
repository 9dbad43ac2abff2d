//! What Holdfast needs around it, for a laptop and for the tests: a private Postgres, SQS in this process, a sandbox
//! third party and a callback inbox, all over their real protocols. Never part of a deployment.

pub mod apart;
pub mod binaries;
mod children;
mod client;
pub mod demo;
pub mod events;
pub mod gate;
pub mod inbox;
mod operator;
pub mod postgres;
pub mod queues;
pub mod redis;
pub mod sandbox;
pub mod server;
pub mod settings;
pub mod sqs;
pub mod up;
pub mod webhooks;

/// What the developer in front of the terminal should read.
#[expect(clippy::print_stdout, reason = "a command line tool prints its result")]
pub(crate) fn say(text: impl std::fmt::Display) {
    println!("{text}");
}
