//! A limit of requests that somebody else gets at once, and a line in front of it.
//!
//! Whoever finds it full waits if its turn comes soon. Else it books a place in a line that moves as fast as the answers
//! come, so that many who wait for a slow one do not come back all the time. Turns and places are shared among clients: how
//! much one of them sends does not decide how long another waits.

mod waiting;

use holdfast_domain::ClientNo;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use waiting::Waiting;

/// What is assumed of somebody who has not answered yet.
const FIRST_GUESS: Duration = Duration::from_millis(100);

/// Whose turn is expected within this waits for it …
const SOON: Duration = Duration::from_millis(100);

/// … but not for longer than this.
const PATIENCE: Duration = Duration::from_millis(500);

/// Nobody is sent further away than this.
const FARTHEST: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Turnstile {
    limit: u32,
    /// For those who wait for their turn, shared among their clients.
    room: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Requests under way. Below the limit, nobody waits.
    under_way: u32,
    waiting: Waiting,
    /// What an answer takes, lately.
    takes: Duration,
    /// The last place that was given to each client, while it lies ahead.
    booked: HashMap<ClientNo, Instant>,
}

/// One of the requests that may be under way. Who drops it lets the next one in.
#[derive(Debug)]
struct Permit(Option<Arc<Turnstile>>);

/// The right to make one request.
#[derive(Debug)]
pub struct Turn(Permit);

impl Turnstile {
    pub fn new(limit: usize, room: usize) -> Arc<Self> {
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let state = State { under_way: 0, waiting: Waiting::default(), takes: FIRST_GUESS, booked: HashMap::new() };
        Arc::new(Self { limit: count(limit), room: count(room), state: Mutex::new(state) })
    }

    /// Requests under way.
    pub fn under_way(&self) -> u32 {
        self.state().under_way
    }

    /// Whether this client could make a request soon.
    pub fn is_free_soon(&self, client: ClientNo) -> bool {
        let state = self.state();
        state.under_way < self.limit || self.may_wait(&state, client)
    }

    /// Leave to make a request, or when to come back.
    pub async fn enter(self: &Arc<Self>, client: ClientNo) -> Result<Turn, Duration> {
        let mut turn = {
            let mut state = self.state();
            if state.under_way < self.limit {
                state.under_way += 1;
                return Ok(Turn(Permit(Some(Arc::clone(self)))));
            }
            match self.may_wait(&state, client) {
                true => state.waiting.join(client),
                false => return Err(state.book(client, self.limit, Instant::now())),
            }
        };
        match tokio::time::timeout(PATIENCE, &mut turn).await {
            Ok(Ok(permit)) => Ok(Turn(permit)),
            // It may have come in the very moment in which patience ended.
            Ok(Err(_)) | Err(_) => match turn.try_recv() {
                Ok(permit) => Ok(Turn(permit)),
                Err(_) => Err(self.state().book(client, self.limit, Instant::now())),
            },
        }
    }

    /// When those who are served before it have been let in, will it be soon?
    fn may_wait(&self, state: &State, client: ClientNo) -> bool {
        let waiting = &state.waiting;
        waiting.of(client) < (self.room / waiting.clients_with(client)).max(1)
            && state.takes * waiting.ahead_of(client) / self.limit <= SOON
    }

