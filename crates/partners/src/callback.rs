//! Delivery of one signed callback. When to try again is decided elsewhere.

use crate::egress::GuardedClient;
use crate::exchange::{Head, NoAnswer, send_for_status};
use crate::http_client::{request, traced};
use crate::{Exchange, signature};
use holdfast_domain::cloud_event;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use http_body_util::Full;
use secrecy::{ExposeSecret as _, SecretSlice};
use std::fmt;
use std::time::Duration;
use url::Url;

/// One attempt to tell a client something.
pub struct Callback<'a> {
    pub url: &'a Url,
    /// All that are valid now, the newest first: each of them signs.
    pub secrets: &'a [SecretSlice<u8>],
    /// The CloudEvents id, the same on every retry.
    pub id: &'a str,
    /// Seconds since the epoch.
    pub timestamp: i64,
    pub body: Vec<u8>,
    pub traceparent: Option<&'a str>,
}

/// Neither what is told nor where: the address may carry a secret of the client's own.
impl fmt::Debug for Callback<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("id", &self.id).field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

/// What the client's endpoint made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// 2xx.
    Delivered,
    /// 410: the endpoint wants no more of this.
    Gone,
    /// Any other status, redirects included. It may say how long it wants to be left alone.
    Refused { retry_after: Option<Duration> },
    /// No answer, or nothing may be sent there. That too may change, with the name's addresses or our configuration.
    Unreachable(String),
}

impl Delivery {
    fn by(status: StatusCode, retry_after: Option<Duration>) -> Self {
        match status {
            status if status.is_success() => Self::Delivered,
            StatusCode::GONE => Self::Gone,
            _ => Self::Refused { retry_after },
        }
    }
}

/// Sends nothing where callbacks may not go.
#[derive(Clone, Debug)]
pub struct Deliverer {
    client: GuardedClient,
    timeout: Duration,
}

impl Deliverer {
    /// `timeout` covers connecting, the request, and what is read of the answer.
    pub const fn new(timeout: Duration, client: GuardedClient) -> Self {
        Self { client, timeout }
    }

    /// The longest that [`Self::deliver`] can take.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Answers also how the endpoint began its own answer.
    pub async fn deliver(&self, callback: Callback<'_>) -> (Exchange<Delivery>, Option<String>) {
        let Callback { url, secrets, id, timestamp, body, traceparent } = callback;
        let signatures: Vec<_> =
            secrets.iter().map(|secret| signature::sign(secret.expose_secret(), id, timestamp, &body)).collect();
        let request = request(Method::POST, url)
            .header(CONTENT_TYPE, cloud_event::CONTENT_TYPE)
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures.join(" "));
        let request = traced(request, traceparent).body(Full::new(body.into()));
        let exchange = send_for_status(self.client.http(), request, self.timeout).await;
        let Exchange { outcome, http_status, took } = exchange;
        let (outcome, excerpt) = match outcome {
            Ok(Head { status, retry_after, excerpt }) => (Delivery::by(status, retry_after), excerpt),
            Err(NoAnswer::NotSent(cause) | NoAnswer::Lost(cause)) => (Delivery::Unreachable(cause), None),
        };
        (Exchange { outcome, http_status, took }, excerpt)
    }
}
