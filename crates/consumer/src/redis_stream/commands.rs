//! What is asked of Redis.

use super::RedisStream;
use super::entry::Entry;
use super::link::Link;
use redis::streams::{
    StreamInfoConsumer, StreamInfoConsumersReply, StreamInfoGroupsReply, StreamPendingCountReply, StreamPendingId,
};
use redis::{Client, Cmd, RedisResult, Value, cmd};
use std::collections::HashSet;
use std::time::Duration;

/// Of every command but the one that waits.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Idle times after which a consumer that has nothing pending is forgotten. One that lives reads all the time.
const FORGOTTEN: u32 = 10;

/// In one go: of what is taken over and is not there, nobody else could say whether it was taken by another or deleted.
/// Before Redis 7, what was deleted stays pending.
const CLAIM: &str = include_str!("claim.lua");

/// In one go: what the consumer receives in between would be lost with its name.
const LEAVE: &str = include_str!("leave.lua");

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

/// What nobody has touched for long.
pub(super) struct Abandoned {
    pub(super) id: String,
    pub(super) deliveries: u64,
}

/// What became of the attempt to take some over.
pub(super) struct Claimed {
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

    /// Of what nobody has touched for long, what comes first after this id. `None`: from the beginning.
    pub(super) async fn abandoned(&self, after: Option<&str>, count: usize) -> RedisResult<Vec<Abandoned>> {
        let from = after.map_or_else(|| "-".to_owned(), |after| format!("({after}"));
        let mut command = cmd("XPENDING");
        command.arg(&self.names.stream).arg(&self.names.group).arg("IDLE").arg(self.names.idle.as_millis() as u64);
        command.arg(from).arg("+").arg(count);
        let pending: StreamPendingCountReply = self.link.query(&command).await?;
        let read = |one: StreamPendingId| Abandoned { id: one.id, deliveries: one.times_delivered as u64 };
        Ok(pending.ids.into_iter().map(read).collect())
    }

    /// Takes these over, unless somebody else has.
    pub(super) async fn claim(&self, ids: &[&str]) -> RedisResult<Claimed> {
        let mut command = self.script(CLAIM);
        command.arg(&self.names.name).arg(self.names.idle.as_millis() as u64).arg(ids);
        let (entries, deleted) = self.link.query(&command).await?;
        Ok(Claimed { entries, deleted })
    }

    /// Says that these are still worked on, which counts as no delivery. Answers those of them that are there.
    pub(super) async fn renew(&self, ids: &[String]) -> RedisResult<HashSet<String>> {
        let mut command = cmd("XCLAIM");
        command.arg(&self.names.stream).arg(&self.names.group).arg(&self.names.name).arg(0).arg(ids).arg("JUSTID");
        self.link.query(&command).await
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
        self.take_out(&self.names.name).await
    }

    /// Takes the names of those out of the group that were not heard of for much longer than it takes to take over from them.
    /// Who lives and has nothing to read may be among them, because Redis 7.0 hears of nobody who waits: with nothing pending
    /// nothing is lost, and the next entry that it gets brings its name back.
    pub(super) async fn bury_the_dead(&self) -> RedisResult<()> {
        let mut command = cmd("XINFO");
        command.arg("CONSUMERS").arg(&self.names.stream).arg(&self.names.group);
        let there: StreamInfoConsumersReply = self.link.query(&command).await?;
        let long = (self.names.idle * FORGOTTEN).as_millis();
        let is_dead =
            |one: &StreamInfoConsumer| one.name != self.names.name && one.pending == 0 && one.idle as u128 > long;
        for dead in there.consumers.into_iter().filter(is_dead) {
            self.take_out(&dead.name).await?;
        }
        Ok(())
    }

    async fn take_out(&self, name: &str) -> RedisResult<()> {
        self.link.query::<Value>(self.script(LEAVE).arg(name)).await.map(drop)
    }

    /// With the stream and the group.
    fn script(&self, text: &str) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(text).arg(1).arg(&self.names.stream).arg(&self.names.group);
        command
    }
}
