//! The only client that callbacks are sent with.

use super::{Guard, lookup, resolver};
use crate::http_client::{self, Connector, HttpClient, Resolve, Unbuilt};
use http::Uri;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt as _, service_fn};
use url::Url;

/// Opens no connection that its guard does not allow. What is refused is an error of connecting: nothing was sent.
///
/// Connections are kept and used again for the same scheme, host and port. Each was judged when it was made, and leads
/// where it led then, whatever its name has come to mean.
#[derive(Clone, Debug)]
pub struct GuardedClient(HttpClient);

impl GuardedClient {
    pub fn build(guard: &Guard) -> Result<Self, Unbuilt> {
        Self::resolving(guard, lookup::resolver())
    }

    fn resolving(guard: &Guard, resolver: impl Resolve) -> Result<Self, Unbuilt> {
        let connector = http_client::connector(resolver::guarded(guard.clone(), resolver))?;
        Ok(Self(HttpClient::with(before(connector, guard.clone()))))
    }

    pub(crate) const fn http(&self) -> &HttpClient {
        &self.0
    }
}

/// Judges what no resolver sees: scheme and port, and addresses, which the connector takes as they are.
fn before(connector: Connector, guard: Guard) -> Connector {
    BoxCloneSyncService::new(service_fn(move |to: Uri| {
        let (connector, guard) = (connector.clone(), guard.clone());
        async move {
            guard.judge(&Url::parse(&to.to_string())?)?;
            connector.oneshot(to).await
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::{Callback, Deliverer, Delivery};
    use crate::egress::{Ports, Rules};
    use axum::Router;
    use axum::serve::ListenerExt as _;
    use bytes::Bytes;
    use http::header::CONNECTION;
    use http::{Request, StatusCode};
    use hyper_util::client::legacy::connect::dns::Name;
    use secrecy::SecretSlice;
    use std::future::{IntoFuture as _, ready};
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;
    use tokio::net::TcpListener;
    use tower::BoxError;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Somebody who listens, and counts who connects.
    struct Place {
        address: SocketAddr,
        connections: Arc<AtomicUsize>,
    }

    impl Place {
        fn of(listener: TcpListener) -> Self {
            let connections = Arc::new(AtomicUsize::new(0));
            let (address, count) = (listener.local_addr().expect("an address"), Arc::clone(&connections));
            let listener = listener.tap_io(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
            });
            // Each request is a connection of its own.
            let router = Router::new().fallback(async || (StatusCode::NO_CONTENT, [(CONNECTION, "close")]));
            tokio::spawn(axum::serve(listener, router).into_future());
            Self { address, connections }
        }

        async fn at(address: &str) -> Self {
            Self::of(TcpListener::bind(address).await.expect("bind"))
        }

        /// Two with one port: that of 127.0.0.2 and that of 127.0.0.1.
        async fn two() -> (Self, Self) {
            loop {
                let outside = TcpListener::bind("127.0.0.2:0").await.expect("bind");
                let port = outside.local_addr().expect("an address").port();
                if let Ok(inside) = TcpListener::bind(("127.0.0.1", port)).await {
                    return (Self::of(outside), Self::of(inside));
                }
            }
        }

        /// How many have connected. Connections are accepted one after the other: when we are answered, all that were made
        /// before us have been counted.
        async fn met(&self) -> usize {
            let url = Url::parse(&format!("http://{}/", self.address)).expect("a URL");
            let client = HttpClient::build().expect("a client that goes anywhere");
            assert!(client.is_answered(&url, PATIENCE).await, "it can be reached");
            self.connections.fetch_sub(1, Ordering::SeqCst) - 1
        }
    }

    fn guard(allow: &[&str]) -> Guard {
        let allow = allow.iter().map(|allowed| allowed.parse().expect("allowed")).collect();
        let ports: Ports = "1-65535".parse().expect("ports");
        Guard::new(Rules { allow_http: true, ports: vec![ports], allow })
    }

    async fn tell(client: &GuardedClient, url: &str) -> Delivery {
        let url = Url::parse(url).expect("a URL");
        let secrets = [SecretSlice::from(b"s".to_vec())];
        let callback =
            Callback { url: &url, secrets: &secrets, id: "id", timestamp: 0, body: Vec::new(), traceparent: None };
        Deliverer::new(PATIENCE, client.clone()).deliver(callback).await.0.outcome
    }

    fn refused(why: &str) -> Delivery {
        Delivery::Unreachable(format!("address is not allowed: {why}"))
    }

    /// The name server of an attacker: one answer when it is asked first, another one ever after.
    fn changing(asked: &Arc<AtomicUsize>, first: [u8; 4], later: [u8; 4]) -> impl Resolve {
        let asked = Arc::clone(asked);
        service_fn(move |_: Name| {
            let answer = if asked.fetch_add(1, Ordering::SeqCst) == 0 { first } else { later };
            ready(Ok::<_, BoxError>([SocketAddr::from((answer, 0))].into_iter()))
        })
    }

    /// 127.0.0.2 stands for the internet.
    #[tokio::test]
    async fn a_name_that_changes_its_address_leads_nowhere_else() {
        for (allow, inside_met, later) in [
            (&["127.0.0.2"][..], 0, refused("the name leads to none that may be called")),
            // Who sees nothing in the first case would see this.
            (&["127.0.0.0/8"][..], 1, Delivery::Delivered),
        ] {
            let (outside, inside) = Place::two().await;
            let asked = Arc::new(AtomicUsize::new(0));
            let resolver = changing(&asked, [127, 0, 0, 2], [127, 0, 0, 1]);
            let client = GuardedClient::resolving(&guard(allow), resolver).expect("a client");
            let url = format!("http://shop.example:{}/", outside.address.port());
            assert_eq!(tell(&client, &url).await, Delivery::Delivered);
            assert_eq!(asked.load(Ordering::SeqCst), 1, "the answer that was judged is the one that was used");
            assert_eq!(tell(&client, &url).await, later);
            assert_eq!((outside.met().await, inside.met().await), (1, inside_met), "{allow:?}");
        }
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_looks_like_one_of_our_network() {
        let missing =
            service_fn(|_: Name| ready(Err::<std::vec::IntoIter<SocketAddr>, BoxError>("no such name".into())));
        let internal =
            service_fn(|_: Name| ready(Ok::<_, BoxError>([SocketAddr::from(([10, 0, 0, 7], 0))].into_iter())));
        let told = async |client: GuardedClient| tell(&client, "http://db.internal/").await;
        let of_missing = told(GuardedClient::resolving(&guard(&[]), missing).expect("a client")).await;
        let of_internal = told(GuardedClient::resolving(&guard(&[]), internal).expect("a client")).await;
        assert_eq!(of_missing, of_internal);
        assert_eq!(of_missing, refused("the name leads to none that may be called"));
    }

    #[tokio::test]
    async fn an_answer_with_a_port_of_its_own_does_not_choose_the_port() {
        let other = Place::at("127.0.0.3:0").await;
        let elsewhere = other.address;
        let resolver = service_fn(move |_: Name| ready(Ok::<_, BoxError>([elsewhere].into_iter())));
        let client = GuardedClient::resolving(&guard(&["127.0.0.3"]), resolver).expect("a client");
        // Only where the URL names no port could it be another.
        let _nobody_is_there: Delivery = tell(&client, "http://shop.example/").await;
        assert_eq!(other.met().await, 0);
    }

    #[tokio::test]
    async fn an_address_in_the_url_is_judged_before_anything_is_opened() {
        let place = Place::at("127.0.0.1:0").await;
        let port = place.address.port();
        let hosts = ["127.0.0.1", "127.0.0.1.", "127.1", "2130706433", "0x7f.1", "0177.0.0.1"];
        let urls = hosts.map(|host| format!("http://{host}:{port}/"));
        let strict = GuardedClient::build(&guard(&[])).expect("a client");
        for url in &urls {
            assert_eq!(tell(&strict, url).await, refused("127.0.0.1 is loopback"), "{url}");
            // As nobody would write it who reads URLs before.
            let raw = Request::get(url).body(Bytes::new()).expect("a request");
            let unanswered = strict.http().exchange(raw, PATIENCE).await.expect_err("it is refused");
            assert_eq!(unanswered.to_string(), "address is not allowed: 127.0.0.1 is loopback", "{url}");
        }
        for (host, why) in [("::ffff:127.0.0.1", "IPv4-mapped"), ("::1", "loopback")] {
            let why = refused(&format!("{host} is {why}"));
            assert_eq!(tell(&strict, &format!("http://[{host}]:{port}/")).await, why);
        }
        assert_eq!(place.met().await, 0);

        let loose = GuardedClient::build(&guard(&["127.0.0.1"])).expect("a client");
        for url in &urls {
            assert_eq!(tell(&loose, url).await, Delivery::Delivered, "{url}");
        }
        assert_eq!(place.met().await, urls.len());
    }

    #[tokio::test]
    async fn the_systems_own_resolver_is_guarded_too() {
        let place = Place::at("127.0.0.1:0").await;
        let url = format!("http://localhost:{}/", place.address.port());
        let strict = GuardedClient::build(&guard(&[])).expect("a client");
        assert_eq!(tell(&strict, &url).await, refused("the name leads to none that may be called"));
        assert_eq!(place.met().await, 0);
        let loose = GuardedClient::build(&guard(&["localhost"])).expect("a client");
        assert_eq!(tell(&loose, &url).await, Delivery::Delivered);
        assert_eq!(place.met().await, 1);
    }

    #[tokio::test]
    async fn scheme_and_port_are_judged_also_where_the_address_is_allowed() {
        let place = Place::at("127.0.0.1:0").await;
        let rules = |allow_http, ports: &str| {
            let (ports, allow) = (ports.parse().expect("ports"), "127.0.0.1".parse().expect("allowed"));
            Guard::new(Rules { allow_http, ports: vec![ports], allow: vec![allow] })
        };
        let url = format!("http://127.0.0.1:{}/", place.address.port());
        let plain = GuardedClient::build(&rules(false, "1-65535")).expect("a client");
        assert_eq!(tell(&plain, &url).await, Delivery::Unreachable("http is not allowed, only https".to_owned()));
        let port = GuardedClient::build(&rules(true, "443")).expect("a client");
        let why = format!("port {} is not allowed, only 443, 80", place.address.port());
        assert_eq!(tell(&port, &url).await, Delivery::Unreachable(why));
        assert_eq!(place.met().await, 0);
    }
}
