//! How much this process has in hand, and when that is enough: who comes then is told so at once, rather than waiting with
//! all the others until nobody is served in time. No client has more than a quarter of it.

use crate::places::Places;
use holdfast_app::config;
use holdfast_app::metrics::{Gauge, Metrics, Shed, one};
use holdfast_domain::ClientNo;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Of the requests in hand, one in so many may be a webhook whose body is still on its way: until that is here, nobody
/// knows who sends it.
const PER_WEBHOOK: usize = 16;

/// Endpoints that are tested at once. Each test takes as long as somebody else's answer.
const TESTS: usize = 16;

#[derive(Debug)]
pub struct Load {
    in_flight: Places,
    waiting: Places,
    webhooks: Places,
    tests: Places,
    /// Of each that was ever here: there are as many as operators have made.
    clients: RwLock<HashMap<ClientNo, Arc<OfClient>>>,
    max_in_flight: usize,
    max_waiting: usize,
    metrics: Arc<Metrics>,
}

/// What one client has in hand.
#[derive(Debug)]
struct OfClient {
    in_flight: Places,
    waiting: Places,
    tests: Places,
}

/// A request that is being carried out, until this is dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    load: Arc<Load>,
    /// Once it is known whose it is.
    client: Option<Arc<OfClient>>,
}

/// A request that waits for a command to change, until this is dropped. Meanwhile it is not in flight: it costs its
/// connection and no more.
pub(crate) struct Waiting<'a> {
    load: &'a Load,
    client: Arc<OfClient>,
}

/// A webhook whose body is on its way, until this is dropped.
pub(crate) struct Hearing<'a>(&'a Load);

/// An endpoint that is being tested, until this is dropped.
pub(crate) struct Testing<'a> {
    load: &'a Load,
    client: Arc<OfClient>,
}

impl Load {
    pub fn new(config: &config::Api, metrics: &Arc<Metrics>) -> Arc<Self> {
        let config::Api { max_in_flight, max_waiting, .. } = *config;
        let load = Arc::new(Self {
            in_flight: Places::new(max_in_flight),
            waiting: Places::new(max_waiting),
            webhooks: Places::new((max_in_flight / PER_WEBHOOK).max(1)),
            tests: Places::new(TESTS),
            clients: RwLock::default(),
            max_in_flight,
            max_waiting,
            metrics: Arc::clone(metrics),
        });
        // The metrics are held by what they sample.
        let sampled = Arc::downgrade(&load);
        metrics.sample(move || sampled.upgrade().map_or_else(Vec::new, |load| load.gauges()));
        load
    }

    fn gauges(&self) -> Vec<Gauge> {
        let read = |places: &Places| places.taken() as f64;
        vec![
            one("holdfast_requests_in_flight", "Requests in hand", read(&self.in_flight)),
            one("holdfast_requests_waiting", "Requests that wait for a command to change", read(&self.waiting)),
        ]
    }

    fn client(&self, client: ClientNo) -> Arc<OfClient> {
        if let Some(known) = self.clients.read().unwrap_or_else(PoisonError::into_inner).get(&client) {
            return Arc::clone(known);
        }
        let new = || OfClient {
            in_flight: Places::quarter(self.max_in_flight),
            waiting: Places::quarter(self.max_waiting),
            tests: Places::new(1),
        };
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(clients.entry(client).or_insert_with(|| Arc::new(new())))
    }

    /// `None`: one too many.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<InFlight> {
        if self.in_flight.take() {
            return Some(InFlight { load: Arc::clone(self), client: None });
        }
        self.metrics.refusing.shed(Shed::InFlight);
        None
    }

    /// For a request of this client's that is in flight. `None`: one too many.
    pub(crate) fn wait(&self, client: ClientNo) -> Option<Waiting<'_>> {
        let client = self.client(client);
        if !client.waiting.take() {
            self.metrics.refusing.shed(Shed::Waiting);
            return None;
        }
        if !self.waiting.take() {
            client.waiting.leave();
            self.metrics.refusing.shed(Shed::Waiting);
            return None;
        }
        self.in_flight.leave();
        client.in_flight.leave();
        Some(Waiting { load: self, client })
    }

    /// `None`: one too many.
    pub(crate) fn hear(&self) -> Option<Hearing<'_>> {
        if self.webhooks.take() {
            return Some(Hearing(self));
        }
        self.metrics.refusing.shed(Shed::Webhooks);
        None
    }

    /// `None`: this client has one tested already, or too many others have.
    pub(crate) fn test(&self, client: ClientNo) -> Option<Testing<'_>> {
        let client = self.client(client);
        if !client.tests.take() {
            return None;
        }
        if !self.tests.take() {
            client.tests.leave();
            return None;
        }
        Some(Testing { load: self, client })
    }
}

