//! How much each client may ask of this process, and how many keys of nobody's all of them together may try.

use crate::bucket::{Bucket, Rate, Taken};
use crate::config;
use holdfast_domain::ClientNo;
use holdfast_store::clients::Rates;
use moka::sync::Cache;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Clients whose buckets are kept. Where there are more, some begin with full ones again.
const CAPACITY: u64 = 100_000;

/// What a client has a bucket for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// By `POST`.
    Submissions,
    /// By any other method.
    Reads,
}

impl Allowance {
    pub const ALL: [Self; 2] = [Self::Submissions, Self::Reads];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Submissions => "submissions",
            Self::Reads => "reads",
        }
    }
}

/// Where a client stands after a request.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub allowance: Allowance,
    pub rate: Rate,
    pub taken: Taken,
}

#[derive(Debug, Default)]
struct Buckets {
    submissions: Bucket,
    reads: Bucket,
}

pub struct Limits {
    config: config::Limits,
    clients: Cache<ClientNo, Arc<Buckets>>,
    /// The beginning of the buckets' time.
    since: Instant,
}

impl Limits {
    pub fn new(config: &config::Limits) -> Self {
        // A bucket that is full again is as good as none.
        let idle = Duration::from_secs(u64::from(config.burst_s) + 1);
        let clients = Cache::builder().max_capacity(CAPACITY).time_to_idle(idle).build();
        Self { config: config.clone(), clients, since: Instant::now() }
    }

    /// Takes one of what this client has. `None`: it has no limit.
    pub fn take(&self, client: ClientNo, own: Rates, allowance: Allowance) -> Option<Standing> {
        let rate = self.rate(own, allowance)?;
        let buckets = self.clients.get_with(client, Arc::default);
        let bucket = match allowance {
            Allowance::Submissions => &buckets.submissions,
            Allowance::Reads => &buckets.reads,
        };
        Some(Standing { allowance, rate, taken: bucket.take(rate, self.since.elapsed()) })
    }

    /// What holds for a client without a limit of its own.
    pub fn usual(&self, allowance: Allowance) -> Option<Rate> {
        self.rate(Rates::default(), allowance)
    }

    fn rate(&self, own: Rates, allowance: Allowance) -> Option<Rate> {
        let per_s = match allowance {
            Allowance::Submissions => own.submissions_per_s.unwrap_or(self.config.submissions_per_s),
            Allowance::Reads => own.reads_per_s.unwrap_or(self.config.reads_per_s),
        };
        rate(per_s, self.config.burst_s)
    }
}

/// Keys that turned out to be nobody's. Each costs a question to Postgres, and whoever makes them up pays nothing.
pub struct Strangers {
    rate: Option<Rate>,
    bucket: Bucket,
    since: Instant,
}

impl Strangers {
    pub fn new(config: &config::Limits) -> Self {
        let rate = rate(config.unknown_keys_per_s, config.burst_s);
        Self { rate, bucket: Bucket::default(), since: Instant::now() }
    }

    /// Whether a key that is not known yet may be asked for, or for how long it may not. Until it turns out whose it is, it
    /// counts as nobody's: else all who come at once would be let in.
    pub fn admit(&self) -> Result<(), Duration> {
        let taken = self.rate.map(|rate| self.bucket.take(rate, self.since.elapsed()));
        match taken.filter(|taken| taken.refused) {
            Some(taken) => Err(taken.wait),
            None => Ok(()),
        }
    }

    /// It was somebody's, or nobody could say. Such keys cost nothing: after a start all are new.
    pub fn forgive(&self) {
        if let Some(rate) = self.rate {
            self.bucket.give_back(rate);
        }
    }
}

fn rate(per_s: u32, burst_s: u32) -> Option<Rate> {
    (per_s > 0).then_some(Rate { per_s, burst_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(submissions_per_s: u32, reads_per_s: u32) -> config::Limits {
        config::Limits { submissions_per_s, reads_per_s, burst_s: 1, unknown_keys_per_s: 1 }
    }

    #[test]
    fn each_client_has_buckets_of_its_own_and_one_for_each_use() {
        let limits = Limits::new(&limits(1, 1));
        let refused = |client, allowance| {
            let standing = limits.take(ClientNo(client), Rates::default(), allowance);
            standing.expect("a limit").taken.refused
        };
        assert!(!refused(1, Allowance::Submissions));
        assert!(refused(1, Allowance::Submissions));
        assert!(!refused(1, Allowance::Reads));
        assert!(!refused(2, Allowance::Submissions));
    }

    #[test]
    fn a_limit_of_its_own_takes_the_place_of_the_usual_one() {
        let limits = Limits::new(&limits(5, 0));
        let rates = Rates { submissions_per_s: Some(0), reads_per_s: Some(3) };
        assert!(limits.take(ClientNo(1), rates, Allowance::Submissions).is_none(), "as many as it likes");
        assert_eq!(limits.take(ClientNo(1), rates, Allowance::Reads).expect("a limit").rate.per_s, 3);
        assert!(limits.take(ClientNo(2), Rates::default(), Allowance::Reads).is_none());
        assert_eq!(limits.usual(Allowance::Submissions), Some(Rate { per_s: 5, burst_s: 1 }));
    }

    #[test]
    fn strangers_are_let_in_until_too_many_were_nobodys() {
        let strangers = Strangers::new(&limits(0, 0));
        assert!(strangers.admit().is_ok());
        assert!(strangers.admit().is_err(), "the first may be nobody's");
        strangers.forgive();
        assert!(strangers.admit().is_ok(), "it was somebody's");
        assert!(strangers.admit().is_err());
    }
}
