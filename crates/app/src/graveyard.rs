//! The reader of the dead-letter queues: evidence for operators, and the last place where a command can be found.

use crate::engine::Engine;
use crate::statements::persist;
use anyhow::Context as _;
use holdfast_domain::cloud_event::misread;
use holdfast_domain::{Kind, message};
use holdfast_queue::{Handler, Message, Slot, Verdict};
use holdfast_store::dead_letters::{self, DeadLetter};
use holdfast_store::{commands, wakeups};
use std::sync::Arc;

/// The consumer's handler for the dead letters of one kind.
pub struct Graveyard {
    pub engine: Arc<Engine>,
    pub kind: Kind,
}

impl Handler for Graveyard {
    async fn handle(&self, message: Message, _slot: Slot) -> Verdict {
        match self.keep(&message).await {
            Ok(()) => Verdict::Delete,
            Err(error) => {
                tracing::warn!(message.id, error = format!("{error:#}"), "dead letter left to its queue");
                Verdict::Leave
            }
        }
    }
}

impl Graveyard {
    async fn keep(&self, message: &Message) -> anyhow::Result<()> {
        let read = serde_json::from_str::<message::Message>(&message.body);
        let (cause, command) = match &read {
            Ok(event) => ("not handled when it was received".to_owned(), event.subject.parse().ok()),
            Err(error) => (error.to_string(), None),
        };
        let told = read.as_ref().map_or_else(misread, |_| cause.clone());
        tracing::error!(message.id, queue.name = &*message.queue, cause = told, "dead letter");
        let Message { queue, id, body, receive_count, .. } = message;
        let letter = || DeadLetter {
            queue,
            message_id: id,
            body,
            cause: &cause,
            kind: Some(self.kind),
            command,
            receive_count: *receive_count,
        };
        let pool = &self.engine.app.pool;
        persist(|| dead_letters::store(pool, letter())).await.context("store the dead letter")?;
        if let Some(id) = command {
            // Its message is here, and the relay may have meant to look much later.
            persist(|| wakeups::hasten(pool, id)).await.context("have the relay look")?;
        }
        let Some(command) = read.ok().and_then(|event| event.data.command) else { return Ok(()) };
        let ids = [command.id];
        let known = persist(|| commands::known(pool, &ids)).await.context("look for the command")?.0;
        if known.is_empty() {
            tracing::error!(command.id = %command.id, "a dead letter was the only trace of a command");
            self.engine.materialiser.command(command).await.context("materialise the command")?;
        }
        Ok(())
    }
}
