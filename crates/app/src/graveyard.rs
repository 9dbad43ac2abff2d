//! The reader of the dead-letter queues: evidence for operators, and the last place where a command can be found.

use crate::engine::Engine;
use crate::statements::persist;
use anyhow::Context as _;
use holdfast_domain::cloud_event::misread;
use holdfast_domain::vouched::Vouched;
use holdfast_domain::{Command, CommandId, Kind, message};
use holdfast_queue::{Handler, Message, Slot, Verdict};
use holdfast_store::dead_letters::{self, DeadLetter};
use holdfast_store::{Error, commands, wakeups};
use std::sync::Arc;

/// The consumer's handler for the dead letters of one kind.
pub struct Graveyard {
    pub engine: Arc<Engine>,
    pub kind: Kind,
}

/// What is in a letter, as far as it is believed.
struct Read {
    cause: String,
    about: Option<CommandId>,
    /// Whether its message may nudge.
    is_believed: bool,
    command: Option<Vouched<Command>>,
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
        let Read { cause, about, is_believed, command } = self.read(message);
        let Message { queue, id, body, receive_count, .. } = message;
        let letter = || DeadLetter {
            queue,
            message_id: id,
            body,
            cause: &cause,
            kind: Some(self.kind),
            command: about,
            receive_count: *receive_count,
        };
        let pool = &self.engine.app.pool;
        persist(|| dead_letters::store(pool, letter())).await.context("store the dead letter")?;
        if let Some(id) = about.filter(|_| is_believed) {
            // Its message is here, and the relay may have meant to look much later.
            persist(|| wakeups::hasten(pool, id)).await.context("have the relay look")?;
        }
        match command {
            Some(command) => self.stand_in(command).await,
            None => Ok(()),
        }
    }

    fn read(&self, message: &Message) -> Read {
        let dead = |cause: &str| tracing::error!(message.id, queue.name = &*message.queue, cause, "dead letter");
        let event = match serde_json::from_str::<message::Message>(&message.body) {
            Ok(event) => event,
            Err(error) => {
                dead(&misread(&error));
                return Read { cause: error.to_string(), about: None, is_believed: false, command: None };
            }
        };
        let about = event.subject.parse().ok();
        let message::Wakeup { command, mac, .. } = event.data;
        match command.map(|command| self.engine.app.vouched(command, mac)).transpose() {
            Ok(command) => {
                let cause = "not handled when it was received".to_owned();
                dead(&cause);
                Read { cause, about, is_believed: true, command }
            }
            Err(doubt) => {
                let cause = self.engine.app.disbelieve(message, doubt);
                Read { cause, about, is_believed: false, command: None }
            }
        }
    }

    async fn stand_in(&self, command: Vouched<Command>) -> anyhow::Result<()> {
        let id = command.id();
        let pool = &self.engine.app.pool;
        let ids = [id];
        let known = persist(|| commands::known(pool, &ids)).await.context("look for the command")?.0;
        if !known.is_empty() {
            return Ok(());
        }
        tracing::error!(command.id = %id, "a dead letter was the only trace of a command");
        match self.engine.materialiser.command(command.shared()).await {
            // It will be refused every time. The letter is kept, and says where the command is.
            Err(error) if matches!(*error, Error::Refused(_)) => {
                tracing::error!(command.id = %id, cause = error.described(), "command cannot be written, its letter is kept");
                Ok(())
            }
            materialised => materialised.context("materialise the command"),
        }
    }
}
