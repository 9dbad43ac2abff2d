//! The stack for one test: a database of its own, queues of its own, a partner and an inbox of its own, and the real
//! binaries. Needs the services that `holdfast-devstack run` provides.

pub mod backup;
pub mod browser;
pub mod channel;
pub mod cli;
mod clients;
pub mod clock;
pub mod collector;
pub mod partner;
mod requests;
pub mod runtime_api;
pub mod secrets_manager;
pub mod stack;
mod surroundings;

pub use browser::{Browser, browse};
pub use channel::{Channel, TestQueue};
pub use clients::{key_id, unknown_key};
pub use collector::{Collector, Span};
pub use holdfast_devstack::gate::Gate;
pub use partner::{Line, Loss, Script, losing};
pub use requests::{Submission, at_partners};
pub use runtime_api::RuntimeApi;
pub use secrets_manager::SecretsManager;
pub use stack::{Options, Stack};
pub use surroundings::{admin, database_alone, free_port};

use std::time::{Duration, Instant};

/// How long a condition may take to become true. Generous: it decides only how late a failure is reported.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until there is something, and fails the test if that never happens.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "never saw: {what}");
        holdfast_app::pause(Duration::from_millis(20)).await;
    }
}
