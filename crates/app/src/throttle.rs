//! How many callbacks one client's endpoint gets at once: a slow one must not take all the slots.
//!
//! Whoever finds it full books a place in a line that moves as fast as the endpoint answers, so that many owed to a slow
//! one do not come back all the time.

use holdfast_domain::ClientNo;
use moka::sync::Cache;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// What is assumed of an endpoint that has not answered yet.
const FIRST_GUESS: Duration = Duration::from_millis(100);

/// Nobody is sent further away than this.
const FARTHEST: Duration = Duration::from_secs(60);

/// An endpoint of which nothing was heard for this long is forgotten.
const IDLE: Duration = Duration::from_secs(600);

/// A client's endpoint is what it has behind one host and port: paths may carry ids.
type Name = (ClientNo, String);

pub struct Throttle {
    limit: usize,
    endpoints: Cache<Name, Arc<Endpoint>>,
}

struct Endpoint {
    permits: Arc<Semaphore>,
    limit: u32,
    line: Mutex<Line>,
}

struct Line {
    /// What an answer takes, lately.
    takes: Duration,
    /// The last place that was given away.
    last: Option<Instant>,
}

/// The right to make one request.
pub struct Entry {
    endpoint: Arc<Endpoint>,
    _permit: OwnedSemaphorePermit,
}

impl Throttle {
    pub fn new(limit: usize) -> Self {
        Self { limit, endpoints: Cache::builder().max_capacity(10_000).time_to_idle(IDLE).build() }
    }

    /// Whether a request could be made now.
    pub fn has_room(&self, client: ClientNo, url: &Url) -> bool {
        self.endpoint(client, url).permits.available_permits() > 0
    }

    /// Leave to make a request now, or when to come back.
    pub fn enter(&self, client: ClientNo, url: &Url, now: Instant) -> Result<Entry, Duration> {
        let endpoint = self.endpoint(client, url);
        match Arc::clone(&endpoint.permits).try_acquire_owned() {
            Ok(permit) => Ok(Entry { endpoint, _permit: permit }),
            Err(_full) => Err(endpoint.place(now)),
        }
    }

    fn endpoint(&self, client: ClientNo, url: &Url) -> Arc<Endpoint> {
        let name = (client, url.origin().ascii_serialization());
        self.endpoints.get_with(name, || {
            Arc::new(Endpoint {
                permits: Arc::new(Semaphore::new(self.limit)),
                limit: u32::try_from(self.limit).unwrap_or(u32::MAX),
                line: Mutex::new(Line { takes: FIRST_GUESS, last: None }),
            })
        })
    }
}

impl Endpoint {
    fn place(&self, now: Instant) -> Duration {
        let mut line = self.line();
        let last = line.last.filter(|last| *last > now).unwrap_or(now);
        let place = (last + line.takes / self.limit).min(now + FARTHEST);
        line.last = Some(place);
        // The one whose place it takes must have had its answer.
        place - now + line.takes
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// What the answer took.
    pub fn leave(self, took: Duration) {
        let mut line = self.endpoint.line();
        line.takes = (line.takes * 7 + took) / 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: ClientNo = ClientNo(1);

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn an_endpoint_has_its_limit_whatever_the_path() {
        let (throttle, now) = (Throttle::new(2), Instant::now());
        let entries: Vec<_> = ["https://a/1", "https://a/2"].map(|text| throttle.enter(CLIENT, &url(text), now)).into();
        assert!(entries.iter().all(Result::is_ok));
        assert!(throttle.enter(CLIENT, &url("https://a/3"), now).is_err());
        assert!(throttle.has_room(CLIENT, &url("https://b/")), "another host");
        assert!(throttle.has_room(ClientNo(2), &url("https://a/")), "another client");
        drop(entries);
        assert!(throttle.enter(CLIENT, &url("https://a/3"), now).is_ok());
    }

    #[test]
    fn the_line_is_as_long_as_the_endpoint_is_slow() {
        let (throttle, now) = (Throttle::new(1), Instant::now());
        for _ in 0..100 {
            throttle.enter(CLIENT, &url("https://a/"), now).expect("room").leave(Duration::from_secs(1));
        }
        let _taken = throttle.enter(CLIENT, &url("https://a/"), now).expect("room");
        let waits =
            [(); 3].map(|()| throttle.enter(CLIENT, &url("https://a/"), now).err().expect("full").as_secs_f64());
        for (wait, expected) in waits.into_iter().zip([2.0, 3.0, 4.0]) {
            assert!((wait - expected).abs() < 0.01, "{waits:?}");
        }
        for _ in 0..1000 {
            let wait = throttle.enter(CLIENT, &url("https://a/"), now).err().expect("full");
            assert!(wait <= FARTHEST + Duration::from_secs(1));
        }
    }
}
