//! Endpoints that answer in ways of their own: elsewhere, without an end, drop by drop.

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use axum::routing::post;
use bytes::Bytes;
use holdfast_partners::callback::{Callback, Deliverer, Delivery};
use holdfast_partners::egress::{Guard, GuardedClient, Rules};
use holdfast_partners::http_client::HttpClient;
use http::header::LOCATION;
use http::{Request, StatusCode, Uri};
use hyper::body::Frame;
use secrecy::SecretSlice;
use std::convert::Infallible;
use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use url::Url;

/// Decides only how late a failure is reported.
const PATIENCE: Duration = Duration::from_secs(30);

const CHUNK: &[u8] = &[b'x'; 16 * 1024];

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(axum::serve(listener, router).into_future());
    address
}

async fn deliver(url: &str, timeout: Duration) -> (Delivery, Option<String>) {
    let ports = vec!["1-65535".parse().expect("ports")];
    let guard = Guard::new(Rules { allow_http: true, ports, allow: vec!["127.0.0.1".parse().expect("allowed")] });
    let client = GuardedClient::build(&guard).expect("a client");
    let url = Url::parse(url).expect("a URL");
    let secrets = [SecretSlice::from(b"s".to_vec())];
    let callback =
        Callback { url: &url, secrets: &secrets, id: "id", timestamp: 0, body: b"{}".to_vec(), traceparent: None };
    let delivering = Deliverer::new(timeout, client);
    let delivered = tokio::time::timeout(PATIENCE, delivering.deliver(callback)).await.expect("it ends");
    (delivered.0.outcome, delivered.1)
}

/// A body without an end. Tells how many bytes it gave when nobody wants more.
struct Endless {
    given: usize,
    ended: mpsc::UnboundedSender<usize>,
}

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.given += CHUNK.len();
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(CHUNK)))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.ended.send(self.given).ok();
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let router = Router::new().fallback({
        let seen = Arc::clone(&seen);
        async move |uri: Uri| {
            seen.lock().expect("nobody panicked").push(uri.path().to_owned());
            match uri.path() {
                "/moved" => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "/callbacks")]).into_response(),
                _ => StatusCode::OK.into_response(),
            }
        }
    });
    let address = serve(router).await;
    let (outcome, _) = deliver(&format!("http://{address}/moved"), PATIENCE).await;
    assert_eq!(outcome, Delivery::Refused { retry_after: None });
    assert_eq!(*seen.lock().expect("nobody panicked"), ["/moved"]);
}

#[tokio::test]
async fn of_an_answer_without_an_end_only_the_beginning_is_read() {
    let (ended, mut endings) = mpsc::unbounded_channel();
    let endless = move || async move { Body::new(Endless { given: 0, ended }) };
    let address = serve(Router::new().fallback(post(endless.clone()).get(endless))).await;
    let (outcome, excerpt) = deliver(&format!("http://{address}/"), PATIENCE).await;
    assert_eq!((outcome, excerpt), (Delivery::Delivered, Some("x".repeat(200))));
    let given = tokio::time::timeout(PATIENCE, endings.recv()).await.expect("the connection was closed");
    assert!(given.is_some_and(|given| given > 0));

    let request = Request::get(format!("http://{address}/")).body(Bytes::new()).expect("a request");
    let answer = HttpClient::build().expect("a client").exchange(request, PATIENCE).await.expect("an answer");
    assert_eq!(answer.body().len(), 64 * 1024);
}

/// Accepts connections, and sends each of them this and then one byte after the other, for ever.
async fn drip(beginning: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let _request = stream.read(&mut [0; 4096]).await.expect("a request");
        stream.write_all(beginning.as_bytes()).await.expect("a beginning");
        let mut drops = tokio::time::interval(Duration::from_millis(20));
        while stream.write_all(b"x").await.is_ok() {
            drops.tick().await;
        }
    });
    address
}

#[tokio::test]
async fn an_answer_that_drips_has_one_deadline() {
    let address = drip("HTTP/1.1 200 OK\r\nx-slow: ").await;
    let (outcome, _) = deliver(&format!("http://{address}/"), Duration::from_millis(500)).await;
    assert_eq!(outcome, Delivery::Unreachable("no answer within 500 ms".to_owned()));
}

#[tokio::test]
async fn a_body_that_drips_holds_up_nobody() {
    let address = drip("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await;
    let (outcome, excerpt) = deliver(&format!("http://{address}/"), PATIENCE).await;
    assert_eq!(outcome, Delivery::Delivered);
    assert!(excerpt.is_some_and(|excerpt| excerpt.starts_with('x') && excerpt.len() < 200));
}
