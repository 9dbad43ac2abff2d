//! How many there may be, interval by interval, by what others have waited.
//!
//! What calm times are like is known of such times, if there were any lately. Else the overflow holds back for a moment to
//! find out (as BBR does for the round trip of an empty path): a worker that starts into a flood knows nothing else.

use std::time::Duration;

/// Nobody notices that it takes so much longer.
const UNNOTICED: Duration = Duration::from_micros(100);

/// The least number of slots is one for each core, but not more than this: what is behind them may be smaller.
const LEAST: usize = 8;

/// Where a flood begins while others are there: as many times the least.
const FIRST: usize = 2;

/// For how many intervals nobody else must have been there before all slots are the overflow's.
const ABSENT: u32 = 10;

/// How many witnesses are heard before it is judged: each has reasons of its own to wait.
const ENOUGH: u32 = 8;

/// After so many intervals without any overflow the next is another one.
const UNUSED: u32 = 100;

/// For how many intervals it is believed what calm times are like …
const BELIEVED: u32 = 100;

/// … and how many it takes to find out.
const PROBE: u32 = 10;

/// In the first of these, what was in hand is still being carried, and felt.
const EARLY: u32 = 5;

/// Whoever is there is heard within so many.
const HEARD: u32 = 4;

/// What there was in an interval.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Witnessed {
    /// What commands within the shares of calm clients have waited for their claims.
    pub(super) waited: Duration,
    pub(super) count: u32,
    /// Commands of the overflow.
    pub(super) overflow: u32,
}

#[derive(Debug)]
pub(super) struct Limit {
    most: usize,
    /// Never fewer: what overflows must go on.
    least: usize,
    /// How many more slots there are after each interval in which nobody has noticed anything.
    step: usize,
    now: usize,
    /// What a claim takes when it is calm.
    calm: Duration,
    /// Since that was found out.
    age: u32,
    /// For how many intervals no witness has been there.
    absent: u32,
    /// For how many intervals nothing of the overflow has been claimed.
    unused: u32,
    /// Beside the overflow, not judged yet.
    gathered: Witnessed,
    probe: Option<Probe>,
}

/// The overflow holds back for a moment.
#[derive(Debug)]
struct Probe {
    left: u32,
    /// Somebody was there, of whom it is not known yet that it is no part of the flood.
    is_guess: bool,
    /// Whether anybody was heard after the first interval.
    is_heard: bool,
    witnessed: Witnessed,
    /// The limit after it.
    then: usize,
    /// The limit, if nobody has suffered from the overflow.
    before: usize,
}

impl Witnessed {
    pub(super) fn add(&mut self, more: Self) {
        self.waited += more.waited;
        self.count += more.count;
        self.overflow += more.overflow;
    }
}

impl Limit {
    /// `cores`: that the worker may use.
    pub(super) fn new(most: usize, cores: usize) -> Self {
        Self {
            most,
            least: cores.clamp(1, LEAST).min(most),
            step: (cores / 2).max(1),
            now: most,
            calm: Duration::MAX,
            age: BELIEVED,
            absent: ABSENT,
            unused: UNUSED,
            gathered: Witnessed::default(),
            probe: None,
        }
    }

    pub(super) const fn now(&self) -> usize {
        self.now
    }

    /// Nobody is there who could notice anything, or nobody does.
    pub(super) const fn is_lifted(&self) -> bool {
        self.now == self.most
    }

    /// Somebody is there who may notice something. If nobody has been for a while, room is made at once.
    pub(super) fn make_room(&mut self) {
        if self.absent < ABSENT || self.probe.is_some() {
            return;
        }
        self.absent = 0;
        self.now = match self.age < BELIEVED {
            true => self.less(),
            false => self.hold_back(self.least, true),
        };
    }

    /// After an interval.
    pub(super) fn after(&mut self, witnessed: Witnessed) {
        self.now = self.next(witnessed);
    }

    /// It is none any more.
    pub(super) fn lift(&mut self) {
        (self.now, self.absent, self.probe) = (self.most, 0, None);
    }

    fn next(&mut self, witnessed: Witnessed) -> usize {
        self.age = self.age.saturating_add(1);
        self.absent = if witnessed.count > 0 { 0 } else { self.absent.saturating_add(1) };
        self.unused = if witnessed.overflow == 0 { self.unused.saturating_add(1) } else { 0 };
        if let Some(probe) = self.probe.take() {
            return self.go_on(probe, witnessed);
        }
        if witnessed.count == 0 {
            return if self.absent >= ABSENT { (self.now * 2).min(self.most) } else { self.more() };
        }
        if self.unused > 0 {
            self.learn_alone(witnessed.waited / witnessed.count);
            // Before that, some may be in hand that wait for a partner.
            return if self.unused >= UNUSED { (FIRST * self.least).min(self.most) } else { self.more() };
        }
        if self.age >= BELIEVED {
            return self.hold_back(self.now, false);
        }
        self.gathered.add(witnessed);
        if self.gathered.count < ENOUGH {
            return self.now;
        }
        let Witnessed { waited, count, .. } = std::mem::take(&mut self.gathered);
        let waited = waited / count;
        self.calm_down(waited);
        if self.is_noticed(waited) { self.less() } else { self.more() }
    }