impl InFlight {
    /// It is this client's. `false`: it has too many.
    pub(crate) fn belongs_to(&mut self, client: ClientNo) -> bool {
        let client = self.load.client(client);
        let is_let_in = client.in_flight.take();
        self.client = is_let_in.then_some(client);
        is_let_in
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.load.in_flight.leave();
        if let Some(client) = &self.client {
            client.in_flight.leave();
        }
    }
}

impl Drop for Waiting<'_> {
    /// In flight again, even if that is one too many: all that is left to do is to answer.
    fn drop(&mut self) {
        self.load.waiting.leave();
        self.client.waiting.leave();
        self.load.in_flight.come_back();
        self.client.in_flight.come_back();
    }
}

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        self.0.webhooks.leave();
    }
}

impl Drop for Testing<'_> {
    fn drop(&mut self) {
        self.load.tests.leave();
        self.client.tests.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ClientNo = ClientNo(1);
    const OTHER: ClientNo = ClientNo(2);

    fn load(max_in_flight: usize, max_waiting: usize) -> Arc<Load> {
        Load::new(&config::Api { max_in_flight, max_waiting, ..config::Api::default() }, &Metrics::new())
    }

    /// A request of this client's.
    fn enter(load: &Arc<Load>, client: ClientNo) -> Option<InFlight> {
        let mut in_flight = load.enter()?;
        in_flight.belongs_to(client).then_some(in_flight)
    }

    #[test]
    fn one_too_many_is_turned_away_until_somebody_leaves() {
        let load = load(2, 1);
        let (first, _second) = (load.enter().expect("room"), load.enter().expect("room"));
        assert!(load.enter().is_none() && load.enter().is_none());
        drop(first);
        assert!(load.enter().is_some());
    }

    #[test]
    fn no_client_has_more_than_a_quarter_in_hand() {
        let load = load(8, 1);
        let (first, _second) = (enter(&load, ONE).expect("room"), enter(&load, ONE).expect("room"));
        assert!(enter(&load, ONE).is_none() && enter(&load, ONE).is_none());
        let _others = (enter(&load, OTHER).expect("room"), enter(&load, OTHER).expect("room"));
        drop(first);
        assert!(enter(&load, ONE).is_some(), "what was refused is not counted");
        assert_eq!(load.in_flight.taken(), 3);
    }

    #[test]
    fn who_waits_makes_room() {
        let load = load(1, 1);
        let _first = enter(&load, ONE).expect("room");
        let waiting = load.wait(ONE).expect("room");
        let _second = enter(&load, ONE).expect("room that the first has made");
        assert!(load.wait(ONE).is_none(), "one waits already");
        assert!(load.enter().is_none());
        drop(waiting);
        assert_eq!(load.in_flight.taken(), 2, "both are answered");
    }

    #[test]
    fn no_client_takes_more_than_a_quarter_of_the_places_for_waiting() {
        let load = load(100, 8);
        let _in_flight: Vec<_> = [ONE, ONE, ONE, OTHER].iter().map(|client| enter(&load, *client)).collect();
        let (first, _second) = (load.wait(ONE).expect("room"), load.wait(ONE).expect("room"));
        assert!(load.wait(ONE).is_none());
        let _other = load.wait(OTHER).expect("room");
        drop(first);
        assert!(load.wait(ONE).is_some());
    }

    #[test]
    fn a_client_has_one_endpoint_tested_at_a_time_and_all_of_them_so_many() {
        let load = load(100, 8);
        let first = load.test(ONE).expect("room");
        assert!(load.test(ONE).is_none());
        let others: Vec<_> = (2..2 + TESTS as i32).map_while(|n| load.test(ClientNo(n))).collect();
        assert_eq!(others.len(), TESTS - 1);
        drop(first);
        let again = load.test(ONE).expect("room again");
        assert!(load.test(OTHER).is_none() && load.test(ClientNo(1_000)).is_none());
        drop((others, again));
        assert!(load.test(OTHER).is_some());
    }

    #[test]
    fn webhooks_on_their_way_are_few() {
        let load = load(32, 1);
        let _on_their_way = (load.hear().expect("room"), load.hear().expect("room"));
        assert!(load.hear().is_none());
    }
}
