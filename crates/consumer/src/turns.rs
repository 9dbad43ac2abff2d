//! Who may go within this process: of the events of one subject that are in hand, the one with the lowest sequence. The
//! others wait without asking Postgres. Between processes the row decides (`store`).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<Mutex<Lanes>>);

#[derive(Debug, Default)]
struct Lanes {
    of: HashMap<String, Lane>,
    places: u64,
}

/// The events of one subject that are in hand, by their sequence; duplicates as they came.
#[derive(Debug, Default)]
struct Lane {
    places: BTreeSet<(i64, u64)>,
    changed: Arc<Notify>,
}

/// An event's place. Whoever drops it lets the next one go.
#[derive(Debug)]
pub(crate) struct Place {
    turns: Turns,
    subject: String,
    at: (i64, u64),
    changed: Arc<Notify>,
}

impl Turns {
    /// At once: of those that come in order, none overtakes another before it waits.
    pub(crate) fn enter(&self, subject: &str, sequence: i64) -> Place {
        let mut lanes = self.lanes();
        lanes.places += 1;
        let at = (sequence, lanes.places);
        let lane = lanes.of.entry(subject.to_owned()).or_default();
        lane.places.insert(at);
        Place { turns: self.clone(), subject: subject.to_owned(), at, changed: Arc::clone(&lane.changed) }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(crate) fn is_first(&self) -> bool {
        let lanes = self.turns.lanes();
        lanes.of.get(&self.subject).is_some_and(|lane| lane.places.first() == Some(&self.at))
    }

    /// Waits until no event of this subject with a lower sequence is in hand.
    pub(crate) async fn come(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_first() {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lanes = self.turns.lanes();
        if let Some(lane) = lanes.of.get_mut(&self.subject) {
            lane.places.remove(&self.at);
            if lane.places.is_empty() {
                lanes.of.remove(&self.subject);
            }
        }
        drop(lanes);
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn the_lowest_goes_first_and_lets_the_next_one_go() {
        let turns = Turns::default();
        let (second, first) = (turns.enter("a", 1), turns.enter("a", 0));
        assert!(first.come().now_or_never().is_some());
        let mut waiting = Box::pin(second.come());
        assert!((&mut waiting).now_or_never().is_none());
        drop(first);
        waiting.await;
    }

    #[tokio::test]
    async fn of_duplicates_the_one_that_came_first_goes_first() {
        let turns = Turns::default();
        let (one, other) = (turns.enter("a", 3), turns.enter("a", 3));
        assert!(one.is_first() && !other.is_first());
        drop(one);
        assert!(other.is_first());
    }

    #[tokio::test]
    async fn subjects_do_not_wait_for_each_other_and_leave_nothing_behind() {
        let turns = Turns::default();
        let (one, other) = (turns.enter("a", 7), turns.enter("b", 0));
        assert!(one.is_first() && other.is_first());
        drop((one, other));
        assert!(turns.lanes().of.is_empty());
    }
}
