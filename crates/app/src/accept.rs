//! Acceptance: the row and its wakeup in one statement, then the 202.

use crate::batch::{Batcher, Shared};
use crate::publish::{First, Publisher};
use crate::{App, failpoint};
use chrono::{DateTime, Utc};
use holdfast_domain::{Command, CommandId, Status};
use holdfast_store::commands::{self, Accepted, Existing};
use holdfast_store::wakeups::Marked;
use holdfast_store::{Error as StoreError, Pool};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// What a 202 says.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub id: CommandId,
    pub status: Status,
    pub created_at: DateTime<Utc>,
    pub replayed: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key stands for another content.
    #[error("idempotency key was used with other content")]
    Conflict,
    /// Not promised, which is not the same as not done: a retry with the same key settles it.
    #[error("command could not be stored")]
    Unavailable(#[source] Shared),
    #[error("command could not be stored")]
    Failed(#[source] Shared),
}

/// What the statement says of one command.
#[derive(Clone, Debug)]
enum Stored {
    New(Accepted),
    Old(Existing),
}

#[derive(Clone)]
pub struct Acceptor {
    batcher: Batcher<Arc<Command>, Stored>,
    publisher: Publisher,
}

impl Acceptor {
    /// Drop every clone, then wait for `tasks`: everything accepted has then been handed to SQS, or left to the relay.
    pub fn start(app: &App, tasks: &TaskTracker) -> Self {
        let (pool, within) = (app.pool.clone(), app.config.api.publish_within_ms.get());
        let batcher = Batcher::start(move |commands| store(pool.clone(), commands, within));
        Self { batcher, publisher: Publisher::start(app, tasks) }
    }

    pub async fn accept(&self, command: Command) -> Result<Receipt, Error> {
        let command = Arc::new(command);
        let stored = self.batcher.call(Arc::clone(&command)).await.map_err(|error| match *error {
            StoreError::Unavailable(_) => Error::Unavailable(error),
            _ => Error::Failed(error),
        })?;
        match stored {
            Stored::New(Accepted { id, no, created_at, due_at }) => {
                failpoint::hit("accepted");
                let command = Arc::unwrap_or_clone(command);
                self.publisher.publish(First { command, marked: Marked { no, due_at } });
                Ok(Receipt { id, status: Status::Accepted, created_at, replayed: false })
            }
            Stored::Old(existing) if is_same(&existing, &command) => {
                let Existing { id, status, created_at, .. } = existing;
                Ok(Receipt { id, status, created_at, replayed: true })
            }
            Stored::Old(_) => Err(Error::Conflict),
        }
    }
}

/// Client, kind and key are compared although the id is computed from them: a collision must not hand one client's
/// command to another.
fn is_same(existing: &Existing, command: &Command) -> bool {
    existing.client == command.client
        && existing.kind == command.kind
        && existing.key == command.key
        && existing.fingerprint == command.fingerprint
}

async fn store(pool: Pool, commands: Arc<Vec<Arc<Command>>>, within: Duration) -> Result<Vec<Stored>, StoreError> {
    let rows: Vec<&Command> = commands.iter().map(|command| &**command).collect();
    let accepted = match commands::accept(&pool, &rows, within).await {
        // A connection that Postgres closed while it was idle. The statement can be repeated safely.
        Err(StoreError::Unavailable(_)) => commands::accept(&pool, &rows, within).await?,
        accepted => accepted?,
    };
    let mut new: HashMap<_, _> = accepted.into_iter().map(|accepted| (accepted.id, accepted)).collect();
    let old: Vec<_> = rows.iter().map(|command| command.id).filter(|id| !new.contains_key(id)).collect();
    let mut stored = HashMap::with_capacity(rows.len());
    // Twice in one batch: the first is new, the second a replay of it.
    let repeated = rows.len() > new.len() + old.len();
    if !old.is_empty() || repeated {
        let ids: Vec<_> = rows.iter().map(|command| command.id).collect();
        let existing = commands::existing(&pool, &ids).await?;
        stored.extend(existing.into_iter().map(|existing| (existing.id, existing)));
    }
    rows.iter()
        .map(|command| match new.remove(&command.id) {
            Some(accepted) => Ok(Stored::New(accepted)),
            None => stored.get(&command.id).cloned().map(Stored::Old).ok_or(StoreError::Unreadable { what: "command" }),
        })
        .collect()
}
