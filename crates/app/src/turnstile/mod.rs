//! A limit of requests that somebody else gets at once, and a line in front of it.
//!
//! Who answers quickly gets fewer at once: each connection costs some 30 kB, and more would only wait in another place.
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

/// Requests at once that are never too many …
const FEW: u32 = 64;

/// … nor are those with which so many are answered in a second.
const PER_SECOND: u128 = 5_000;

/// Whose turn is expected within this waits for it …
const SOON: Duration = Duration::from_millis(100);

/// … but not for longer than this.
const PATIENCE: Duration = Duration::from_millis(500);

/// Nobody is sent further away than this.
const FARTHEST: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Turnstile {
    /// Requests at once, at least and at most: between them, as many as answers are slow.
    few: u32,
    most: u32,
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
    /// What one of the quickest tenth takes, once there was one: under load, the others have waited for one another.
    quick: Option<Duration>,
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
    /// Of so many turns, whatever they take.
    pub fn fixed(limit: usize, room: usize) -> Arc<Self> {
        Self::new(limit, limit, room)
    }

    /// Of so many requests at most, and of fewer where answers are quick.
    pub fn of_requests(limit: usize, room: usize) -> Arc<Self> {
        Self::new(limit.min(FEW as usize), limit, room)
    }

    fn new(few: usize, most: usize, room: usize) -> Arc<Self> {
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let state = State {
            under_way: 0,
            waiting: Waiting::default(),
            takes: FIRST_GUESS,
            quick: None,
            booked: HashMap::new(),
        };
        Arc::new(Self { few: count(few), most: count(most), room: count(room), state: Mutex::new(state) })
    }

    /// Requests under way.
    pub fn under_way(&self) -> u32 {
        self.state().under_way
    }

    /// Whether somebody's turn would come soon. Half of the room is for those who are on their way here already.
    pub fn has_room(&self) -> bool {
        let state = self.state();
        let (limit, waiting) = (self.limit(&state), state.waiting.count());
        state.under_way < limit || waiting < self.room / 2 && state.takes * (waiting + 1) / limit <= SOON
    }

    /// Whether this client could make a request soon.
    pub fn is_free_soon(&self, client: ClientNo) -> bool {
        let state = self.state();
        state.under_way < self.limit(&state) || self.may_wait(&state, client)
    }

    /// Leave to make a request, or when to come back.
    pub async fn enter(self: &Arc<Self>, client: ClientNo) -> Result<Turn, Duration> {
        let mut turn = {
            let mut state = self.state();
            let limit = self.limit(&state);
            if state.under_way < limit {
                state.under_way += 1;
                return Ok(Turn(Permit(Some(Arc::clone(self)))));
            }
            match self.may_wait(&state, client) {
                true => state.waiting.join(client),
                false => return Err(state.book(client, limit, Instant::now())),
            }
        };
        match tokio::time::timeout(PATIENCE, &mut turn).await {
            Ok(Ok(permit)) => Ok(Turn(permit)),
            // It may have come in the very moment in which patience ended.
            Ok(Err(_)) | Err(_) => match turn.try_recv() {
                Ok(permit) => Ok(Turn(permit)),
                Err(_) => {
                    let mut state = self.state();
                    let limit = self.limit(&state);
                    Err(state.book(client, limit, Instant::now()))
                }
            },
        }
    }

    /// Just now.
    fn limit(&self, state: &State) -> u32 {
        // Who was quick and is slow all of a sudden is known by the mean first. Nothing is known before the first answer.
        let takes = state.quick.map(|quick| quick.max(state.takes / 8)).unwrap_or_default();
        let needed = takes.as_micros() * PER_SECOND / 1_000_000;
        u32::try_from(needed).unwrap_or(u32::MAX).clamp(self.few, self.most)
    }

    /// When those who are served before it have been let in, will it be soon?
    fn may_wait(&self, state: &State, client: ClientNo) -> bool {
        let waiting = &state.waiting;
        waiting.of(client) < (self.room / waiting.clients_with(client)).max(1)
            && state.takes * waiting.ahead_of(client) / self.limit(state) <= SOON
    }

    /// A request has ended: its permit goes to whoever is next, if so many are still allowed; to more if more are.
    fn pass_on(self: &Arc<Self>) {
        let mut state = self.state();
        state.under_way -= 1;
        while state.under_way < self.limit(&state)
            && let Some(next) = state.waiting.next()
        {
            match next.send(Permit(Some(Arc::clone(self)))) {
                Ok(()) => state.under_way += 1,
                // It has gone away. Kept from being dropped, which would come here again.
                Err(mut permit) => drop(permit.0.take()),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn answered(&mut self, took: Duration) {
        self.takes = (self.takes * 7 + took) / 8;
        // Ten times as far down as up: it comes to rest where a tenth is quicker.
        self.quick = Some(match self.quick {
            None => took,
            Some(quick) if took < quick => quick - quick / 11,
            Some(quick) => quick + quick / 100 + Duration::from_nanos(100),
        });
    }

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
            turnstile.state().answered(took);
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
        let turnstile = Turnstile::fixed(2, 1);
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
        let turnstile = Turnstile::fixed(1, 100);
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
    async fn there_are_few_at_once_while_answers_are_quick() {
        let turnstile = Turnstile::of_requests(256, 1_000);
        let limit = || turnstile.limit(&turnstile.state());
        let answer = async |count: u64, ms: &dyn Fn(u64) -> u64| {
            for n in 0..count {
                turnstile.enter(ONE).await.expect("room").leave(Duration::from_millis(ms(n)));
            }
            limit()
        };
        assert_eq!(limit(), FEW, "nobody has answered yet");
        assert_eq!(answer(1, &|_| 50).await, 250);
        assert!((225..256).contains(&answer(1_000, &|_| 50).await));
        assert_eq!(answer(1_000, &|_| 1).await, FEW);
        assert_eq!(answer(1_000, &|n| n % 40).await, FEW, "these have waited for one another");
        assert_eq!(answer(1, &|_| 10_000).await, 256, "it shows at once");
        assert!((225..256).contains(&answer(1_000, &|_| 50).await));
        assert_eq!(Turnstile::of_requests(8, 1).few, 8);
        assert_eq!((Turnstile::fixed(256, 1).few, Turnstile::fixed(256, 1).most), (256, 256));
    }

    #[tokio::test]
    async fn when_more_are_allowed_more_who_wait_are_let_in() {
        let turnstile = Turnstile::of_requests(256, 1_000);
        let mut turns = Vec::new();
        for _ in 0..FEW {
            turns.push(turnstile.enter(ONE).await.expect("room"));
        }
        turnstile.state().takes = Duration::ZERO;
        let mut waiting = (0..100).map(|_| turnstile.state().waiting.join(OTHER)).collect::<Vec<_>>();
        turns.pop().expect("a turn").leave(Duration::from_millis(30));
        assert_eq!(turnstile.under_way(), 150, "five for each millisecond");
        let let_in = waiting.iter_mut().filter_map(|next| next.try_recv().ok()).collect::<Vec<_>>();
        assert_eq!(let_in.len(), 87);
        drop((let_in, turns));
        assert_eq!(turnstile.under_way(), 13, "the rest of those who waited");
        drop(waiting);
        assert_eq!(turnstile.under_way(), 0);
    }

    #[tokio::test]
    async fn half_of_the_room_is_for_those_who_are_on_their_way() {
        let turnstile = Turnstile::fixed(1, 4);
        turnstile.state().takes = Duration::ZERO;
        let taken = turnstile.enter(ONE).await.expect("room");
        let mut waiting = Vec::new();
        for has_room in [true, true, false, false] {
            assert_eq!(turnstile.has_room(), has_room);
            waiting.push(turnstile.state().waiting.join(ONE));
        }
        drop(taken);
        assert!(!turnstile.has_room(), "the turn has gone to the next, three wait");
        waiting.clear();
        assert_eq!(turnstile.under_way(), 0);
        assert!(turnstile.has_room());
        let _taken = turnstile.enter(ONE).await.expect("room");
        assert!(turnstile.has_room(), "the next answer comes soon");
        turnstile.state().takes = 2 * SOON;
        assert!(!turnstile.has_room());
    }

    #[tokio::test]
    async fn clients_take_turns_however_many_each_of_them_sends() {
        let turnstile = Turnstile::fixed(1, 100);
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
        let turnstile = Turnstile::fixed(1, 100);
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
