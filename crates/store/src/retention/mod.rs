//! What is kept for a while only: payloads of commands that ended long ago, settled letters, sessions that are over.
//!
//! The walk goes along `commands` in the order of their numbers, which is that of acceptance, and keeps its place in
//! `retention_progress`. What it passes although its time has not come is in `retention_postponed`, and looked at again.
//! No statement here reads more than the rows of its batch, however many commands there are.

mod archive;
mod progress;
mod sweep;

pub use archive::{Batch, Done, Stretch, archive, archive_postponed, stretch};
pub use progress::{Due, Standing, due, lead, standing};
pub use sweep::{Words, items, letters, sessions, words};
