//! The journal's reader: writes down what was taken while Postgres was down.

use crate::engine::Engine;
use crate::statements::persist;
use crate::trace::spans::FAULT;
use crate::webhook::store;
use anyhow::Context as _;
use holdfast_domain::cloud_event::misread;
use holdfast_domain::journal::{self, Entry, Line};
use holdfast_domain::vouched::Doubt;
use holdfast_domain::{CommandId, Kind};
use holdfast_queue::{Handler, Message, Slot, Verdict};
use holdfast_store::Error;
use holdfast_store::dead_letters::{self, DeadLetter};
use std::sync::Arc;
use tracing::Instrument as _;

/// The consumer's handler. The journal has no redrive policy: what cannot be written now comes back until it can.
pub struct Replay(pub Arc<Engine>);

impl Handler for Replay {
    async fn handle(&self, message: Message, _slot: Slot) -> Verdict {
        let mut span = self.0.app.tracer.received(&message);
        let written = match serde_json::from_str::<journal::Message>(&message.body) {
            Ok(event) => self.write(&message, event.data).instrument(span.log()).await,
            // Perhaps a later version wrote it: then one of its workers can read it. The queue keeps it for 14 days, and
            // a person should see it before those are over.
            Err(error) => {
                let kept = self.keep(&message, (None, None), &error.to_string()).await;
                Err(anyhow::Error::msg(misread(&error)).context(if kept.is_ok() {
                    "read it"
                } else {
                    "read or keep it"
                }))
            }
        };
        match written {
            Ok(()) => Verdict::Delete,
            Err(error) => {
                span.fail(FAULT);
                let error = format!("{error:#}");
                tracing::error!(message.id, message.receive_count, error, "journal entry left to the queue");
                Verdict::Leave
            }
        }
    }
}

impl Replay {
    async fn write(&self, message: &Message, Line { entry, mac }: Line) -> anyhow::Result<()> {
        match entry {
            Entry::Command { command } => {
                let about = (command.id, Some(command.kind));
                let command = match self.0.app.vouched(command, mac) {
                    Ok(command) => command,
                    Err(doubt) => return self.disbelieve(message, about, doubt).await,
                };
                match self.0.materialiser.command(command.shared()).await {
                    Ok(()) => Ok(()),
                    // It will be refused every time: kept for a person, with every byte of it (PROTOCOL 15).
                    Err(error) if matches!(*error, Error::Refused(_)) => self.bury(message, about, &error).await,
                    Err(error) => Err(error).context("write the command"),
                }
            }
            // Authentic and in time when it was taken. The row that it nudges is due: a worker finds it.
            Entry::Update { update } => {
                let about = (update.command, None);
                let update = match self.0.app.vouched_update(update, mac) {
                    Ok(update) => update.into_inner(),
                    Err(doubt) => return self.disbelieve(message, about, doubt).await,
                };
                match persist(|| store(&self.0.app.pool, &update, None)).await {
                    Ok(_) => Ok(()),
                    Err(error) if matches!(error, Error::Refused(_)) => self.bury(message, about, &error).await,
                    Err(error) => Err(error).context("store the partner's update"),
                }
            }
        }
    }

    /// Kept, so that nothing that was answered for is lost: an operator can vouch for it.
    async fn disbelieve(
        &self,
        message: &Message,
        (command, kind): (CommandId, Option<Kind>),
        doubt: Doubt,
    ) -> anyhow::Result<()> {
        let cause = self.0.app.disbelieve(message, doubt);
        self.keep(message, (Some(command), kind), &cause).await
    }

    async fn bury(&self, message: &Message, about: (CommandId, Option<Kind>), error: &Error) -> anyhow::Result<()> {
        let cause = &*error.described();
        tracing::error!(message.id, queue.name = &*message.queue, cause, "journal entry cannot be written, storing it");
        self.keep(message, (Some(about.0), about.1), cause).await
    }

    async fn keep(
        &self,
        message: &Message,
        (command, kind): (Option<CommandId>, Option<Kind>),
        cause: &str,
    ) -> anyhow::Result<()> {
        let Message { queue, id, body, receive_count, .. } = message;
        let receive_count = *receive_count;
        let letter = DeadLetter { queue, message_id: id, body, cause, kind, command, receive_count };
        dead_letters::store(&self.0.app.pool, letter).await.context("store the dead letter")
    }
}
