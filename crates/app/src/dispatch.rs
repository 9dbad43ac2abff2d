//! From a message to the row that it points at.

use crate::engine::{Engine, Held};
use crate::tell;
use crate::track::Track;
use anyhow::Context as _;
use holdfast_domain::cloud_event::misread;
use holdfast_domain::message;
use holdfast_domain::vouched::Vouched;
use holdfast_domain::{Command, CommandId, Kind, Lane};
use holdfast_queue::{Handler, Message, Slot, Verdict};
use holdfast_store::{Error, commands, dead_letters};
use std::sync::Arc;

/// The consumer's handler. A message has no power of its own: what is to be done is in the row.
pub struct Dispatch {
    pub engine: Arc<Engine>,
    /// Of the queue: a message of another kind is handled all the same.
    pub kind: Kind,
    /// The queue's.
    pub track: Track,
}

impl Handler for Dispatch {
    async fn handle(&self, mut message: Message, slot: Slot) -> Verdict {
        let dispatched = match serde_json::from_str::<message::Message>(&message.body) {
            Ok(event) => self.dispatch(&mut message, event.data, slot).await,
            Err(error) => Box::pin(self.bury_unread(&message, &error)).await,
        };
        dispatched.unwrap_or_else(|error| {
            tracing::warn!(message.id, error = format!("{error:#}"), "message left to the queue");
            Verdict::Leave
        })
    }

    /// Of what clients sent beyond their shares no more is taken on than the partner can do: each would be claimed only to be
    /// put off. All others get a place in the partner's line, however long that is.
    fn is_ready(&self) -> bool {
        self.track == Track::Share || self.engine.has_room_at_partner(self.kind)
    }

    fn pollers(&self) -> usize {
        match self.track {
            Track::Share => usize::MAX,
            Track::Overflow => self.engine.overflow.pollers(),
        }
    }
}

impl Dispatch {
    async fn dispatch(&self, message: &mut Message, wakeup: message::Wakeup, slot: Slot) -> anyhow::Result<Verdict> {
        let message::Wakeup { no, lane, command, mac } = wakeup;
        let about = command.as_ref().map(|command| command.id);
        // Before anything is done: what carries something false is no nudge either.
        let command = match command.map(|command| self.engine.app.vouched(command, mac)).transpose() {
            Ok(command) => command,
            Err(doubt) => {
                let cause = self.engine.app.disbelieve(message, doubt);
                return Box::pin(self.bury(message, about, &cause)).await;
            }
        };
        let command = command.map(Vouched::shared);
        let told = command.as_ref().and_then(|command| self.engine.first(command.as_ref()));
        let mut slot = match lane {
            Lane::Run => slot,
            // Callbacks have slots of their own. Without room the row stays due, and the relay comes back to it.
            Lane::Tell => {
                drop(slot);
                match self.engine.tell_slots.take_up_to(1).pop() {
                    Some(slot) => slot,
                    None => return Ok(Verdict::Delete),
                }
            }
        };
        let first = told.as_ref().map(|(first, _content)| first.clone());
        let held = self.engine.claim(no, lane, self.track, first, &mut slot).await.context("claim")?;
        let slot = match &held {
            Some(held) if held.claimed.lane == Lane::Tell && held.claimed.tries > 0 => {
                drop(slot);
                match self.engine.tell_again_slots.take_up_to(1).pop() {
                    Some(slot) => slot,
                    None => {
                        return Box::pin(tell::put_back(&self.engine, &held.claimed)).await.map(|()| Verdict::Delete);
                    }
                }
            }
            _ => slot,
        };
        let held = held.map(|held| held.received(&self.engine.app.tracer, message));
        let held = match (held, command) {
            (Some(held), None) => held,
            (Some(mut held), Some(command)) if Some(held.claimed.id) == about => {
                // It need not be read twice, if it is the same.
                held.content =
                    told.filter(|_| held.claimed.body == command.as_ref().body).map(|(_first, content)| content);
                held
            }
            (refused, Some(command)) => return Box::pin(self.stand_in(message, refused, command, slot)).await,
            // Final, parked, in other hands, or not yet runnable: the row decides, the message is superfluous.
            (None, None) => return Ok(Verdict::Delete),
        };
        // The row says it all from here on.
        message.body = String::new();
        // Boxed: most of the memory of a message is this, and it is not needed while the claim is waited for.
        Ok(Box::pin(self.engine.carry(held, slot)).await)
    }

    /// The row that the message names is not ours to run, or another command's: after a failover that lost commits a
    /// number can mean another command, and ours can be missing.
    async fn stand_in(
        &self,
        message: &Message,
        other: Option<Held>,
        command: Vouched<Arc<Command>>,
        slot: Slot,
    ) -> anyhow::Result<Verdict> {
        if let Some(other) = other {
            self.engine.carry(other, slot).await;
        }
        // What was refused is mostly there: one look is cheaper than an insert in vain.
        let id = command.as_ref().id;
        let known = commands::known(&self.engine.app.pool, &[id]).await.context("look for the command")?;
        if known.is_empty() {
            tracing::warn!(command.id = %id, "row is missing, the message stands in for it");
            match self.engine.materialiser.command(command).await {
                Ok(()) => {}
                // It will be refused every time.
                Err(error) if matches!(*error, Error::Refused(_)) => {
                    let cause = error.described();
                    tracing::error!(message.id, command.id = %id, cause, "command cannot be written, storing its message");
                    return self.bury(message, Some(id), &cause).await;
                }
                Err(error) => return Err(error).context("materialise the command"),
            }
        }
        Ok(Verdict::Delete)
    }

    /// Kept with the reason, then deleted: a message that cannot be read will not become readable.
    async fn bury_unread(&self, message: &Message, error: &serde_json::Error) -> anyhow::Result<Verdict> {
        let (told, cause) = (misread(error), error.to_string());
        tracing::error!(message.id, queue.name = &*message.queue, cause = told, "message cannot be read, storing it");
        self.bury(message, None, &cause).await
    }

    async fn bury(&self, message: &Message, command: Option<CommandId>, cause: &str) -> anyhow::Result<Verdict> {
        let Message { queue, id, body, receive_count, .. } = message;
        let (kind, receive_count) = (Some(self.kind), *receive_count);
        let letter = dead_letters::DeadLetter { queue, message_id: id, body, cause, kind, command, receive_count };
        dead_letters::store(&self.engine.app.pool, letter).await.context("store the dead letter")?;
        Ok(Verdict::Delete)
    }
}