    /// A request has ended: its permit goes to whoever is next.
    fn pass_on(self: &Arc<Self>) {
        let mut state = self.state();
        while let Some(next) = state.waiting.next() {
            match next.send(Permit(Some(Arc::clone(self)))) {
                Ok(()) => return,
                // It has gone away. Kept from being dropped, which would come here again.
                Err(mut permit) => drop(permit.0.take()),
            }
        }
        state.under_way -= 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn book(&mut self, client: ClientNo, limit: u32, now: Instant) -> Duration {
        self.booked.retain(|_, last| *last > now);
        let last = self.booked.get(&client).copied().unwrap_or(now);
        let others = self.booked.len() - usize::from(self.booked.contains_key(&client));
        // Each of those who have booked gets its share of what can be asked.
        let apart = self.takes / limit * (u32::try_from(others).unwrap_or(u32::MAX).saturating_add(1));
        let place = (last + apart).min(now + FARTHEST);
        self.booked.insert(client, place);
        // The one whose place it takes must have had its answer.
        place - now + self.takes
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(turnstile) = self.0.take() {
            turnstile.pass_on();
        }
    }
}

impl Turn {
    /// What the answer took.
    pub fn leave(self, took: Duration) {
        if let Some(turnstile) = &self.0.0 {
            let mut state = turnstile.state();
            state.takes = (state.takes * 7 + took) / 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ClientNo = ClientNo(1);
    const OTHER: ClientNo = ClientNo(2);

    #[tokio::test]
    async fn whoever_finds_it_full_waits_unless_too_many_do() {
        let turnstile = Turnstile::new(2, 1);
        let first = turnstile.enter(ONE).await.expect("room");
        let _second = turnstile.enter(ONE).await.expect("room");
        let fourth = async {
            assert!(turnstile.enter(ONE).await.is_err(), "one waits already");
            drop(first);
        };
        assert!(tokio::join!(turnstile.enter(ONE), fourth).0.is_ok(), "its turn has come");
        assert_eq!(turnstile.under_way(), 1);
    }

    #[tokio::test]
    async fn the_line_is_as_long_as_the_answers_are_slow() {
        let turnstile = Turnstile::new(1, 100);
        for _ in 0..100 {
            turnstile.enter(ONE).await.expect("room").leave(Duration::from_secs(1));
        }
        let _taken = turnstile.enter(ONE).await.expect("room");
        assert!(!turnstile.is_free_soon(ONE));
        let refused = async |client| turnstile.enter(client).await.expect_err("full").as_secs_f64();
        let waits = [refused(ONE).await, refused(ONE).await, refused(ONE).await, refused(OTHER).await];
        for (wait, expected) in waits.into_iter().zip([2.0, 3.0, 4.0, 3.0]) {
            assert!((wait - expected).abs() < 0.01, "{waits:?}: another's place is not behind the many of one");
        }
        for _ in 0..1000 {
            assert!(refused(ONE).await <= (FARTHEST + Duration::from_secs(1)).as_secs_f64());
        }
    }

    #[tokio::test]
    async fn clients_take_turns_however_many_each_of_them_sends() {
        let turnstile = Turnstile::new(1, 100);
        turnstile.enter(ONE).await.expect("room").leave(Duration::ZERO);
        turnstile.state().takes = Duration::ZERO;
        let taken = turnstile.enter(ONE).await.expect("room");
        let order = Mutex::new(Vec::new());
        let enter = async |client| {
            let turn = turnstile.enter(client).await.expect("its turn comes");
            order.lock().expect("no panic").push(client);
            drop(turn);
        };
        let many = futures::future::join_all((0..5).map(|_| enter(ONE)));
        let leave = async { drop(taken) };
        tokio::join!(many, enter(OTHER), leave);
        assert_eq!(order.into_inner().expect("no panic"), [ONE, OTHER, ONE, ONE, ONE, ONE]);
        assert_eq!(turnstile.under_way(), 0);
    }

    #[tokio::test]
    async fn a_turn_that_nobody_waits_for_any_more_goes_to_the_next() {
        let turnstile = Turnstile::new(1, 100);
        let taken = turnstile.enter(ONE).await.expect("room");
        let gone = turnstile.state().waiting.join(ONE);
        let mut next = turnstile.state().waiting.join(OTHER);
        drop(gone);
        drop(taken);
        let permit = next.try_recv().expect("its turn");
        assert_eq!(turnstile.under_way(), 1);
        // Whoever was let in and never looks gives it back.
        drop(permit);
        drop(next);
        assert_eq!(turnstile.under_way(), 0);
    }
}
