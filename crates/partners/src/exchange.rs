//! One request and what came back, measured and bounded.

use crate::http_client::HttpClient;
use bytes::{Buf as _, Bytes};
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use std::time::{Duration, Instant};

/// More than this of an answer is never read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// How long a body that nobody needs may hold up its connection.
const DRAIN: Duration = Duration::from_millis(500);

/// Longest text of somebody else's that is kept.
const MAX_TEXT_CHARS: usize = 200;

/// What came of a request, with what the audit trail wants to know.
#[derive(Clone, Debug)]
pub struct Exchange<T> {
    pub outcome: T,
    pub http_status: Option<u16>,
    pub took: Duration,
}

/// An answer that arrived whole, or as much of it as we read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
pub(crate) enum NoAnswer {
    /// The connection was never made: nothing of the request has left this machine.
    NotSent(String),
    /// Anything may have happened.
    Lost(String),
}

/// A request that could be written, or why it could not.
pub(crate) type Built = http::Result<Request<Full<Bytes>>>;

/// Sends one request under a total deadline that covers the body of the answer too.
pub(crate) async fn send(
    client: &HttpClient,
    request: Built,
    deadline: Duration,
) -> Exchange<Result<Answer, NoAnswer>> {
    let started = Instant::now();
    let outcome = match tokio::time::timeout(deadline, Box::pin(receive(client, request))).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(NoAnswer::Lost(format!("no answer within {} ms", deadline.as_millis()))),
    };
    let http_status = outcome.as_ref().ok().map(|answer| answer.status.as_u16());
    Exchange { outcome, http_status, took: started.elapsed() }
}

/// An answer whose status says everything.
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    /// How long the other side asks us to wait.
    pub(crate) retry_after: Option<Duration>,
    /// How its body begins, as text.
    pub(crate) excerpt: Option<String>,
}

/// Like [`send`], for an answer whose status says everything. Of its body is read what comes quickly, so that the
/// connection can be used again; whether it is whole does not matter. `took` is the time to the status.
pub(crate) async fn send_for_status(
    client: &HttpClient,
    request: Built,
    deadline: Duration,
) -> Exchange<Result<Head, NoAnswer>> {
    let started = Instant::now();
    let sent = tokio::time::timeout(deadline, Box::pin(begin(client, request))).await;
    let took = started.elapsed();
    let outcome = match sent {
        Ok(Ok(mut response)) => {
            let (status, retry_after) = (response.status(), retry_after(response.headers()));
            let mut body = Vec::new();
            let left = deadline.saturating_sub(took).min(DRAIN);
            drop(tokio::time::timeout(left, read(&mut response, &mut body)).await);
            let excerpt = tame(&String::from_utf8_lossy(&body));
            Ok(Head { status, retry_after, excerpt: (!excerpt.is_empty()).then_some(excerpt) })
        }
        Ok(Err(error)) => Err(error),
        Err(_elapsed) => Err(NoAnswer::Lost(format!("no answer within {} ms", deadline.as_millis()))),
    };
    let http_status = outcome.as_ref().ok().map(|head| head.status.as_u16());
    Exchange { outcome, http_status, took }
}

/// `Retry-After` (RFC 9110, 10.2.3) in seconds, or as a date, which is measured by the other side's own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let value = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let (then, now) = (httpdate::parse_http_date(value).ok()?, httpdate::parse_http_date(text(DATE)?).ok()?);
    Some(then.duration_since(now).unwrap_or_default())
}

fn no_answer(error: &legacy::Error) -> NoAnswer {
    match error.is_connect() {
        true => NoAnswer::NotSent(cause(error)),
        false => NoAnswer::Lost(cause(error)),
    }
}

async fn begin(client: &HttpClient, request: Built) -> Result<Response<Incoming>, NoAnswer> {
    let request = request.map_err(|error| NoAnswer::NotSent(cause(&error)))?;
    client.send(request).await.map_err(|error| no_answer(&error))
}

async fn receive(client: &HttpClient, request: Built) -> Result<Answer, NoAnswer> {
    let mut response = begin(client, request).await?;
    let status = response.status();
    let mut body = Vec::new();
    read(&mut response, &mut body).await.map_err(|error| NoAnswer::Lost(cause(&error)))?;
    Ok(Answer { status, body })
}

/// Reads up to the limit. What has arrived is in `body` also when this is given up.
async fn read(response: &mut Response<Incoming>, body: &mut Vec<u8>) -> hyper::Result<()> {
    while let Some(frame) = response.body_mut().frame().await {
        let Ok(chunk) = frame?.into_data() else { continue };
        body.extend_from_slice(&chunk.chunk()[..chunk.len().min(MAX_ANSWER_BYTES - body.len())]);
        if body.len() == MAX_ANSWER_BYTES {
            break;
        }
    }
    Ok(())
}

/// The innermost cause, without the URL, which may carry a client's secret.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    tame(&innermost.to_string())
}

/// Somebody else's text, made fit for `jsonb`, logs and a screen: short, without control characters.
pub(crate) fn tame(text: &str) -> String {
    text.chars().filter(|c| is_tame(*c)).take(MAX_TEXT_CHARS).collect()
}

/// What neither SQS nor `jsonb` refuses, and no terminal obeys.
pub(crate) fn is_tame(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_to_wait_is_seconds_or_a_date_by_their_own_clock() {
        let wish = |retry_after: &'static str| {
            let date = (DATE, "Sat, 31 Jan 2026 12:00:00 GMT");
            let headers =
                [date, (RETRY_AFTER, retry_after)].map(|(name, value)| (name, value.parse().expect("a value")));
            super::retry_after(&HeaderMap::from_iter(headers)).map(|wait| wait.as_secs())
        };
        assert_eq!(wish("7"), Some(7));
        assert_eq!(wish("Sat, 31 Jan 2026 12:01:00 GMT"), Some(60));
        assert_eq!(wish("Sat, 31 Jan 2026 11:00:00 GMT"), Some(0));
        assert_eq!(wish("soon"), None);
        assert_eq!(wish("-1"), None);
    }
}
