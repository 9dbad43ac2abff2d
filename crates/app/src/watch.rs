//! Waiting for a command to change: one shared poll per process over all awaited commands, not one query per request,
//! and no `NOTIFY`, which would serialise every commit.

use crate::App;
use holdfast_domain::CommandNo;
use holdfast_queue::backoff;
use holdfast_store::commands::{self, Version};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Commands asked for in one query.
const CHUNK: usize = 1_000;

#[derive(Clone)]
pub struct Watch(Arc<Shared>);

#[derive(Default)]
struct Shared {
    awaited: Mutex<HashMap<CommandNo, watch::Sender<Option<Version>>>>,
    wanted: Notify,
}

impl Watch {
    /// Polls until `stop`.
    pub fn start(app: App, stop: CancellationToken) -> Self {
        let shared = Arc::new(Shared::default());
        let polling = Arc::clone(&shared);
        tokio::spawn(async move { stop.run_until_cancelled(poll(app, polling)).await });
        Self(shared)
    }

    /// Returns as soon as the command's version is newer than `known`. Never returns if that does not happen: put
    /// a limit on it.
    pub async fn changed(&self, no: CommandNo, known: Version) {
        let mut version = self.subscribe(no);
        self.0.wanted.notify_one();
        let is_newer = |version: &Option<Version>| version.is_some_and(|version| version.is_newer_than(known));
        if version.wait_for(is_newer).await.is_err() {
            // The poll has ended with the process.
            std::future::pending::<()>().await;
        }
    }

    fn subscribe(&self, no: CommandNo) -> watch::Receiver<Option<Version>> {
        let mut awaited = self.0.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        awaited.entry(no).or_insert_with(|| watch::Sender::new(None)).subscribe()
    }
}

impl Shared {
    /// Forgets commands that nobody waits for any more.
    fn awaited(&self) -> Vec<CommandNo> {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        awaited.retain(|_, version| version.receiver_count() > 0);
        awaited.keys().copied().collect()
    }

    fn tell(&self, versions: Vec<(CommandNo, Version)>) {
        let awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        for (no, version) in versions {
            if let Some(sender) = awaited.get(&no) {
                sender.send_if_modified(|known| known.replace(version) != Some(version));
            }
        }
    }
}

async fn poll(app: App, shared: Arc<Shared>) {
    let interval = app.config.api.wait_poll_ms.get();
    loop {
        let awaited = shared.awaited();
        if awaited.is_empty() {
            shared.wanted.notified().await;
            continue;
        }
        for chunk in awaited.chunks(CHUNK) {
            match commands::versions(&app.pool, chunk).await {
                Ok(versions) => shared.tell(versions),
                Err(error) => tracing::debug!(%error, "could not read awaited commands"),
            }
        }
        backoff::sleep(interval).await;
    }
}
