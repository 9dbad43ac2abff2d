//! How many callbacks one client's endpoint gets at once: a slow one must not take all the slots.
//!
//! Whoever finds it full waits if its turn comes soon. Else it books a place in a line that moves as fast as the endpoint
//! answers, so that many owed to a slow one do not come back all the time.

use holdfast_domain::ClientNo;
use moka::sync::Cache;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// What is assumed of an endpoint that has not answered yet.
const FIRST_GUESS: Duration = Duration::from_millis(100);

/// Whose turn is expected within this waits for it …
const SOON: Duration = Duration::from_millis(100);

/// … but not for longer than this.
const PATIENCE: Duration = Duration::from_millis(500);

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
    waiting: AtomicU32,
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

    /// Whether a request could be made soon.
    pub fn has_room(&self, client: ClientNo, url: &Url) -> bool {
        self.endpoint(client, url).is_free_soon()
    }

    /// Leave to make a request, or when to come back.
    pub async fn enter(&self, client: ClientNo, url: &Url) -> Result<Entry, Duration> {
        let endpoint = self.endpoint(client, url);
        match endpoint.permit().await {
            Some(permit) => Ok(Entry { endpoint, _permit: permit }),
            None => Err(endpoint.place(Instant::now())),
        }
    }

    fn endpoint(&self, client: ClientNo, url: &Url) -> Arc<Endpoint> {
        let name = (client, url.origin().ascii_serialization());
        self.endpoints.get_with(name, || {
            Arc::new(Endpoint {
                permits: Arc::new(Semaphore::new(self.limit)),
                limit: u32::try_from(self.limit).unwrap_or(u32::MAX),
                waiting: AtomicU32::new(0),
                line: Mutex::new(Line { takes: FIRST_GUESS, last: None }),
            })
        })
    }
}

impl Endpoint {
    fn is_free_soon(&self) -> bool {
        self.permits.available_permits() > 0 || self.turn() <= SOON
    }

    /// When those who wait already have been let in, and one more.
    fn turn(&self) -> Duration {
        self.line().takes * (self.waiting.load(Ordering::Relaxed) + 1) / self.limit
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some(permit);
        }
        if self.turn() > SOON {
            return None;
        }
        let _waiting = Waiting::begin(&self.waiting);
        let permit = tokio::time::timeout(PATIENCE, Arc::clone(&self.permits).acquire_owned()).await;
        permit.ok()?.ok()
    }

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

/// Counted as long as it lives.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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

    #[tokio::test]
    async fn an_endpoint_has_its_limit_whatever_the_path() {
        let throttle = Throttle::new(2);
        let enter = async |client, text| throttle.enter(client, &url(text)).await;
        let first = enter(CLIENT, "https://a/1").await.expect("room");
        let second = enter(CLIENT, "https://a/2").await.expect("room");
        assert!(enter(CLIENT, "https://a/3").await.is_err(), "nobody leaves");
        assert!(enter(CLIENT, "https://b/").await.is_ok(), "another host");
        assert!(enter(ClientNo(2), "https://a/").await.is_ok(), "another client");
        let waits = enter(CLIENT, "https://a/3");
        let leaves = async { drop((first, second)) };
        assert!(tokio::join!(waits, leaves).0.is_ok(), "its turn has come");
    }

    #[tokio::test]
    async fn the_line_is_as_long_as_the_endpoint_is_slow() {
        let throttle = Throttle::new(1);
        let enter = async || throttle.enter(CLIENT, &url("https://a/")).await;
        for _ in 0..100 {
            enter().await.expect("room").leave(Duration::from_secs(1));
        }
        let _taken = enter().await.expect("room");
        assert!(!throttle.has_room(CLIENT, &url("https://a/")));
        let refused = async || enter().await.err().expect("full").as_secs_f64();
        let waits = [refused().await, refused().await, refused().await];
        for (wait, expected) in waits.into_iter().zip([2.0, 3.0, 4.0]) {
            assert!((wait - expected).abs() < 0.01, "{waits:?}");
        }
        for _ in 0..1000 {
            assert!(refused().await <= (FARTHEST + Duration::from_secs(1)).as_secs_f64());
        }
    }
}
