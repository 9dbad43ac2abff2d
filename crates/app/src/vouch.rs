//! The one place where it is decided whether what a message says, and no row, is believed. What is not believed is put among
//! the dead letters, and an operator who knows better can vouch for it.

use crate::App;
use anyhow::Context as _;
use holdfast_domain::journal::{self, Entry, Update};
use holdfast_domain::message;
use holdfast_domain::vouched::{Doubt, Mac, Unsigned, Vouched};
use holdfast_domain::{Command, ServerKey};
use holdfast_queue::Message;

/// How the cause of a letter begins that was not believed.
const NOT_BELIEVED: &str = "not believed";

impl App {
    pub(crate) fn vouched(&self, command: Command, mac: Option<Mac>) -> Result<Vouched<Command>, Doubt> {
        let unsigned = match self.config.queues.accept_without_mac {
            true => Unsigned::Examined,
            false => Unsigned::Refused,
        };
        Vouched::command(&self.server_key, command, mac, unsigned)
    }

    pub(crate) fn vouched_update(&self, update: Update, mac: Option<Mac>) -> Result<Vouched<Update>, Doubt> {
        Vouched::update(&self.server_key, update, mac)
    }

    /// Says so where it is heard, and answers the cause of the letter.
    pub(crate) fn disbelieve(&self, message: &Message, doubt: Doubt) -> String {
        let queue = &*message.queue;
        tracing::error!(
            message.id,
            queue.name = queue,
            why = %doubt,
            "message is not believed, storing it: somebody may be sending to the queues who must not"
        );
        self.metrics.carrying.disbelieved(queue, doubt.name());
        format!("{NOT_BELIEVED}: {doubt}")
    }
}

/// The same message with a MAC, as an operator wants it. `None`: it carries nothing that needs one.
pub fn vouch_for(server_key: &ServerKey, body: &str) -> anyhow::Result<Option<String>> {
    if let Ok(mut message) = serde_json::from_str::<journal::Message>(body) {
        message.data.mac = Some(match &message.data.entry {
            Entry::Command { command } => sign(server_key, command)?,
            Entry::Update { update } => Mac::of_update(server_key, update),
        });
        return Ok(Some(serde_json::to_string(&message)?));
    }
    let mut message: message::Message = serde_json::from_str(body).context("read the letter")?;
    let Some(command) = &message.data.command else { return Ok(None) };
    message.data.mac = Some(sign(server_key, command)?);
    Ok(Some(serde_json::to_string(&message)?))
}

/// Only what agrees with itself: nobody can know better than that.
fn sign(server_key: &ServerKey, command: &Command) -> anyhow::Result<Mac> {
    let examined = Vouched::command(server_key, command.clone(), None, Unsigned::Examined);
    let command = examined.context("examine the command")?.into_inner();
    Ok(Mac::of_command(server_key, &command))
}
