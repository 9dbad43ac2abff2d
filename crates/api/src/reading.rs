//! What clients read, and how much of Postgres that may keep busy: half of the connections, and of these no client more than
//! half. The rest is for accepting commands: a question that takes long must not look like an outage.

use crate::error::Problem;
use holdfast_app::config::Database;
use holdfast_app::metrics::{Metrics, Shed};
use holdfast_domain::ClientNo;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

#[derive(Debug)]
pub struct Readers {
    all: Semaphore,
    /// Of each client that was ever here.
    clients: RwLock<HashMap<ClientNo, Arc<Semaphore>>>,
    of_each: usize,
    patience: Duration,
    metrics: Arc<Metrics>,
}

/// The right to ask Postgres something for a client, until this is dropped.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    _of_all: SemaphorePermit<'a>,
    _of_client: OwnedSemaphorePermit,
}

impl Readers {
    pub fn new(config: &Database, metrics: &Arc<Metrics>) -> Self {
        let all = (config.connections as usize / 2).max(1);
        Self {
            all: Semaphore::new(all),
            clients: RwLock::default(),
            of_each: all.div_ceil(2),
            patience: config.acquire_timeout_ms.get(),
            metrics: Arc::clone(metrics),
        }
    }

    /// Waits for its turn as others do for a connection. In its client's own line first: who waits there is in nobody's way.
    pub(crate) async fn begin(&self, client: ClientNo) -> Result<Reading<'_>, Problem> {
        let turn = async {
            let of_client = self.of(client).acquire_owned().await.ok()?;
            Some(Reading { _of_all: self.all.acquire().await.ok()?, _of_client: of_client })
        };
        let reading = tokio::time::timeout(self.patience, turn).await.ok().flatten();
        reading.ok_or_else(|| {
            self.metrics.refusing.shed(Shed::Reads);
            Problem::Overloaded
        })
    }

    fn of(&self, client: ClientNo) -> Arc<Semaphore> {
        if let Some(known) = self.clients.read().unwrap_or_else(PoisonError::into_inner).get(&client) {
            return Arc::clone(known);
        }
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(clients.entry(client).or_insert_with(|| Arc::new(Semaphore::new(self.of_each))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_has_half_of_what_all_readers_have() {
        let readers = Readers::new(&Database { connections: 8, ..Database::default() }, &Metrics::new());
        // Whoever is refused has waited for it.
        let readers = Readers { patience: Duration::from_millis(10), ..readers };
        let (one, other) = (ClientNo(1), ClientNo(2));
        let mut held = Vec::new();
        for client in [one, one, other, other] {
            held.push(readers.begin(client).await.expect("a turn"));
            assert!(held.len() != 2 || matches!(readers.begin(one).await, Err(Problem::Overloaded)));
        }
        assert!(readers.begin(ClientNo(3)).await.is_err(), "half of the connections");
        held.pop();
        assert!(readers.begin(ClientNo(3)).await.is_ok());
    }
}
