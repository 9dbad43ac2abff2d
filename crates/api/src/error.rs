//! Every error that a client can get, as an RFC 9457 problem. The only file that knows HTTP statuses of errors.

use axum::response::{IntoResponse, Response};
use holdfast_app::query::Lookup;
use holdfast_app::{StoreError, accept, keys, webhook};
use holdfast_domain::json::MAX_VIOLATIONS;
use holdfast_domain::{Scope, Tombstone, Violation};
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use std::time::Duration;

/// Seconds after which a retry has a chance: when Postgres and SQS were away …
const RETRY_AFTER_S: u64 = 2;

/// … and when there was too much to do.
const RETRY_OVERLOADED_AFTER_S: u64 = 1;

#[derive(Debug)]
pub enum Problem {
    /// Not JSON.
    Unparseable(String),
    KeyMissing,
    KeyMalformed,
    /// Every wrong field at once.
    InvalidContent(Vec<Violation>),
    KeyReused,
    /// A parameter of the query, and what is wrong with it.
    InvalidQuery(String),
    /// Why it can no longer be cancelled.
    NotCancellable(String),
    /// Why this callback cannot be sent again.
    NotResendable(String),
    Unauthorized,
    /// The key is valid, and lacks this.
    InsufficientScope(Scope),
    /// A webhook whose signature does not verify, or whose time has passed.
    NotAuthentic,
    NotFound,
    /// It ended long ago; its payload is no longer kept.
    Archived(Tombstone),
    MethodNotAllowed,
    PayloadTooLarge,
    UriTooLong,
    /// The body did not come in time.
    RequestTimeout,
    UnsupportedMediaType,
    /// More than this client may ask for. There is room again after this.
    RateLimited(Duration),
    /// More than this process can do at once. Nothing of it was done.
    Overloaded,
    /// Not promised, which is not the same as not done.
    Unavailable,
    /// The cause was logged where it happened.
    Internal,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Violation],
    /// What is left of the command. Its status cannot be a member `status`: that is the problem's own (RFC 9457).
    #[serde(skip_serializing_if = "Option::is_none")]
    archived: Option<&'a Tombstone>,
}

impl Problem {
    /// Status, slug of the type, title.
    const fn describe(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unparseable(_) => (StatusCode::BAD_REQUEST, "unparseable-body", "Body is not valid JSON"),
            Self::KeyMissing => (StatusCode::BAD_REQUEST, "idempotency-key-missing", "Idempotency key is missing"),
            Self::KeyMalformed => {
                (StatusCode::BAD_REQUEST, "idempotency-key-malformed", "Idempotency key is malformed")
            }
            Self::InvalidContent(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-content", "Content is not valid"),
            Self::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "Idempotency key was used with other content",
            ),
            Self::InvalidQuery(_) => (StatusCode::BAD_REQUEST, "invalid-query", "Query is not valid"),
            Self::NotCancellable(_) => (StatusCode::CONFLICT, "not-cancellable", "It cannot be cancelled"),
            Self::NotResendable(_) => (StatusCode::CONFLICT, "not-resendable", "It cannot be sent again"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "API key is missing or not valid"),
            Self::InsufficientScope(_) => (StatusCode::FORBIDDEN, "insufficient-scope", "API key may not do this"),
            Self::NotAuthentic => {
                (StatusCode::UNAUTHORIZED, "webhook-not-authentic", "Signature is missing, not valid, or too old")
            }
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is nothing here"),
            Self::Archived(_) => (StatusCode::GONE, "archived", "It is archived"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method is not allowed here")
            }
            Self::PayloadTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large", "Body is larger than 64 KiB"),
            Self::UriTooLong => (StatusCode::URI_TOO_LONG, "uri-too-long", "URI is longer than 8 KiB"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request-timeout", "Body did not arrive in time"),
            Self::RateLimited(_) => (StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Service is overloaded"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Body must be plain application/json")
            }
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Service is unavailable"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side"),
        }
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.describe().0
    }

    pub(crate) const fn slug(&self) -> &'static str {
        self.describe().1
    }

    pub(crate) const fn title(&self) -> &'static str {
        self.describe().2
    }

    /// What a client reads.
    pub(crate) fn body(&self) -> impl Serialize + '_ {
        let (status, slug, title) = self.describe();
        // They come from several places, each of which has its own end.
        let errors = if let Self::InvalidContent(violations) = self { violations.as_slice() } else { &[] };
        let errors = &errors[..errors.len().min(MAX_VIOLATIONS)];
        let archived = if let Self::Archived(tombstone) = self { Some(tombstone) } else { None };
        let kind = format!("/problems/{slug}");
        Body { kind, title, status: status.as_u16(), detail: self.detail(), errors, archived }
    }

    /// Whole seconds, and never none.
    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Unavailable => Some(RETRY_AFTER_S),
            Self::Overloaded => Some(RETRY_OVERLOADED_AFTER_S),
            Self::RateLimited(wait) => Some(whole_seconds(*wait)),
            _ => None,
        }
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(seconds) = self.retry_after_s() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        match self {
            Self::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"holdfast\""));
            }
            Self::NotAuthentic => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Signature"));
            }
            Self::InsufficientScope(scope) => {
                headers.insert(WWW_AUTHENTICATE, insufficient(*scope));
            }
            // What is left of the body would be read as the next request.
            Self::PayloadTooLarge | Self::RequestTimeout => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
    }

    fn detail(&self) -> Option<String> {
        let text = match self {
            Self::Unparseable(detail)
            | Self::InvalidQuery(detail)
            | Self::NotCancellable(detail)
            | Self::NotResendable(detail) => {
                return Some(detail.clone());
            }
            Self::InsufficientScope(scope) => return Some(format!("It lacks the scope {scope}")),
            Self::Archived(tombstone) => return Some(tombstone.to_string()),
            Self::KeyMissing => "Send the body's own id (such as transactionId) or an Idempotency-Key header",
            Self::KeyMalformed => "An Idempotency-Key has 1 to 255 visible ASCII characters, bare or in double quotes",
            Self::KeyReused => "The first content stands. Use another key for another command",
            Self::RateLimited(_) => "Repeat it with the same key after the time that Retry-After says",
            Self::Overloaded => "Nothing was done. Repeat it with the same key after the time that Retry-After says",
            Self::Unavailable => "The request may or may not have taken effect. Repeat it with the same key",
            Self::InvalidContent(_)
            | Self::Unauthorized
            | Self::NotAuthentic
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::PayloadTooLarge
            | Self::UriTooLong
            | Self::RequestTimeout
            | Self::UnsupportedMediaType
            | Self::Internal => return None,
        };
        Some(text.to_owned())
    }
}

