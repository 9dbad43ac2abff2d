//! Sinks: where events for others go. Each is one file; a new one is a file more and an arm in [`Settings::connect`].
//!
//! Knows neither where events come from nor how far anybody is. Never repeats by itself and never decides: who publishes
//! does, and may send the same event twice.

mod http;
mod lanes;
mod redis;
mod sqs;

pub use http::{Http, HttpSettings, Mode};
pub use redis::{Redis, RedisSettings};
pub use sqs::{Sqs, SqsSettings};

use async_trait::async_trait;
use holdfast_domain::event::Event;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Somewhere that events are published to.
///
/// The events of one subject are handed over in the order of their sequences, and a sink that has an order keeps it. Those of
/// different subjects may overtake each other.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Returns when the sink has confirmed all of them: whatever happens here from then on, it has them. After an error some
    /// may be there; all are to be sent again.
    async fn publish_and_await(&self, events: &[Event]) -> Result<(), Failure>;

    /// Hands them over and returns at once. Whether the sink has confirmed them is what comes of the handle; who drops it
    /// will never know.
    fn publish(self: Arc<Self>, events: Vec<Event>) -> JoinHandle<Result<(), Failure>> {
        tokio::spawn(async move { self.publish_and_await(&events).await })
    }
}

/// Why a sink has not confirmed what it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Not now.
    #[error("{0}")]
    Unavailable(String),
    /// This event never, however often it is sent.
    #[error("{id} is refused: {why}")]
    Refused { id: String, why: String },
}

/// Which sink, and where.
#[derive(Clone, Debug)]
pub enum Settings {
    Sqs(SqsSettings),
    Redis(RedisSettings),
    Http(HttpSettings),
}

/// A sink cannot be built from its settings.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unbuilt(pub(crate) String);

impl Settings {
    /// Whether [`Settings::connect`] could build it, without asking anybody.
    pub fn check(&self) -> Result<(), Unbuilt> {
        match self {
            Self::Sqs(_) => Ok(()),
            Self::Redis(settings) => Redis::new(settings).map(drop),
            Self::Http(settings) => settings.check(),
        }
    }

    /// The same sink for a replay, which has this id.
    #[must_use]
    pub fn for_replay(mut self, id: String) -> Self {
        if let Self::Sqs(settings) = &mut self {
            settings.replay = Some(id);
        }
        self
    }

    /// Connects to nothing until something is published. `clients` are those of SQS.
    pub fn connect(&self, clients: &holdfast_queue::Clients) -> Result<Arc<dyn Sink>, Unbuilt> {
        Ok(match self {
            Self::Sqs(settings) => Arc::new(Sqs::new(settings, clients)),
            Self::Redis(settings) => Arc::new(Redis::new(settings)?),
            Self::Http(settings) => Arc::new(Http::new(settings)?),
        })
    }

    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sqs(_) => "sqs",
            Self::Redis(_) => "redis",
            Self::Http(_) => "http",
        }
    }
}

/// An event as a structured CloudEvent.
fn structured(event: &Event) -> String {
    serde_json::to_string(event).expect("an event always serialises")
}
