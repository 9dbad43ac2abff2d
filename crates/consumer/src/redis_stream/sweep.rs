//! Takes over what was abandoned: its consumer is gone, or has left it after a failure.

use super::BATCH;
use super::commands::Abandoned;
use super::desk::Desk;
use crate::Handler;
use holdfast_queue::{Slot, backoff};
use redis::RedisResult;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks for a free slot.
const PACE: Duration = Duration::from_millis(100);

/// An entry with more deliveries than this may be one that takes its consumer down.
const UNSUSPECTED: u64 = 1;

pub(super) async fn again_and_again<H: Handler>(desk: &Arc<Desk<H>>) {
    loop {
        let began = Instant::now();
        match sweep(desk).await {
            Ok(()) => desk.consumer.calm.swept(began),
            Err(error) => {
                desk.consumer.calm.disturb();
                // Reading says it aloud.
                tracing::debug!(stream = desk.stream.names.stream, %error, "could not take over");
            }
        }
        backoff::sleep(desk.stream.names.idle / 2).await;
    }
}

/// All that lies there, once.
async fn sweep<H: Handler>(desk: &Arc<Desk<H>>) -> RedisResult<()> {
    let mut after: Option<String> = None;
    loop {
        let mut found = desk.stream.abandoned(after.as_deref(), BATCH).await?;
        let Some(last) = found.last() else { break };
        after = Some(last.id.clone());
        // What could not be renewed is abandoned only for others.
        found.retain(|one| !desk.is_in_hand(&one.id));
        for alike in found.chunk_by(|one, next| !is_suspect(desk, one) && !is_suspect(desk, next)) {
            take_over(desk, alike).await?;
        }
    }
    desk.stream.bury_the_dead().await
}

/// Whoever was in a consumer's hands when it died has a delivery more, whichever of them it died over. One that is a dead
/// letter after the next delivery must not get that one together with others.
fn is_suspect<H: Handler>(desk: &Desk<H>, one: &Abandoned) -> bool {
    one.deliveries > UNSUSPECTED || one.deliveries + 1 >= desk.stream.names.most_deliveries
}

/// Entries that nobody suspects, or one that is.
async fn take_over<H: Handler>(desk: &Arc<Desk<H>>, mut found: &[Abandoned]) -> RedisResult<()> {
    while !found.is_empty() {
        let mut alone = None;
        if is_suspect(desk, &found[0]) {
            alone = Arc::clone(&desk.alone).acquire_owned().await.ok();
        }
        let slots = some_slots(desk, found.len()).await;
        let (now, later) = found.split_at(slots.len());
        found = later;
        let ids: Vec<&str> = now.iter().map(|one| one.id.as_str()).collect();
        let claimed = desk.stream.claim(&ids).await?;
        if !claimed.deleted.is_empty() {
            desk.count_deleted(claimed.deleted.len());
        }
        for (entry, slot) in claimed.entries.into_iter().zip(slots) {
            let before = now.iter().find(|one| one.id == entry.id).map_or(0, |one| one.deliveries);
            desk.take(entry, before + 1, slot, alone.take());
        }
    }
    Ok(())
}

async fn some_slots<H: Handler>(desk: &Desk<H>, most: usize) -> Vec<Slot> {
    let slots = desk.consumer.slots.take_up_to(most);
    if !slots.is_empty() {
        return slots;
    }
    // Every slot may be held by somebody who waits for just what was abandoned.
    backoff::sleep(PACE).await;
    vec![Slot::uncounted()]
}