/// As `Retry-After` and `RateLimit` say it: rather too late than too early.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// What was looked for, or why it is not to be had.
pub(crate) fn found<T>(lookup: Lookup<T>) -> Result<T, Problem> {
    match lookup {
        Lookup::Found(found) => Ok(found),
        Lookup::Archived(tombstone) => Err(Problem::Archived(tombstone)),
        Lookup::Nothing => Err(Problem::NotFound),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.body()).expect("a problem always serialises");
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        self.add_headers(headers);
        response
    }
}

/// RFC 6750, 3.1.
fn insufficient(scope: Scope) -> HeaderValue {
    let text = format!("Bearer realm=\"holdfast\", error=\"insufficient_scope\", scope=\"{scope}\"");
    HeaderValue::try_from(text).expect("scopes are visible ASCII")
}

impl From<keys::Error> for Problem {
    fn from(error: keys::Error) -> Self {
        match error {
            keys::Error::Invalid => Self::Unauthorized,
            keys::Error::Unavailable(cause) => of_store(&cause),
            keys::Error::TooMany { wait } => Self::RateLimited(wait),
        }
    }
}

impl From<accept::Error> for Problem {
    fn from(error: accept::Error) -> Self {
        match &error {
            accept::Error::Conflict => Self::KeyReused,
            accept::Error::Overloaded => Self::Overloaded,
            accept::Error::Archived(tombstone) => Self::Archived(*tombstone),
            accept::Error::Unavailable(cause) => {
                tracing::warn!(error = cause as &dyn std::error::Error, "could not accept a command");
                Self::Unavailable
            }
            accept::Error::Failed(cause) => {
                tracing::error!(error = &**cause as &dyn std::error::Error, "could not accept a command");
                Self::Internal
            }
        }
    }
}

impl From<webhook::Error> for Problem {
    fn from(error: webhook::Error) -> Self {
        match error {
            webhook::Error::UnknownPartner => Self::NotFound,
            webhook::Error::NotAuthentic => Self::NotAuthentic,
            webhook::Error::Unreadable(detail) => Self::Unparseable(detail),
            webhook::Error::Store(error) => error.into(),
            webhook::Error::NotTaken(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not take a webhook");
                Self::Unavailable
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        of_store(&error)
    }
}

fn of_store(error: &StoreError) -> Problem {
    match error {
        StoreError::Unavailable(_) | StoreError::Locked(_) | StoreError::ReadOnly => {
            tracing::warn!(error = error as &dyn std::error::Error, "could not read from postgres");
            Problem::Unavailable
        }
        _ => {
            tracing::error!(error = error as &dyn std::error::Error, "could not read from postgres");
            Problem::Internal
        }
    }
}
