//! The journal's reader: writes down what was taken while Postgres was down.

use crate::engine::Engine;
use crate::statements::persist;
use anyhow::Context as _;
use holdfast_domain::journal::{self, Entry, Update};
use holdfast_queue::{Handler, Message, Slot, Verdict};
use holdfast_store::dead_letters::{self, DeadLetter};
use holdfast_store::partner_updates;
use holdfast_store::{Error, Pool};
use std::sync::Arc;

/// The consumer's handler. The journal has no redrive policy: what cannot be written now comes back until it can.
pub struct Replay(pub Arc<Engine>);

impl Handler for Replay {
    async fn handle(&self, message: Message, _slot: Slot) -> Verdict {
        let written = match serde_json::from_str::<journal::Message>(&message.body) {
            Ok(event) => self.write(&message, event.data).await,
            Err(error) => self.bury(&message, &error.to_string()).await,
        };
        match written {
            Ok(()) => Verdict::Delete,
            Err(error) => {
                tracing::warn!(message.id, error = format!("{error:#}"), "journal entry left to the queue");
                Verdict::Leave
            }
        }
    }
}

impl Replay {
    async fn write(&self, message: &Message, entry: Entry) -> anyhow::Result<()> {
        match entry {
            Entry::Command { command } => match self.0.materialiser.command(command).await {
                Ok(()) => Ok(()),
                // It will be refused every time: kept for a person, with every byte of it (PROTOCOL 15).
                Err(error) if matches!(*error, Error::Refused(_)) => self.bury(message, &describe(&error)).await,
                Err(error) => Err(error).context("write the command"),
            },
            Entry::Update { update } => match persist(|| store(&self.0.app.pool, &update)).await.map(drop) {
                Err(error) if matches!(error, Error::Refused(_)) => self.bury(message, &describe(&error)).await,
                stored => stored.context("store the partner's update"),
            },
        }
    }

    async fn bury(&self, message: &Message, cause: &str) -> anyhow::Result<()> {
        tracing::error!(message.id, queue.name = &*message.queue, cause, "journal entry cannot be written, storing it");
        let Message { queue, id, body, receive_count, .. } = message;
        let (kind, command, receive_count) = (None, None, *receive_count);
        let letter = DeadLetter { queue, message_id: id, body, cause, kind, command, receive_count };
        dead_letters::store(&self.0.app.pool, letter).await.context("store the dead letter")
    }
}

/// Authentic and in time when it was taken. The row that it nudges is due: a worker finds it.
async fn store(pool: &Pool, update: &Update) -> Result<(), Error> {
    let stored = partner_updates::store(pool, update, None).await?;
    if let Some((no, _)) = stored.command.filter(|_| !stored.nudged) {
        partner_updates::reopen(pool, no).await?;
    }
    Ok(())
}

fn describe(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
