//! Who takes too long is cut off: a head that drips in, an answer that is not taken, a connection that nobody uses.
//!
//! hyper has a timer for heads. It would be made anew for each request, in a box, and entered into the runtime's wheel
//! under its lock, and there is none for the first bytes of a connection, nor for answers. This one is one timer for each
//! connection, which looks twice within the shortest limit whether anything has changed.

use super::activity::{Activity, Phase};
use crate::config;
use crate::metrics::Slow;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// How long each phase may take, half of the shortest more or less.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) head: Duration,
    pub(super) answer: Duration,
    pub(super) idle: Duration,
}

pub(super) struct Watchdog {
    activity: Arc<Activity>,
    patience: Patience,
    ticks: Interval,
    seen: (Phase, u32),
    /// When that was seen first.
    since: Instant,
    /// When the answers' turn began.
    turned: Instant,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Fine,
    /// Nobody needs it: it may end in good order.
    Unused,
    CutOff(Slow),
}

impl Patience {
    pub(super) const fn of(config: &config::Api) -> Self {
        Self {
            head: config.header_timeout_ms.get(),
            answer: config.write_timeout_ms.get(),
            idle: config.idle_timeout_ms.get(),
        }
    }

    fn tick(self) -> Duration {
        (self.head.min(self.answer).min(self.idle) / 2).max(Duration::from_millis(1))
    }
}

impl Watchdog {
    pub(super) fn new(activity: Arc<Activity>, patience: Patience) -> Self {
        let since = Instant::now();
        let mut ticks = interval_at(since + patience.tick(), patience.tick());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { seen: activity.phase(), activity, patience, ticks, since, turned: since }
    }

    /// Ready when it has looked.
    pub(super) fn poll_look(&mut self, context: &mut Context<'_>) -> Poll<Verdict> {
        self.ticks.poll_tick(context).map(|_scheduled| self.look(Instant::now()))
    }

    fn look(&mut self, now: Instant) -> Verdict {
        // Two turns are what an answer may take.
        if now - self.turned >= self.patience.answer / 2 {
            self.turned = now;
            if !self.activity.turn() {
                return Verdict::CutOff(Slow::Answer);
            }
        }
        let seen = self.activity.phase();
        if seen != self.seen {
            (self.seen, self.since) = (seen, now);
            return Verdict::Fine;
        }
        let lasts = now - self.since;
        match seen.0 {
            Phase::Arriving if lasts >= self.patience.head => Verdict::CutOff(Slow::Head),
            Phase::Stuck if lasts >= self.patience.answer => Verdict::CutOff(Slow::Answer),
            Phase::Idle if lasts >= self.patience.idle => Verdict::Unused,
            Phase::Arriving | Phase::Stuck | Phase::Idle | Phase::Serving => Verdict::Fine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience =
        Patience { head: Duration::from_secs(10), answer: Duration::from_secs(20), idle: Duration::from_secs(90) };

    fn watchdog(activity: &Arc<Activity>) -> (Watchdog, impl Fn(u64) -> Instant) {
        let watchdog = Watchdog::new(Arc::clone(activity), PATIENCE);
        let start = watchdog.since;
        (watchdog, move |s| start + Duration::from_secs(s))
    }

    #[tokio::test]
    async fn who_connects_must_ask() {
        let activity = Arc::new(Activity::new());
        let (mut watchdog, at) = watchdog(&activity);
        assert_eq!(watchdog.look(at(5)), Verdict::Fine);
        activity.heard();
        assert_eq!(watchdog.look(at(10)), Verdict::CutOff(Slow::Head));
    }

    #[tokio::test]
    async fn a_connection_that_is_used_is_kept() {
        let activity = Arc::new(Activity::new());
        let (mut watchdog, at) = watchdog(&activity);
        for s in (5..1_000).step_by(5) {
            drop(activity.serve(false));
            assert_eq!(watchdog.look(at(s)), Verdict::Fine);
        }
        let last = 1_000;
        assert_eq!(watchdog.look(at(last)), Verdict::Fine);
        assert_eq!(watchdog.look(at(last + 85)), Verdict::Unused);
    }

    #[tokio::test]
    async fn requests_beside_it_do_not_keep_an_answer_that_is_not_taken() {
        let activity = Arc::new(Activity::new());
        let (mut watchdog, at) = watchdog(&activity);
        let mut serving = activity.serve(true);
        for s in (5..=100).step_by(5) {
            assert_eq!(watchdog.look(at(s)), Verdict::Fine, "there is no answer yet");
        }
        serving.moves();
        let mut looks = (105..).step_by(5).map(|s| {
            drop(activity.serve(true));
            (s, watchdog.look(at(s)))
        });
        let (s, verdict) = looks.find(|(_, verdict)| *verdict != Verdict::Fine).expect("an end");
        assert_eq!(verdict, Verdict::CutOff(Slow::Answer));
        assert!((120..=130).contains(&s), "{s}");
    }

    #[tokio::test]
    async fn a_request_may_take_its_time_but_its_answer_must_be_taken() {
        let activity = Arc::new(Activity::new());
        let (mut watchdog, at) = watchdog(&activity);
        let _serving = activity.serve(false);
        assert_eq!(watchdog.look(at(5)), Verdict::Fine);
        assert_eq!(watchdog.look(at(5_000)), Verdict::Fine);
        activity.sent(false);
        assert_eq!(watchdog.look(at(5_005)), Verdict::Fine);
        assert_eq!(watchdog.look(at(5_025)), Verdict::CutOff(Slow::Answer));
    }
}
