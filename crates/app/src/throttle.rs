//! How many callbacks one client's endpoint gets at once: a slow one must not take all the slots.

use crate::turnstile::{Turn, Turnstile};
use holdfast_domain::ClientNo;
use moka::sync::Cache;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// An endpoint of which nothing was heard for this long is forgotten.
const IDLE: Duration = Duration::from_secs(600);

/// A client's endpoint is what it has behind one host and port: paths may carry ids.
type Name = (ClientNo, String);

pub struct Throttle {
    limit: usize,
    endpoints: Cache<Name, Arc<Turnstile>>,
}

impl Throttle {
    pub fn new(limit: usize) -> Self {
        Self { limit, endpoints: Cache::builder().max_capacity(10_000).time_to_idle(IDLE).build() }
    }

    /// Whether a request could be made soon.
    pub fn has_room(&self, client: ClientNo, url: &Url) -> bool {
        self.endpoint(client, url).is_free_soon(client)
    }

    /// Leave to make a request, or when to come back.
    pub async fn enter(&self, client: ClientNo, url: &Url) -> Result<Turn, Duration> {
        self.endpoint(client, url).enter(client).await
    }

    fn endpoint(&self, client: ClientNo, url: &Url) -> Arc<Turnstile> {
        let name = (client, url.origin().ascii_serialization());
        // Who waits is counted by the slots of callbacks.
        self.endpoints.get_with(name, || Turnstile::new(self.limit, usize::MAX))
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
}
