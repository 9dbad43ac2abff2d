//! Listeners that clients do not reach: metrics and the console. Who does has the same limits as a client, and fewer
//! connections: a neighbour must not be able to use up the file descriptors that payments come by.

use super::{Limits, Patience, serve};
use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use http::StatusCode;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Browsers open six each, and whoever collects metrics one.
const LIMITS: Limits = Limits {
    max: 256,
    patience: Patience {
        head: Duration::from_secs(10),
        answer: Duration::from_secs(10),
        idle: Duration::from_secs(90),
    },
};

/// For a request with its body, and its answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// Serves until `stop`.
pub async fn serve_inside(listener: TcpListener, router: Router, stop: CancellationToken) {
    serve_within(LIMITS, DEADLINE, listener, router, stop).await;
}

async fn serve_within(
    limits: Limits,
    deadline: Duration,
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) {
    let router = router.layer(middleware::from_fn(move |request: Request, next: Next| within(deadline, request, next)));
    let service = |peer: SocketAddr| {
        router.clone().map_request(move |mut request: Request| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request
        })
    };
    serve(listener, service, limits, None, stop.cancelled_owned()).await;
}

async fn within(deadline: Duration, request: Request, next: Next) -> Result<Response, StatusCode> {
    tokio::time::timeout(deadline, next.run(request)).await.map_err(|_elapsed| StatusCode::REQUEST_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    const SOON: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_secs(60);

    /// What somebody hears who says this and no more, until it is hung up on.
    async fn heard(patience: Patience, deadline: Duration, said: &str) -> String {
        let router = Router::new()
            .route("/peer", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string()))
            .route("/form", post(async |_body: String| "taken"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let _stops = stop.clone().drop_guard();
        tokio::spawn(serve_within(Limits { max: 2, patience }, deadline, listener, router, stop));
        let mut socket = TcpStream::connect(address).await.expect("connect");
        socket.write_all(said.as_bytes()).await.expect("send");
        let mut heard = String::new();
        drop(socket.read_to_string(&mut heard).await);
        heard
    }

    #[tokio::test]
    async fn a_neighbour_has_the_limits_of_a_client() {
        let patient = Patience { head: LATE, answer: LATE, idle: LATE };
        let hasty = Patience { head: SOON, idle: SOON, ..patient };
        assert_eq!(heard(hasty, LATE, "GET /peer HTTP/1.1\r\nhost: h\r\nx: ").await, "", "half a head");
        let asked = heard(hasty, LATE, "GET /peer HTTP/1.1\r\nhost: h\r\n\r\n").await;
        assert!(asked.starts_with("HTTP/1.1 200") && asked.ends_with("127.0.0.1"), "{asked}");
        let form = "POST /form HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 9\r\n\r\nhalf";
        let dripping = heard(patient, SOON, form).await;
        assert!(dripping.starts_with("HTTP/1.1 408"), "{dripping}");
    }
}
