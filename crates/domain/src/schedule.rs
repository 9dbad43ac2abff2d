//! When to try again. Pure arithmetic: randomness comes in as an argument.

use serde::Deserialize;
use std::time::Duration;

/// How often a partner is asked for a status: at once, after `first`, after `step`, then doubling up to `cap`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Polling {
    pub first: Duration,
    pub step: Duration,
    pub cap: Duration,
}

impl Polling {
    /// The wait before the next request when `polls` of them have not brought a final status.
    pub fn wait_after(&self, polls: u16) -> Duration {
        match polls {
            0 => Duration::ZERO,
            1 => self.first,
            n => self.step.saturating_mul(2_u32.saturating_pow(u32::from(n) - 2)).min(self.cap),
        }
    }
}

/// ± 20 % around `base`, so that what failed together does not come back together. `random` is uniform.
pub fn jittered(base: Duration, random: u32) -> Duration {
    let thousandths = 800 + random % 401;
    base.saturating_mul(thousandths) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn polling_starts_at_once_and_doubles_to_its_cap() {
        let ms = Duration::from_millis;
        let polling = Polling { first: ms(200), step: ms(10), cap: ms(60_000) };
        let waits: Vec<_> = (0..8).map(|polls| polling.wait_after(polls).as_millis()).collect();
        assert_eq!(waits, [0, 200, 10, 20, 40, 80, 160, 320]);
        assert_eq!(polling.wait_after(u16::MAX), ms(60_000));
    }

    fn duration(up_to_ms: u64) -> impl Strategy<Value = Duration> {
        (0..=up_to_ms).prop_map(Duration::from_millis)
    }

    proptest! {
        #[test]
        fn polling_never_hurries_and_never_waits_beyond_its_cap(
            first in duration(3_600_000),
            step in duration(3_600_000),
            cap in duration(1_000_000_000),
            polls in 2..u16::MAX,
        ) {
            let polling = Polling { first, step, cap };
            prop_assert_eq!(polling.wait_after(0), Duration::ZERO);
            prop_assert_eq!(polling.wait_after(1), first);
            let (wait, next) = (polling.wait_after(polls), polling.wait_after(polls + 1));
            prop_assert!(wait <= next && next <= cap);
            prop_assert!(next == cap || next == wait * 2, "{:?} after {:?}", next, wait);
        }

        #[test]
        fn jitter_stays_within_a_fifth(base in duration(1_000_000_000_000), random: u32) {
            let wait = jittered(base, random).as_micros();
            let base = base.as_micros();
            prop_assert!(wait >= base * 8 / 10 && wait <= base * 12 / 10);
        }

        #[test]
        fn jitter_reaches_every_wait_of_a_fine_grid(base in 1_000..1_000_000_000_u64) {
            let base = Duration::from_millis(base);
            let waits: Vec<_> = (0..401).map(|random| jittered(base, random)).collect();
            prop_assert!(waits.is_sorted() && waits.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!((waits[0], waits[400]), (base * 4 / 5, base * 6 / 5));
        }
    }
}