    /// Of an interval in which nothing of the overflow was claimed. That some is in hand all the same says little about what
    /// is calm, unless it is calmer than that; and so does one that happened to wait long.
    fn learn_alone(&mut self, waited: Duration) {
        if self.unused >= ABSENT {
            self.learn(waited.min(self.calm.saturating_add(waited / 8)));
        } else {
            self.calm_down(waited);
        }
    }

    /// It cannot be calmer beside an overflow than it is without. Slowly, for some of it is chance.
    fn calm_down(&mut self, waited: Duration) {
        self.calm -= self.calm.saturating_sub(waited) / 8;
    }

    /// More than an eighth as long again as in calm times.
    fn is_noticed(&self, waited: Duration) -> bool {
        waited > self.calm.saturating_add((self.calm / 8).max(UNNOTICED))
    }

    fn hold_back(&mut self, then: usize, is_guess: bool) -> usize {
        let (witnessed, before) = (Witnessed::default(), self.now);
        self.probe = Some(Probe { left: PROBE, is_guess, is_heard: false, witnessed, then, before });
        self.least
    }

    fn go_on(&mut self, mut probe: Probe, witnessed: Witnessed) -> usize {
        if probe.is_guess && probe.left == PROBE && witnessed.count == 0 {
            // It was the first of a flood itself.
            return probe.before;
        }
        probe.is_heard |= probe.left < PROBE && witnessed.count > 0;
        if probe.left <= PROBE - EARLY {
            probe.witnessed.add(witnessed);
        }
        probe.left -= 1;
        if probe.left > 0 && (probe.is_heard || probe.left > PROBE - HEARD) {
            self.probe = Some(probe);
            return self.least;
        }
        match probe.witnessed.waited.checked_div(probe.witnessed.count) {
            Some(waited) => {
                self.learn(waited);
                probe.then
            }
            // Nobody was there to tell.
            None => {
                self.age = BELIEVED - BELIEVED / 10;
                probe.before
            }
        }
    }

    fn learn(&mut self, calm: Duration) {
        (self.calm, self.age) = (calm, 0);
    }

    fn less(&self) -> usize {
        (self.now / 2).max(self.least)
    }

