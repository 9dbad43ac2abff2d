//! For services that build on Holdfast's events: consume them over Redis Streams or SQS, each command's events in their
//! order, and with effects exactly once.
//!
//! Holdfast publishes what happens to its commands as [CloudEvents](https://cloudevents.io), at least once. A service says
//! what it makes of an event ([`Handler`]), has a Postgres of its own ([`Store`]), and reads a source ([`RedisStream`],
//! [`Sqs`]). The rest is here: duplicates, order, retries, dead letters, taking over from consumers that died, an end in
//! order, metrics.
//!
//! ```no_run
//! use holdfast_consumer::prometheus_client::registry::Registry;
//! use holdfast_consumer::sqlx::{self, PgPool};
//! use holdfast_consumer::tokio_util::sync::CancellationToken;
//! use holdfast_consumer::{Consumer, Event, Failed, Handler, Metrics, RedisStream, Settings, Store};
//!
//! struct Count;
//!
//! impl Handler for Count {
//!     async fn handle(&self, event: &Event, transaction: &mut sqlx::PgConnection) -> Result<(), Failed> {
//!         let sql = "update counts set count = count + 1 where kind = $1";
//!         sqlx::query(sql).bind(&event.kind).execute(transaction).await?;
//!         Ok(())
//!     }
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = PgPool::connect("postgres://me@localhost/mine").await?;
//! let store = Store::new(pool, "counter");
//! store.install().await?;
//!
//! let mut registry = Registry::default();
//! let metrics = Metrics::register(&mut registry);
//! let consumer = Consumer::new(store, Count, Settings::default(), metrics);
//!
//! let stop = CancellationToken::new(); // to be cancelled at SIGTERM
//! let stream = RedisStream::new("redis://localhost:6379/0", "holdfast-events", "counter");
//! stream.run(consumer, stop).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - **Effects exactly once.** What a handler writes through its transaction commits together with the note that the event
//!   was handled. An event that comes again is acknowledged and not handled. Why that is right is told in `store.rs`.
//! - **Order.** The events of one subject are handled one after the other in the order of their sequences. One that comes
//!   before its predecessor is held back, up to [`Settings::patience`].
//! - **Nothing is lost silently.** An event is acknowledged after its transaction has committed, or after it was put with the
//!   dead letters. Whatever dies in between, it comes again. The exceptions are made elsewhere: a stream that is trimmed
//!   before it was read, a queue whose retention ends.
//! - **A poisonous event stops nobody.** What fails, panics, hangs or takes its process down is tried a few times and is a dead
//!   letter then, and its successors go on.
//!
//! What does not hold: a dead letter is not in order any more, and whoever handles it afterwards has to see to that. And what
//! a handler does outside of its transaction is done at least once.
//!
//! `examples/order-service` is a whole service, `docs/consuming.md` tells how to run one.

mod attempt;
mod calm;
mod consumer;
mod delivery;
mod event;
mod handler;
pub mod metrics;
mod redis_stream;
mod settings;
mod sqs;
mod store;
mod turns;
mod unfit;
mod waits;

pub use consumer::Consumer;
pub use event::{Event, Unreadable};
pub use handler::{Failed, Handler};
pub use metrics::Metrics;
pub use redis_stream::RedisStream;
pub use settings::{Begin, Settings};
pub use sqs::Sqs;
pub use store::{SCHEMA, Store};
pub use unfit::Unfit;

/// What stands in this crate's interface.
pub use {holdfast_queue as queue, prometheus_client, sqlx, tokio_util};
