//! One request and what came back, measured and bounded.

use http::StatusCode;
use reqwest::{RequestBuilder, Response};
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

/// Sends one request under a total deadline that covers the body of the answer too.
pub(crate) async fn send(request: RequestBuilder, deadline: Duration) -> Exchange<Result<Answer, NoAnswer>> {
    let started = Instant::now();
    let outcome = match tokio::time::timeout(deadline, receive(request)).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(NoAnswer::Lost(format!("no answer within {} ms", deadline.as_millis()))),
    };
    let http_status = outcome.as_ref().ok().map(|answer| answer.status.as_u16());
    Exchange { outcome, http_status, took: started.elapsed() }
}

/// Like [`send`], for an answer whose status says everything. Its body is taken off the connection if that is quick, so
/// that the connection can be used again; whether it is whole does not matter.
pub(crate) async fn send_for_status(
    request: RequestBuilder,
    deadline: Duration,
) -> Exchange<Result<StatusCode, NoAnswer>> {
    let started = Instant::now();
    let outcome = match tokio::time::timeout(deadline, request.send()).await {
        Ok(Ok(response)) => {
            let status = response.status();
            drop(tokio::time::timeout(DRAIN, read(response)).await);
            Ok(status)
        }
        Ok(Err(error)) => Err(no_answer(&error)),
        Err(_elapsed) => Err(NoAnswer::Lost(format!("no answer within {} ms", deadline.as_millis()))),
    };
    let http_status = outcome.as_ref().ok().map(|status| status.as_u16());
    Exchange { outcome, http_status, took: started.elapsed() }
}

fn no_answer(error: &reqwest::Error) -> NoAnswer {
    match error.is_connect() {
        true => NoAnswer::NotSent(cause(error)),
        false => NoAnswer::Lost(cause(error)),
    }
}

async fn receive(request: RequestBuilder) -> Result<Answer, NoAnswer> {
    let response = request.send().await.map_err(|error| no_answer(&error))?;
    let status = response.status();
    let body = read(response).await.map_err(|error| NoAnswer::Lost(cause(&error)))?;
    Ok(Answer { status, body })
}

async fn read(mut response: Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk[..chunk.len().min(MAX_ANSWER_BYTES - body.len())]);
        if body.len() == MAX_ANSWER_BYTES {
            break;
        }
    }
    Ok(body)
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
    text.chars().filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')).take(MAX_TEXT_CHARS).collect()
}
