//! A bucket that is refilled at a steady rate, as GCRA has it: all that is kept of it is when it will be full again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// How fast a bucket is refilled, and how much goes into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Not zero, and no more than there are nanoseconds in a second.
    pub per_s: u32,
    /// For how many seconds what was not used is kept. Not zero.
    pub burst_s: u32,
}

/// What came of a request for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// None was there.
    pub refused: bool,
    /// How many are left.
    pub left: u64,
    /// Until the bucket is full or, where it is empty, until there is one again.
    pub wait: Duration,
}

/// Times are those of one monotonic clock, in nanoseconds from a beginning of its own. No lock: everybody's requests under
/// one API key meet here.
#[derive(Debug, Default)]
pub struct Bucket {
    full_at: AtomicU64,
}

impl Rate {
    /// What a full bucket holds.
    pub const fn burst(self) -> u64 {
        self.per_s as u64 * self.burst_s as u64
    }

    /// Until one more is there.
    const fn step(self) -> u64 {
        SECOND / self.per_s as u64
    }

    /// Until an empty bucket is full.
    const fn whole(self) -> u64 {
        self.step() * self.burst()
    }
}

impl Bucket {
    /// Takes one, if there is one.
    pub fn take(&self, rate: Rate, now: Duration) -> Taken {
        let (now, step, whole) = (now.as_nanos() as u64, rate.step(), rate.whole());
        let with_one_less = |full_at: u64| full_at.max(now) + step;
        let fits = |full_at| (full_at - now <= whole).then_some(full_at);
        let taken =
            self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| fits(with_one_less(full_at)));
        match taken.map(with_one_less) {
            Ok(full_at) => {
                let missing = full_at - now;
                Taken { refused: false, left: (whole - missing) / step, wait: Duration::from_nanos(missing) }
            }
            Err(full_at) => {
                let wait = with_one_less(full_at) - now - whole;
                Taken { refused: true, left: 0, wait: Duration::from_nanos(wait) }
            }
        }
    }

    /// Whether there is one to take.
    pub fn has_one(&self, rate: Rate, now: Duration) -> bool {
        let now = now.as_nanos() as u64;
        self.full_at.load(Ordering::Relaxed).max(now) + rate.step() - now <= rate.whole()
    }

    /// Counts half of one that was refused, as a debt that is paid before anything is there again; never more of it than a
    /// full bucket. Who keeps asking for twice the rate gets nothing any more.
    pub fn owe_half(&self, rate: Rate, now: Duration) {
        let now = now.as_nanos() as u64;
        let deepest = now + 2 * rate.whole();
        let owing = |full_at: u64| Some((full_at.max(now) + rate.step() / 2).min(deepest).max(full_at));
        // It cannot fail: there is always another value.
        self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, owing).ok();
    }

    /// Gives back one that was taken.
    pub fn give_back(&self, rate: Rate) {
        let earlier = |full_at: u64| Some(full_at.saturating_sub(rate.step()));
        // It cannot fail: there is always another value.
        self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earlier).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: Rate = Rate { per_s: 10, burst_s: 2 };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_is_let_through_and_then_no_more_than_the_rate() {
        let bucket = Bucket::default();
        let left: Vec<_> = (0..20).map(|_| bucket.take(RATE, ms(5))).collect();
        assert!(left.iter().all(|taken| !taken.refused));
        assert_eq!(left.iter().map(|taken| taken.left).collect::<Vec<_>>(), (0..20).rev().collect::<Vec<_>>());
        assert_eq!(left[19].wait, ms(2_000), "until it is full");
        assert_eq!([5, 104, 105].map(|at| bucket.has_one(RATE, ms(at))), [false, false, true]);
        let refused = Taken { refused: true, left: 0, wait: ms(100) };
        assert_eq!(bucket.take(RATE, ms(5)), refused);
        assert_eq!(bucket.take(RATE, ms(55)), Taken { wait: ms(50), ..refused }, "a refusal costs nothing");
        assert!(!bucket.take(RATE, ms(105)).refused);
        assert!(bucket.take(RATE, ms(105)).refused);
    }

    #[test]
    fn what_is_not_used_is_kept_for_so_long_and_no_longer() {
        let bucket = Bucket::default();
        assert_eq!(bucket.take(RATE, ms(0)).left, 19);
        assert_eq!(bucket.take(RATE, ms(3_600_000)).left, 19);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let bucket = Bucket::default();
        while !bucket.take(RATE, ms(0)).refused {}
        bucket.give_back(RATE);
        assert!(!bucket.take(RATE, ms(0)).refused);
        assert!(bucket.take(RATE, ms(0)).refused);
    }

    /// How many of 1000 requests get through, of those that come so many times as fast as the rate.
    fn pass_of_a_thousand(times: u32) -> usize {
        let bucket = Bucket::default();
        let pass = |n: u32| {
            let now = ms(100) * n / times;
            let refused = bucket.take(RATE, now).refused;
            if refused {
                bucket.owe_half(RATE, now);
            }
            !refused
        };
        (0..1_000).filter(|n| pass(*n)).count()
    }

    #[test]
    fn who_owes_for_what_was_refused_gets_little_and_who_asks_for_twice_the_rate_nothing() {
        assert_eq!(pass_of_a_thousand(1), 1_000);
        let burst = RATE.burst() as usize;
        for times in [2, 3, 50] {
            assert!(pass_of_a_thousand(times) <= 2 * burst, "{times}: {}", pass_of_a_thousand(times));
        }
    }

    #[test]
    fn a_debt_has_a_bottom() {
        let bucket = Bucket::default();
        while !bucket.take(RATE, ms(0)).refused {}
        for _ in 0..1_000 {
            bucket.owe_half(RATE, ms(0));
        }
        assert!(bucket.take(RATE, ms(2_000)).refused);
        assert!(!bucket.take(RATE, ms(2_100)).refused, "what a full bucket holds has come in");
    }

    proptest! {
        /// Whenever requests come: never more than the burst and what the rate adds.
        #[test]
        fn the_limit_holds(per_s in 1_u32..2_000_000, burst_s in 1_u32..100, gaps in prop::collection::vec(0_u64..5_000_000_000, 1..300)) {
            let (rate, bucket, mut now, mut passed) = (Rate { per_s, burst_s }, Bucket::default(), 0, 0);
            for gap in gaps {
                now += gap;
                passed += u64::from(!bucket.take(rate, Duration::from_nanos(now)).refused);
                prop_assert!(passed <= rate.burst() + now / rate.step() + 1);
            }
        }
    }
}
