//! A Redis stream as a source, through a consumer group.

mod commands;
mod desk;
mod entry;
mod link;
mod sweep;

use crate::calm::Calm;
use crate::{Consumer, Handler, Unfit};
use commands::Stream;
use desk::Desk;
use holdfast_queue::{Backoff, Slot, backoff};
use redis::RedisResult;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Entries that are asked for at once.
const BATCH: usize = 64;

/// How often it is asked how much lies there.
const WATCH: Duration = Duration::from_secs(5);

/// Entries are received once by a group, stay pending until they are acknowledged, and are taken over from consumers that
/// are gone. Needs Redis 6.2 or newer; from 7.0 on it tells lag, and what was deleted while it was pending.
#[derive(Clone)]
pub struct RedisStream {
    /// `redis://user:password@host:port/database`.
    pub url: String,
    pub stream: String,
    /// What one service calls itself, in all of its processes. Created where it is missing, at the stream's beginning.
    pub group: String,
    /// This process. No other one may have that name at the same time.
    pub name: String,
    /// The stream of dead letters, of this group alone: the entries as they were, with `reason`, `original-id`, `deliveries` and `group`.
    pub dead_letters: String,
    /// What was not touched for so long is taken over: its consumer is gone, or has given it back after a failure.
    pub idle: Duration,
    /// What was delivered so often becomes a dead letter. A consumer that dies over an event, or is killed in the middle of
    /// it, costs one delivery. From its third delivery on (of two, from its second) an event is handled alone among those
    /// that were taken over: none dies with another.
    pub most_deliveries: u64,
    /// How long one read waits for entries. A stop takes as long.
    pub wait: Duration,
}

/// Without the URL, which may hold a password.
impl fmt::Debug for RedisStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, group, name, .. } = self;
        f.debug_struct("RedisStream").field("stream", stream).field("group", group).field("name", name).finish()
    }
}

impl RedisStream {
    /// Under a name that is drawn.
    pub fn new(url: &str, stream: &str, group: &str) -> Self {
        Self {
            url: url.to_owned(),
            stream: stream.to_owned(),
            group: group.to_owned(),
            name: format!("{group}-{:016x}", fastrand::u64(..)),
            dead_letters: format!("{stream}:dead:{group}"),
            idle: Duration::from_secs(30),
            most_deliveries: 5,
            wait: Duration::from_secs(1),
        }
    }

    /// Consumes until `stop`, and lets what is under way end. Redis need not be there yet, and may go away at any time.
    ///
    /// # Errors
    ///
    /// Where the URL is none, or the consumer's patience is shorter than `most_deliveries` and `idle` need.
    pub async fn run<H: Handler>(self, consumer: Consumer<H>, stop: CancellationToken) -> Result<(), Unfit> {
        consumer.settings.suit(self.most_deliveries, self.idle)?;
        let consumer = consumer.for_a_source(Calm::of_a_stream(self.idle * 2));
        let desk = Arc::new(Desk::new(Stream::open(self)?, consumer, stop.clone()));
        let reading = async {
            read(&desk).await;
            desk.tasks.close();
        };
        tokio::join!(
            reading,
            stop.run_until_cancelled(sweep::again_and_again(&desk)),
            stop.run_until_cancelled(watch(&desk)),
            renew_until_done(&desk),
        );
        if let Err(error) = desk.stream.leave().await {
            tracing::warn!(%error, "could not take this consumer's name out of its group");
        }
        Ok(())
    }
}

/// A read under way at the stop is waited for: what it brings would be pending, and in nobody's hands.
async fn read<H: Handler>(desk: &Arc<Desk<H>>) {
    let stop = &desk.stop;
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    let mut is_lost = true;
    while let Some(slots) = stop.run_until_cancelled(desk.consumer.slots.acquire_up_to(BATCH)).await {
        if stop.is_cancelled() {
            return;
        }
        match read_once(desk, slots, is_lost).await {
            Ok(()) => {
                is_lost = false;
                backoff.reset();
            }
            Err(error) => {
                // Redis is away, or was flushed and has no group any more.
                is_lost = true;
                desk.consumer.calm.disturb();
                tracing::warn!(stream = desk.stream.names.stream, %error, "could not read");
                stop.run_until_cancelled(backoff.wait()).await;
            }
        }
    }
}

async fn read_once<H: Handler>(desk: &Arc<Desk<H>>, slots: Vec<Slot>, is_lost: bool) -> RedisResult<()> {
    if is_lost {
        desk.stream.create_group().await?;
    }
    let entries = desk.stream.read(slots.len()).await?;
    entries.into_iter().zip(slots).for_each(|(entry, slot)| desk.take(entry, 1, slot, None));
    Ok(())
}

/// Keeps others from taking over what is in hand, until there is nothing in hand any more.
async fn renew_until_done<H: Handler>(desk: &Arc<Desk<H>>) {
    let renewing = async {
        loop {
            backoff::sleep(desk.stream.names.idle / 3).await;
            for ids in desk.ids_in_hand().chunks(100) {
                match desk.stream.renew(ids).await {
                    Ok(there) => desk.mark_deleted(ids.iter().filter(|id| !there.contains(*id))),
                    Err(error) => {
                        desk.consumer.calm.disturb();
                        tracing::debug!(%error, "could not renew what is in hand");
                    }
                }
            }
        }
    };
    tokio::select! {
        () = desk.tasks.wait() => {}
        () = renewing => {}
    }
}

async fn watch<H: Handler>(desk: &Arc<Desk<H>>) {
    loop {
        if let Ok(standing) = desk.stream.standing().await {
            if let Some(lag) = standing.lag {
                desk.metrics.set_lag(lag);
            }
            desk.metrics.set_pending(standing.pending);
            desk.metrics.set_dead_letters(standing.dead_letters);
            desk.metrics.looked();
        }
        backoff::sleep(WATCH).await;
    }
}
