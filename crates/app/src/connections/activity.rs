//! What goes on on a connection, told by its two ends: the socket, and the requests. Nobody looks at a clock for that; the
//! watchdog does, now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Written by the task of its connection and, with HTTP/2, by those of its requests.
#[derive(Debug)]
pub(super) struct Activity {
    serving: AtomicU32,
    /// A head has begun to arrive.
    arriving: AtomicBool,
    /// The client takes nothing of what is sent to it.
    stuck: AtomicBool,
    /// It speaks HTTP/2: not everything that arrives is a request.
    multiplexed: AtomicBool,
    /// A request was refused before its body was read.
    unread: AtomicBool,
    changes: AtomicU32,
    /// Counted by the watchdog.
    turn: AtomicU32,
    /// Answers under way with HTTP/2, by the turn in which each has last moved: this one, the one before, the one before that.
    /// What is sent to one of many does not show at the socket if others are taken.
    answers: [AtomicU32; 3],
}

/// What a client may take too long over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is no request.
    Idle,
    /// The head of one arrives. So it is from the beginning: who connects wants something.
    Arriving,
    /// That it takes its time is not the client's fault, or has limits of its own.
    Serving,
    /// An answer is not taken.
    Stuck,
}

/// A request that is being served, until this is dropped.
#[derive(Debug)]
pub(super) struct Serving {
    activity: Arc<Activity>,
    /// The turn in which the client has last taken something of its answer, with HTTP/2.
    moved: Option<u32>,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            serving: AtomicU32::new(0),
            arriving: AtomicBool::new(true),
            stuck: AtomicBool::new(false),
            multiplexed: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            changes: AtomicU32::new(0),
            turn: AtomicU32::new(0),
            answers: Default::default(),
        }
    }

    /// Begins the next turn. `false`: nothing was taken of some answer during all of this one and the one before.
    pub(super) fn turn(&self) -> bool {
        let next = self.turn.load(Ordering::Relaxed).wrapping_add(1);
        let moves = self.answers(next).load(Ordering::Relaxed) == 0;
        self.turn.store(next, Ordering::Relaxed);
        moves
    }

    fn answers(&self, turn: u32) -> &AtomicU32 {
        &self.answers[turn as usize % self.answers.len()]
    }

    /// And how often it has changed: who finds a connection idle twice wants to know whether it was in between.
    pub(super) fn phase(&self) -> (Phase, u32) {
        let changes = self.changes.load(Ordering::Relaxed);
        let phase = if self.stuck.load(Ordering::Relaxed) {
            Phase::Stuck
        } else if self.serving.load(Ordering::Relaxed) > 0 {
            Phase::Serving
        } else if self.arriving.load(Ordering::Relaxed) {
            Phase::Arriving
        } else {
            Phase::Idle
        };
        (phase, changes)
    }

    /// Something has arrived.
    pub(super) fn heard(&self) {
        let is_news = self.serving.load(Ordering::Relaxed) == 0 && !self.multiplexed.load(Ordering::Relaxed);
        if is_news && !self.arriving.swap(true, Ordering::Relaxed) {
            self.changed();
        }
    }

    /// Whether something that is to be sent is taken.
    pub(super) fn sent(&self, taken: bool) {
        // Nearly always there is nothing to write.
        if self.stuck.load(Ordering::Relaxed) == taken {
            self.stuck.store(!taken, Ordering::Relaxed);
            self.changed();
        }
    }

    pub(super) fn serve(self: &Arc<Self>, multiplexed: bool) -> Serving {
        self.serving.fetch_add(1, Ordering::Relaxed);
        self.arriving.store(false, Ordering::Relaxed);
        self.unread.store(false, Ordering::Relaxed);
        if multiplexed {
            self.multiplexed.store(true, Ordering::Relaxed);
        }
        self.changed();
        Serving { activity: Arc::clone(self), moved: None }
    }

    /// Whether the client may still be sending what nobody reads: a body, or a head that is too large.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed) || self.arriving.load(Ordering::Relaxed)
    }

    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }
}

impl Serving {
    pub(super) fn left_unread(&self) {
        self.activity.unread.store(true, Ordering::Relaxed);
    }

    /// There is an answer, or the client has room for more of it.
    pub(super) fn moves(&mut self) {
        let activity = &self.activity;
        let turn = activity.turn.load(Ordering::Relaxed);
        if activity.multiplexed.load(Ordering::Relaxed) && self.moved != Some(turn) {
            activity.answers(turn).fetch_add(1, Ordering::Relaxed);
            if let Some(before) = self.moved.replace(turn) {
                activity.answers(before).fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(turn) = self.moved {
            self.activity.answers(turn).fetch_sub(1, Ordering::Relaxed);
        }
        self.activity.serving.fetch_sub(1, Ordering::Relaxed);
        self.activity.changed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_idle_between_its_requests() {
        let activity = Arc::new(Activity::new());
        assert_eq!(activity.phase(), (Phase::Arriving, 0));
        let serving = activity.serve(false);
        activity.heard();
        assert_eq!(activity.phase().0, Phase::Serving, "a body");
        drop(serving);
        let idle = activity.phase();
        assert_eq!(idle.0, Phase::Idle);
        drop(activity.serve(false));
        assert_eq!(activity.phase().0, Phase::Idle);
        assert_ne!(activity.phase(), idle, "there was a request in between");
    }

    #[test]
    fn a_head_that_drips_is_one_head() {
        let activity = Arc::new(Activity::new());
        drop(activity.serve(false));
        activity.heard();
        let first = activity.phase();
        activity.heard();
        assert_eq!((first.0, activity.phase()), (Phase::Arriving, first));
    }

    #[test]
    fn with_http_2_not_all_that_arrives_is_a_head() {
        let activity = Arc::new(Activity::new());
        drop(activity.serve(true));
        activity.heard();
        assert_eq!(activity.phase().0, Phase::Idle);
    }

    #[test]
    fn one_answer_that_nothing_is_taken_of_shows_among_many_that_are() {
        let activity = Arc::new(Activity::new());
        let (mut slow, mut quick) = (activity.serve(true), activity.serve(true));
        for _ in 0..10 {
            slow.moves();
            assert!(activity.turn() && activity.turn(), "once in two turns is enough");
        }
        slow.moves();
        for _ in 0..2 {
            quick.moves();
            assert!(activity.turn());
        }
        quick.moves();
        assert!(!activity.turn());
        drop(slow);
        let _another_request = activity.serve(true);
        assert!(
            (0..10).all(|_| {
                quick.moves();
                activity.turn()
            }),
            "who is not answered yet has nothing to take"
        );
    }

    #[test]
    fn an_answer_that_is_not_taken_shows_whatever_else_goes_on() {
        let activity = Arc::new(Activity::new());
        let _serving = activity.serve(true);
        activity.sent(false);
        let stuck = activity.phase();
        activity.sent(false);
        assert_eq!((stuck.0, activity.phase()), (Phase::Stuck, stuck));
        activity.sent(true);
        assert_eq!(activity.phase().0, Phase::Serving);
    }
}
