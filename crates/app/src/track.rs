//! Which queue a message travels by, so that a flood from one client does not stand in front of everybody else's commands.
//!
//! Up to a client's share its messages go by the queue of their kind; what it sends beyond that goes by the overflow queue
//! of the kind, which workers read with slots of its own. SQS hands messages out roughly in the order in which they came:
//! without this, whoever comes after 50,000 messages waits for all of them. What overflows counts half, so that who keeps
//! sending twice the share goes by the overflow queue alone: a part of a flood, however small, would keep others waiting
//! for company in batches.

use crate::bucket::{Bucket, Rate};
use holdfast_domain::ClientNo;
use moka::sync::Cache;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Clients whose buckets are kept. Where there are more, some begin with full ones again.
const CAPACITY: u64 = 100_000;

/// A bucket that is full again is as good as none. That of a flood is after two seconds.
const IDLE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Track {
    Share,
    Overflow,
}

impl Track {
    pub const ALL: [Self; 2] = [Self::Share, Self::Overflow];
}

/// One for each track: what a flood waits for is nothing that others wait for.
pub struct PerTrack<T> {
    share: T,
    overflow: T,
}

impl<T> PerTrack<T> {
    pub fn new(make: impl Fn(Track) -> T) -> Self {
        Self { share: make(Track::Share), overflow: make(Track::Overflow) }
    }

    pub const fn on(&self, track: Track) -> &T {
        match track {
            Track::Share => &self.share,
            Track::Overflow => &self.overflow,
        }
    }
}

/// What each client may send before it overflows, in this process.
pub struct Shares {
    rate: Rate,
    buckets: Cache<ClientNo, Arc<Bucket>>,
    /// The beginning of the buckets' time.
    since: Instant,
    /// SQS is to know whose a message is.
    fair: bool,
}

impl Shares {
    pub fn new(per_s: NonZeroU32, fair: bool) -> Self {
        let buckets = Cache::builder().max_capacity(CAPACITY).time_to_idle(IDLE).build();
        Self { rate: Rate { per_s: per_s.get(), burst_s: 1 }, buckets, since: Instant::now(), fair }
    }

    /// The group of this client's messages, for SQS's fair queues.
    pub fn group(&self, client: ClientNo) -> Option<String> {
        self.fair.then(|| client.0.to_string())
    }

    /// Where the first message of the next command of this client goes.
    pub fn first(&self, client: ClientNo) -> Track {
        let (bucket, now) = (self.bucket(client), self.since.elapsed());
        if !bucket.take(self.rate, now).refused {
            return Track::Share;
        }
        bucket.owe_half(self.rate, now);
        Track::Overflow
    }

    /// Whether this client has sent all of its share.
    pub fn is_beyond(&self, client: ClientNo) -> bool {
        !self.bucket(client).has_one(self.rate, self.since.elapsed())
    }

    /// Where one more message about a command goes that was sent long ago: many may come at once.
    pub fn again(&self, client: ClientNo) -> Track {
        if self.bucket(client).take(self.rate, self.since.elapsed()).refused { Track::Overflow } else { Track::Share }
    }

    /// Where what is told about a command of this client goes. That is not what the client sends.
    pub fn nudge(&self, client: ClientNo) -> Track {
        let track = self.again(client);
        if track == Track::Share {
            self.bucket(client).give_back(self.rate);
        }
        track
    }

    fn bucket(&self, client: ClientNo) -> Arc<Bucket> {
        self.buckets.get_with(client, Arc::default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_beyond_its_share_goes_by_the_overflow_queue() {
        let shares = Shares::new(NonZeroU32::new(3).expect("not zero"), false);
        let tracks = |client| [(); 4].map(|()| shares.first(ClientNo(client)));
        let expected = [Track::Share, Track::Share, Track::Share, Track::Overflow];
        assert!(!shares.is_beyond(ClientNo(1)));
        assert_eq!(tracks(1), expected);
        assert!(shares.is_beyond(ClientNo(1)));
        for _ in 0..4 {
            assert_eq!(shares.nudge(ClientNo(2)), Track::Share, "nobody sends that");
        }
        assert_eq!(tracks(2), expected, "another's share is its own");
        assert_eq!(shares.nudge(ClientNo(2)), Track::Overflow);
    }
}
