//! Commands that are there without a row: from the journal, from a first message whose row was lost, or from a dead letter.

use crate::accept::{self, Stored, is_same};
use crate::batch::{Batcher, Shared};
use crate::statements::persist;
use crate::{App, query};
use holdfast_domain::vouched::Vouched;
use holdfast_domain::{Command, CommandId, ServerKey};
use holdfast_store::commands::Origin;
use holdfast_store::{Pool, commands};
use std::sync::Arc;

#[derive(Clone)]
pub struct Materialiser {
    pool: Pool,
    server_key: ServerKey,
    batcher: Batcher<Arc<Command>, Stored>,
}

impl Materialiser {
    pub fn start(app: &App) -> Self {
        let pool = app.pool.clone();
        // Due at once: nobody publishes it.
        let batcher =
            Batcher::prompt(app.metrics.statements.meter("materialise"), move |commands: Arc<Vec<Arc<Command>>>| {
                let pool = pool.clone();
                // SQS would hand a message that was left to it out again only after its visibility timeout.
                let store = move || accept::store(pool.clone(), None, Arc::clone(&commands), Origin::Message);
                async move { persist(store).await.map(|(stored, _repeated)| stored) }
            });
        Self { pool: app.pool.clone(), server_key: app.server_key.clone(), batcher }
    }

    /// Writes the row if it is absent. If another content stands under the same key, what was written first stands, and this
    /// one ends as rejected, under an id of its own; its client is told.
    pub async fn command(&self, command: Vouched<Arc<Command>>) -> Result<(), Shared> {
        let command = command.into_inner();
        match self.batcher.call(Arc::clone(&command)).await? {
            Stored::New(_) => Ok(()),
            Stored::Old(existing) if is_same(&existing, &command) => Ok(()),
            Stored::Old(existing) => self.reject(&command, existing.id).await.map_err(Arc::new),
        }
    }

    async fn reject(&self, command: &Command, conflicts_with: CommandId) -> Result<(), holdfast_store::Error> {
        let Command { client, kind, key, fingerprint, body, .. } = command;
        let id = CommandId::of_rejected(&self.server_key, *client, *kind, key, fingerprint);
        tracing::warn!(command.id = %id, conflicts_with = %conflicts_with, "request rejected: its key has other content");
        let names_endpoint = query::read(*kind, body).is_ok_and(|content| content.callback_url().is_some());
        let rejected = Command { id, ..command.clone() };
        persist(|| commands::reject(&self.pool, &rejected, conflicts_with, names_endpoint)).await.map(drop)
    }
}
