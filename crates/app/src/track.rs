//! Which queue a message travels by, so that a flood from one client does not stand in front of everybody else's commands.
//!
//! Up to a client's share its messages go by the queue of their kind; what it sends beyond that goes by the overflow queue
//! of the kind, which workers read with slots of its own. SQS hands messages out roughly in the order in which they came: without this,
//! whoever comes after 50,000 messages waits for all of them.

use governor::clock::DefaultClock;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use holdfast_domain::ClientNo;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many messages pass between two looks for clients that have sent nothing for a while.
const FORGET_EVERY: u32 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Track {
    Share,
    Overflow,
}

impl Track {
    pub const ALL: [Self; 2] = [Self::Share, Self::Overflow];
}

/// What each client may send before it overflows, in this process.
pub struct Shares {
    limiter: RateLimiter<ClientNo, DefaultKeyedStateStore<ClientNo>, DefaultClock>,
    /// SQS is to know whose a message is.
    fair: bool,
    until_forgetting: AtomicU32,
}

impl Shares {
    pub fn new(per_s: NonZeroU32, fair: bool) -> Self {
        let limiter = RateLimiter::keyed(Quota::per_second(per_s));
        Self { limiter, fair, until_forgetting: AtomicU32::new(FORGET_EVERY) }
    }

    /// The group of this client's messages, for SQS's fair queues.
    pub fn group(&self, client: ClientNo) -> Option<String> {
        self.fair.then(|| client.0.to_string())
    }

    /// Where the next message of this client goes.
    pub fn track(&self, client: ClientNo) -> Track {
        if self.until_forgetting.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.until_forgetting.store(FORGET_EVERY, Ordering::Relaxed);
            self.limiter.retain_recent();
        }
        if self.limiter.check_key(&client).is_ok() { Track::Share } else { Track::Overflow }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_beyond_its_share_goes_by_the_overflow_queue() {
        let shares = Shares::new(NonZeroU32::new(3).expect("not zero"), false);
        let tracks = |client| [(); 4].map(|()| shares.track(ClientNo(client)));
        let expected = [Track::Share, Track::Share, Track::Share, Track::Overflow];
        assert_eq!(tracks(1), expected);
        assert_eq!(tracks(2), expected, "another's share is its own");
    }
}
