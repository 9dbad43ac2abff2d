//! What is asked of Redis.

use super::RedisStream;
use super::entry::Entry;
use super::link::Link;
use redis::streams::{StreamInfoGroupsReply, StreamPendingCountReply};
use redis::{Client, RedisResult, Value, cmd};
use std::collections::HashMap;
use std::time::Duration;

/// Of every command but the one that waits.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where every scan begins, and ends.
pub(super) const START: &str = "0-0";

/// A stream through the eyes of one consumer of a group.
pub(super) struct Stream {
    pub(super) names: RedisStream,
    /// The command that waits has a connection of its own: others would wait behind it.
    reading: Link,
    link: Link,
}

/// What lies there.
pub(super) struct Standing {
    /// `None`: Redis does not know, as after entries were deleted.
    pub(super) lag: Option<u64>,
    pub(super) pending: u64,
    pub(super) dead_letters: u64,
}

/// A part of what nobody has touched for long.
pub(super) struct Claimed {
    /// From where to go on.
    pub(super) next: String,
    pub(super) entries: Vec<Entry>,
    /// Of entries that are no more.
    pub(super) deleted: Vec<String>,
}

impl Stream {
    pub(super) fn open(names: RedisStream) -> RedisResult<Self> {
        let client = Client::open(names.url.as_str())?;
        Ok(Self { reading: Link::new(&client, names.wait + TIMEOUT), link: Link::new(&client, TIMEOUT), names })
    }

    /// From the beginning of the stream: what was there before the group was is not lost to it.
    pub(super) async fn create_group(&self) -> RedisResult<()> {
        let mut command = cmd("XGROUP");
        command.arg("CREATE").arg(&self.names.stream).arg(&self.names.group).arg("0").arg("MKSTREAM");
        match self.link.query::<Value>(&command).await {
            Err(error) if error.code() != Some("BUSYGROUP") => Err(error),
            _there => Ok(()),
        }
    }

    /// Waits for what nobody of the group has received.
    pub(super) async fn read(&self, count: usize) -> RedisResult<Vec<Entry>> {
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(&self.names.group).arg(&self.names.name).arg("COUNT").arg(count);
        command.arg("BLOCK").arg(self.names.wait.as_millis() as u64).arg("STREAMS").arg(&self.names.stream).arg(">");
        Ok(Entry::all_of_reading(self.reading.query(&command).await?)?)
    }

    pub(super) async fn acknowledge(&self, id: &str) -> RedisResult<()> {
        let mut command = cmd("XACK");
        command.arg(&self.names.stream).arg(&self.names.group).arg(id);
        self.link.query::<Value>(&command).await.map(drop)
    }

    /// Takes over what nobody has touched for long, from `cursor` on.
    pub(super) async fn claim(&self, cursor: &str, count: usize) -> RedisResult<Claimed> {
        let mut command = cmd("XAUTOCLAIM");
        command.arg(&self.names.stream).arg(&self.names.group).arg(&self.names.name);
        command.arg(self.names.idle.as_millis() as u64).arg(cursor).arg("COUNT").arg(count);
        // Before Redis 7 there is no third part.
        let mut parts: Vec<Value> = self.link.query(&command).await?;
        let deleted = if parts.len() > 2 { redis::from_redis_value(parts.remove(2))? } else { Vec::new() };
        let entries: Vec<Option<Entry>> = redis::from_redis_value(parts.remove(1))?;
        let next = redis::from_redis_value(parts.remove(0))?;
        Ok(Claimed { next, entries: entries.into_iter().flatten().collect(), deleted })
    }

    /// How often each of ours was delivered, between two ids.
    pub(super) async fn deliveries(&self, first: &str, last: &str) -> RedisResult<HashMap<String, u64>> {
        const MANY: usize = 10_000;
        let mut command = cmd("XPENDING");
        command.arg(&self.names.stream).arg(&self.names.group).arg(first).arg(last).arg(MANY).arg(&self.names.name);
        let pending: StreamPendingCountReply = self.link.query(&command).await?;
        Ok(pending.ids.into_iter().map(|pending| (pending.id, pending.times_delivered as u64)).collect())
    }

    /// Says that these are still worked on. Counts as no delivery.
    pub(super) async fn renew(&self, ids: &[String]) -> RedisResult<()> {
        let mut command = cmd("XCLAIM");
        command.arg(&self.names.stream).arg(&self.names.group).arg(&self.names.name).arg(0).arg(ids).arg("JUSTID");
        self.link.query::<Value>(&command).await.map(drop)
    }

    /// The entry as it is, and beside it what is known of it.
    pub(super) async fn bury(&self, entry: &Entry, reason: &str, deliveries: u64) -> RedisResult<()> {
        let mut command = cmd("XADD");
        command.arg(&self.names.dead_letters).arg("*");
        for (name, value) in &entry.fields {
            command.arg(name).arg(value);
        }
        command.arg("reason").arg(reason).arg("original-id").arg(&entry.id);
        command.arg("deliveries").arg(deliveries).arg("group").arg(&self.names.group);
        self.link.query::<Value>(&command).await.map(drop)
    }

    pub(super) async fn standing(&self) -> RedisResult<Standing> {
        let groups: StreamInfoGroupsReply = self.link.query(cmd("XINFO").arg("GROUPS").arg(&self.names.stream)).await?;
        let ours = groups.groups.into_iter().find(|group| group.name == self.names.group);
        let dead_letters = self.link.query(cmd("XLEN").arg(&self.names.dead_letters)).await?;
        Ok(Standing {
            lag: ours.as_ref().and_then(|group| group.lag).map(|lag| lag as u64),
            pending: ours.map_or(0, |group| group.pending as u64),
            dead_letters,
        })
    }

    /// Takes this consumer's name out of the group. With something pending it stays: that would be lost with it.
    pub(super) async fn leave(&self) -> RedisResult<()> {
        let pending = self.deliveries("-", "+").await?;
        if pending.is_empty() {
            let mut command = cmd("XGROUP");
            command.arg("DELCONSUMER").arg(&self.names.stream).arg(&self.names.group).arg(&self.names.name);
            self.link.query::<Value>(&command).await?;
        }
        Ok(())
    }
}
