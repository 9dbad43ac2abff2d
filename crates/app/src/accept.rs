//! Acceptance: the row and its wakeup in one statement, then the 202. While Postgres is down the journal queue takes the
//! whole command.

use crate::batch::{Batcher, Shared};
use crate::journal::{Journal, NotTaken};
use crate::metrics::{Metrics, Shed};
use crate::outage::Outage;
use crate::publish::Publisher;
use crate::{App, clock, failpoint};
use chrono::{DateTime, Utc};
use holdfast_domain::journal::Entry;
use holdfast_domain::{Command, CommandId, Status, Tombstone};
use holdfast_store::commands::{self, Accepted, Existing, Origin};
use holdfast_store::wakeups::hasten;
use holdfast_store::{Error as StoreError, Pool};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

/// A statement that fails sooner than this has met a connection that was closed, not a server that hangs.
const AT_ONCE: Duration = Duration::from_millis(100);

/// What a 202 says.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub id: CommandId,
    pub status: Status,
    pub created_at: DateTime<Utc>,
    pub replayed: bool,
    pub accepted_by: AcceptedBy,
}

/// What a 202 rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptedBy {
    Database,
    Queue,
}

impl AcceptedBy {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Queue => "queue",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key stands for another content.
    #[error("idempotency key was used with other content")]
    Conflict,
    /// It was carried out once, long ago, and never will be again.
    #[error("the command is archived")]
    Archived(Tombstone),
    /// Not promised, which is not the same as not done: a retry with the same key settles it.
    #[error("neither postgres nor the journal took the command")]
    Unavailable(#[source] NotTaken),
    /// Not even tried: others who came before have waited too long already.
    #[error("too many commands wait for postgres")]
    Overloaded,
    #[error("command could not be stored")]
    Failed(#[source] Shared),
}

/// What the statement says of one command.
#[derive(Clone)]
pub(crate) enum Stored {
    New(Accepted),
    Old(Existing),
}

#[derive(Clone)]
pub struct Acceptor {
    batcher: Batcher<Arc<Command>, Stored>,
    pool: Pool,
    journal: Journal,
    outage: Outage,
    timeout: Duration,
    /// Where commands wait for their statement as long as this, further ones are turned away. Else more and more would wait,
    /// all of them until their time is over, and Postgres would be busy with what nobody waits for any more.
    patience: Duration,
    metrics: Arc<Metrics>,
}

impl Acceptor {
    /// Drop every clone, then wait for `tasks`: everything accepted has then been handed to SQS, or left to the relay.
    pub fn start(app: &App, journal: Journal, outage: Outage, tasks: &TaskTracker) -> Self {
        let config = &app.config.api;
        let (timeout, publish_within) = (config.accept_timeout_ms.get(), config.publish_within_ms.get());
        let pool = app.pool.within(timeout);
        let publisher = Publisher::start(app, tasks);
        let accepting = pool.clone();
        let batcher =
            Batcher::prompt(app.metrics.statements.meter("accept"), move |commands: Arc<Vec<Arc<Command>>>| {
                let origin = publisher.origin(&commands, publish_within);
                store(accepting.clone(), Some(publisher.clone()), commands, origin)
            });
        Self { batcher, pool, journal, outage, timeout, patience: timeout / 2, metrics: Arc::clone(&app.metrics) }
    }

    /// By Postgres if it answers in time, else by the journal. Then the row may be there all the same: whoever reads the
    /// journal finds it.
    pub async fn accept(&self, command: Command) -> Result<Receipt, Error> {
        let kind = command.kind;
        let accepted = self.by_anybody(command).await;
        self.metrics.accepting.submitted(kind, &accepted);
        accepted
    }

    async fn by_anybody(&self, command: Command) -> Result<Receipt, Error> {
        let command = Arc::new(command);
        if !self.outage.is_on() {
            if self.batcher.is_behind(self.patience) {
                self.metrics.refusing.shed(Shed::Queue);
                return Err(Error::Overloaded);
            }
            match tokio::time::timeout(self.timeout, self.batcher.call(Arc::clone(&command))).await {
                Ok(Ok(stored)) => {
                    self.outage.wrote();
                    return answer(&command, stored);
                }
                Ok(Err(error)) if !error.is_passing() => return Err(Error::Failed(error)),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "postgres did not take a command");
                    if !matches!(*error, StoreError::Locked(_)) {
                        self.outage.report();
                    }
                }
                Err(_elapsed) => self.outage.report(),
            }
        }
        self.by_queue(Arc::unwrap_or_clone(command)).await
    }