    fn more(&self) -> usize {
        (self.now + self.step).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside_overflow(ms: u64) -> Witnessed {
        Witnessed { waited: Duration::from_millis(ms) * ENOUGH, count: ENOUGH, overflow: 1 }
    }

    fn alone(ms: u64) -> Witnessed {
        Witnessed { overflow: 0, ..beside_overflow(ms) }
    }

    const CORES: usize = 2;
    const STEP: usize = 1;
    const BEGINNING: usize = FIRST * CORES;

    const NOBODY: Witnessed = Witnessed { waited: Duration::ZERO, count: 0, overflow: 1 };

    fn limit() -> Limit {
        Limit::new(200, CORES)
    }

    fn arrive(limit: &mut Limit) -> usize {
        limit.make_room();
        limit.now
    }

    fn pass(limit: &mut Limit, witnessed: Witnessed, times: u32) -> usize {
        (0..times).for_each(|_| limit.after(witnessed));
        limit.now
    }

    /// The limit, where a claim takes so long when it is calm.
    fn used_to(ms: u64) -> Limit {
        let mut limit = limit();
        pass(&mut limit, alone(ms), 1);
        limit
    }

    #[test]
    fn fewer_are_in_hand_while_others_notice_and_more_again_when_they_do_not() {
        let mut limit = used_to(8);
        assert_eq!(limit.now, BEGINNING, "where a flood begins");
        assert_eq!(pass(&mut limit, beside_overflow(10), 1), BEGINNING / 2);
        assert_eq!(pass(&mut limit, beside_overflow(10), 5), CORES, "it goes on");
        assert_eq!(pass(&mut limit, beside_overflow(9), 1), CORES + STEP, "an eighth as long again is tolerated");
        assert!(!limit.is_lifted());
        assert_eq!(pass(&mut limit, NOBODY, 20), 200, "nobody is there");
        assert!(limit.is_lifted());
    }

    #[test]
    fn one_witness_alone_is_not_believed() {
        let mut limit = used_to(4);
        let one = Witnessed { waited: Duration::from_millis(30), count: 1, overflow: 1 };
        assert_eq!(pass(&mut limit, one, ENOUGH - 1), BEGINNING);
        assert_eq!(pass(&mut limit, one, 1), BEGINNING / 2);
    }

    #[test]
    fn who_starts_into_a_flood_finds_out_what_is_calm() {
        let mut limit = limit();
        assert_eq!(arrive(&mut limit), CORES, "it holds back");
        assert_eq!(pass(&mut limit, beside_overflow(20), EARLY), CORES, "which takes a moment to be felt");
        assert_eq!(arrive(&mut limit), CORES, "somebody has been there already");
        assert_eq!(pass(&mut limit, beside_overflow(8), PROBE - EARLY), CORES);
        assert_eq!(pass(&mut limit, beside_overflow(9), 10), CORES + 10 * STEP, "8 ms, then");
        assert_eq!(pass(&mut limit, beside_overflow(10), 1), CORES / 2 + 5 * STEP, "and this is noticed");
    }

    #[test]
    fn who_floods_alone_does_not_wait_for_itself() {
        let mut limit = limit();
        arrive(&mut limit);
        // By then it is known whose they were.
        assert_eq!(pass(&mut limit, NOBODY, 1), 200);
        arrive(&mut limit);
        pass(&mut limit, beside_overflow(4), 1);
        assert_eq!(pass(&mut limit, NOBODY, PROBE - 1), 200, "or a little later");
    }

    #[test]
    fn who_comes_now_and_then_does_not_keep_the_overflow_few() {
        for pause in [1, 5, 9, 11, 20] {
            let mut limit = used_to(4);
            for _ in 0..50 {
                arrive(&mut limit);
                pass(&mut limit, Witnessed { count: 1, waited: Duration::from_millis(4), overflow: 1 }, 1);
                pass(&mut limit, NOBODY, pause);
            }
            assert!(limit.now >= 50, "every {pause}: {}", limit.now);
        }
    }

    #[test]
    fn who_comes_every_two_seconds_does_not_keep_the_overflow_few_meanwhile() {
        let (mut limit, mut few) = (limit(), 0);
        for _ in 0..20 {
            arrive(&mut limit);
            pass(&mut limit, Witnessed { count: 1, ..beside_overflow(4) }, 1);
            for _ in 0..20 {
                few += u32::from(pass(&mut limit, NOBODY, 1) < 100);
            }
        }
        assert!(few <= 20 * HEARD, "{few} of 400");
    }

    #[test]
    fn who_is_not_there_in_every_interval_is_heard_all_the_same() {
        let mut limit = used_to(4);
        for _ in 0..BELIEVED {
            pass(&mut limit, Witnessed { count: 1, waited: Duration::from_millis(20), overflow: 1 }, 1);
            pass(&mut limit, NOBODY, 2);
        }
        assert!(limit.age < BELIEVED && limit.calm > Duration::from_millis(10), "{limit:?}");
    }

    #[test]
    fn what_waits_for_a_slow_partner_is_not_kept_few() {
        let mut limit = used_to(4);
        for _ in 0..25 {
            pass(&mut limit, beside_overflow(4), 1);
            pass(&mut limit, alone(4), 9);
        }
        assert_eq!(limit.now, 200);
        assert_eq!(pass(&mut limit, alone(4), UNUSED), BEGINNING, "it has ended");
    }

    #[test]
    fn what_others_wait_while_some_is_in_hand_is_not_what_is_calm() {
        let mut limit = used_to(4);
        for _ in 0..20 {
            pass(&mut limit, beside_overflow(12), 1);
            pass(&mut limit, alone(12), 1);
        }
        assert_eq!(limit.calm, Duration::from_millis(4));
    }

    #[test]
    fn what_was_taken_for_calm_too_early_is_seen_through() {
        let mut limit = used_to(20);
        pass(&mut limit, beside_overflow(4), 30);
        assert!(limit.calm < Duration::from_millis(5), "{:?}", limit.calm);
        let before = limit.now;
        assert!(pass(&mut limit, beside_overflow(9), 1) < before, "which is no longer calm");
    }

    #[test]
    fn what_was_calm_once_is_forgotten() {
        let mut limit = used_to(2);
        assert_eq!(pass(&mut limit, beside_overflow(20), BELIEVED - 1), CORES);
        // This machine is slower now.
        pass(&mut limit, beside_overflow(20), PROBE + 1);
        assert_eq!(pass(&mut limit, beside_overflow(20), 5), CORES + 5 * STEP);
        pass(&mut limit, alone(30), 100);
        assert_eq!(limit.calm, Duration::from_millis(30));
        pass(&mut limit, alone(300), 1);
        assert!(limit.calm < Duration::from_millis(100), "one alone may have had other reasons");
    }
}
