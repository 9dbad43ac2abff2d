//! When API keys were last used, for whoever wants to know whether one is still needed. To about a minute, and never on a
//! request's own time: what cannot be written is forgotten until the key is used again. As often, all keys that are known here
//! are looked at again.

use crate::keys::Keys;
use holdfast_queue::backoff;
use holdfast_store::{Pool, api_keys};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Keys in one statement.
const CHUNK: usize = 1_000;

/// Writes every so often, and once more when it is to stop.
pub async fn write_down(keys: Keys, pool: Pool, every: Duration, stop: CancellationToken) {
    while stop.run_until_cancelled(backoff::sleep(every)).await.is_some() {
        write(&keys, &pool, every).await;
        if let Err(error) = keys.review().await {
            tracing::debug!(%error, "could not look at the known api keys again");
        }
    }
    write(&keys, &pool, every).await;
}

async fn write(keys: &Keys, pool: &Pool, every: Duration) {
    for chunk in keys.take_used().chunks(CHUNK) {
        let key_ids: Vec<_> = chunk.iter().map(|(key_id, _)| (**key_id).clone()).collect();
        // Another process may have seen them too.
        if let Err(error) = api_keys::mark_used(pool, &key_ids, every).await {
            tracing::debug!(%error, "could not write down which api keys were used");
            chunk.iter().for_each(|(_, used)| used.store(true, Ordering::Relaxed));
        }
    }
}