    /// What stands under this command's key, if that is this very command; nothing is written. `None`: it was never accepted.
    pub async fn repeated(&self, command: &Command) -> Result<Option<Receipt>, Error> {
        if self.outage.is_on() {
            return Err(Error::Unavailable(NotTaken));
        }
        let ids = [command.id];
        let existing = match tokio::time::timeout(self.timeout, commands::existing(&self.pool, &ids)).await {
            Ok(Ok(existing)) => existing.into_iter().next(),
            Ok(Err(error)) if !error.is_passing() => return Err(Error::Failed(Arc::new(error))),
            // It cannot be said now, and a refusal would be for ever.
            Ok(Err(_)) | Err(_) => return Err(Error::Unavailable(NotTaken)),
        };
        match existing.filter(|existing| is_same(existing, command)) {
            Some(existing) => {
                let replayed = replayed(existing);
                self.metrics.accepting.submitted(command.kind, &replayed);
                replayed.map(Some)
            }
            None => Ok(None),
        }
    }

    async fn by_queue(&self, command: Command) -> Result<Receipt, Error> {
        let (id, created_at) = (command.id, clock::while_postgres_is_down());
        let command = Command { accepted_at: Some(created_at), ..command };
        let outage = self.outage.lasts().unwrap_or_default();
        self.journal.write(Entry::Command { command }, outage).await.map_err(Error::Unavailable)?;
        Ok(Receipt { id, status: Status::Accepted, created_at, replayed: false, accepted_by: AcceptedBy::Queue })
    }
}

/// To whoever has submitted it.
fn answer(command: &Command, stored: Stored) -> Result<Receipt, Error> {
    match stored {
        Stored::New(Accepted { id, created_at, .. }) => {
            Ok(Receipt { id, status: Status::Accepted, created_at, replayed: false, accepted_by: AcceptedBy::Database })
        }
        Stored::Old(existing) if is_same(&existing, command) => replayed(existing),
        Stored::Old(_) => Err(Error::Conflict),
    }
}

fn replayed(existing: Existing) -> Result<Receipt, Error> {
    match existing {
        Existing { tombstone: Some(tombstone), .. } => Err(Error::Archived(tombstone)),
        Existing { id, status, created_at, .. } => {
            Ok(Receipt { id, status, created_at, replayed: true, accepted_by: AcceptedBy::Database })
        }
    }
}

/// Client, kind and key are compared although the id is computed from them: a collision must not hand one client's
/// command to another.
pub(crate) fn is_same(existing: &Existing, command: &Command) -> bool {
    existing.client == command.client
        && existing.kind == command.kind
        && existing.key == command.key
        && existing.fingerprint == command.fingerprint
}

/// Writes down what is not there yet. It is published, if by anybody, whether or not its caller still waits for the answer,
/// and before anything else can fail.
pub(crate) async fn store(
    pool: Pool,
    publisher: Option<Publisher>,
    commands: Arc<Vec<Arc<Command>>>,
    origin: Origin,
) -> Result<Vec<Stored>, StoreError> {
    let rows: Vec<&Command> = commands.iter().map(|command| &**command).collect();
    let started = Instant::now();
    let (accepted, repeated) = match commands::accept(&pool, &rows, origin).await {
        // A connection that Postgres closed while it was idle: that shows at once. The statement can be repeated safely.
        Err(StoreError::Unavailable(_)) if started.elapsed() < AT_ONCE => {
            (commands::accept(&pool, &rows, origin).await?, true)
        }
        accepted => (accepted?, false),
    };
    let mut accepted: HashMap<_, _> = accepted.into_iter().map(|accepted| (accepted.id, accepted)).collect();
    // Twice in one batch: the first is new, the second a replay of it.
    let new: Vec<Option<Accepted>> = rows.iter().map(|command| accepted.remove(&command.id)).collect();
    for (command, accepted) in commands.iter().zip(&new) {
        if let (Some(accepted), Some(publisher)) = (accepted, &publisher) {
            failpoint::hit("accepted");
            publisher.publish(Arc::clone(command), accepted);
        }
    }
    let old: Vec<_> = rows.iter().zip(&new).filter(|(_, new)| new.is_none()).map(|(command, _)| command.id).collect();
    if repeated {
        // Perhaps it was the answer alone that was lost: nobody has published these.
        for id in &old {
            if let Err(error) = hasten(&pool, *id).await {
                tracing::debug!(%error, "a wakeup that is perhaps not published is due late");
            }
        }
    }
    let existing = if old.is_empty() { Vec::new() } else { commands::existing(&pool, &old).await? };
    let existing: HashMap<_, _> = existing.into_iter().map(|existing| (existing.id, existing)).collect();
    let stored = |(command, new): (&&Command, Option<Accepted>)| match new {
        Some(accepted) => Ok(Stored::New(accepted)),
        None => existing.get(&command.id).cloned().map(Stored::Old).ok_or(StoreError::Unreadable { what: "command" }),
    };
    rows.iter().zip(new).map(stored).collect()
}
