//! How many callbacks one client's endpoint gets at once, and how many one client does whatever endpoints it names: a slow one
//! must not take all the slots, nor must a hundred slow ones of somebody who has as many names.

use crate::config::{Callbacks, Worker};
use crate::turnstile::{Turn, Turnstile};
use holdfast_domain::ClientNo;
use moka::sync::Cache;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// An endpoint of which nothing was heard for this long is forgotten.
const IDLE: Duration = Duration::from_secs(600);

const CAPACITY: u64 = 10_000;

/// A client's endpoint is what it has behind one host and port: paths may carry ids.
type Name = (ClientNo, String);

/// Which slots an attempt takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attempt {
    First,
    Later,
}

pub struct Throttle {
    limit: usize,
    endpoints: Cache<Name, Arc<Turnstile>>,
    /// A client's share of the slots of each kind: a quarter.
    firsts: usize,
    laters: usize,
    clients: Cache<(ClientNo, Attempt), Arc<Turnstile>>,
}

impl Throttle {
    pub fn new(callbacks: &Callbacks, worker: &Worker) -> Self {
        let quarter = |slots: usize| (slots / 4).max(1);
        Self {
            limit: callbacks.endpoint_concurrency,
            endpoints: Cache::builder().max_capacity(CAPACITY).time_to_idle(IDLE).build(),
            firsts: quarter(worker.tell_slots),
            laters: quarter(worker.tell_again_slots),
            clients: Cache::builder().max_capacity(CAPACITY).time_to_idle(IDLE).build(),
        }
    }

    /// Whether a first request could be made soon.
    pub fn has_room(&self, client: ClientNo, url: &Url) -> bool {
        self.client(client, Attempt::First).is_free_soon(client) && self.endpoint(client, url).is_free_soon(client)
    }

    /// A part of what this client has, to be taken before anything is read for it. Or when to come back: until then the slot
    /// is somebody else's.
    pub async fn share(&self, client: ClientNo, attempt: Attempt) -> Result<Turn, Duration> {
        self.client(client, attempt).enter(client).await
    }

    /// Leave to make a request, or when to come back.
    pub async fn enter(&self, client: ClientNo, url: &Url) -> Result<Turn, Duration> {
        self.endpoint(client, url).enter(client).await
    }

    fn endpoint(&self, client: ClientNo, url: &Url) -> Arc<Turnstile> {
        let name = (client, url.origin().ascii_serialization());
        // Who waits is counted by the slots of callbacks.
        self.endpoints.get_with(name, || Turnstile::of_requests(self.limit, usize::MAX))
    }

    fn client(&self, client: ClientNo, attempt: Attempt) -> Arc<Turnstile> {
        let limit = match attempt {
            Attempt::First => self.firsts,
            Attempt::Later => self.laters,
        };
        // Who waits holds a slot that this client has no share of.
        self.clients.get_with((client, attempt), || Turnstile::fixed(limit, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: ClientNo = ClientNo(1);
    const OTHER: ClientNo = ClientNo(2);

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    fn throttle(endpoint_concurrency: usize, tell_slots: usize, tell_again_slots: usize) -> Throttle {
        let callbacks = Callbacks { endpoint_concurrency, ..Callbacks::default() };
        let worker = Worker { tell_slots, tell_again_slots, ..Worker::default() };
        Throttle::new(&callbacks, &worker)
    }

    #[tokio::test]
    async fn an_endpoint_has_its_limit_whatever_the_path() {
        let throttle = throttle(2, 512, 64);
        let enter = async |client, text| throttle.enter(client, &url(text)).await;
        let first = enter(CLIENT, "https://a/1").await.expect("room");
        let second = enter(CLIENT, "https://a/2").await.expect("room");
        assert!(enter(CLIENT, "https://a/3").await.is_err(), "nobody leaves");
        assert!(enter(CLIENT, "https://b/").await.is_ok(), "another host");
        assert!(enter(OTHER, "https://a/").await.is_ok(), "another client");
        let waits = enter(CLIENT, "https://a/3");
        let leaves = async { drop((first, second)) };
        assert!(tokio::join!(waits, leaves).0.is_ok(), "its turn has come");
    }

    #[tokio::test]
    async fn a_client_has_a_quarter_of_the_slots_however_many_hosts_it_names() {
        let throttle = throttle(128, 16, 8);
        let mut held = Vec::new();
        for (attempt, share) in [(Attempt::First, 4), (Attempt::Later, 2)] {
            for _ in 0..share {
                held.push(throttle.share(CLIENT, attempt).await.expect("room"));
            }
            assert!(throttle.share(CLIENT, attempt).await.is_err(), "nobody leaves");
            assert!(throttle.share(OTHER, attempt).await.is_ok(), "another client");
        }
        let waiting = throttle.client(CLIENT, Attempt::First);
        let _one = tokio::spawn(async move { waiting.enter(CLIENT).await });
        tokio::task::yield_now().await;
        assert!(!throttle.has_room(CLIENT, &url("https://new/")), "not even a host that was never called");
        assert!(throttle.has_room(OTHER, &url("https://new/")));
        drop(held);
        assert!(throttle.has_room(CLIENT, &url("https://new/")));
    }
}
