//! What callers say in headers: who they are, which key, how long they want to wait.

use crate::envelope;
use crate::error::Problem;
use crate::gate;
use crate::state::{Needing, State};
use axum::extract::FromRequestParts;
use holdfast_app::keys::{self, Holder};
use holdfast_app::limits::Allowance;
use holdfast_domain::{ClientNo, command};
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, IF_NONE_MATCH};
use http::request::Parts;
use std::time::Duration;

/// The longest that an answer is held back.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The client that this request's API key belongs to, where the key has the scope that the route needs. It has not asked
/// for more than it may.
pub(crate) struct Caller(pub(crate) ClientNo);

impl FromRequestParts<Needing> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, Needing { state, scope }: &Needing) -> Result<Self, Problem> {
        let header =
            parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or(Problem::Unauthorized)?;
        let (scheme, api_key) = header.split_once(' ').ok_or(Problem::Unauthorized)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Problem::Unauthorized);
        }
        let holder = state.keys.holder(api_key.trim()).await;
        let Holder { client, scopes, rates } = holder.inspect_err(|error| count(state, error))?;
        let allowance = if parts.method == Method::POST { Allowance::Submissions } else { Allowance::Reads };
        if let Some(standing) = state.limits.take(client, rates, allowance) {
            envelope::note(standing);
            if standing.taken.refused {
                state.app.metrics.refusing.limited(allowance.name());
                return Err(Problem::RateLimited(standing.taken.wait));
            }
        }
        if !gate::is_within_share(client) {
            state.app.metrics.refusing.limited("in_flight");
            return Err(Problem::RateLimited(gate::SOON));
        }
        if scopes.contains(*scope) { Ok(Self(client)) } else { Err(Problem::InsufficientScope(*scope)) }
    }
}

fn count(state: &State, error: &keys::Error) {
    if let keys::Error::TooMany { .. } = error {
        state.app.metrics.refusing.limited("unknown_keys");
    }
}

/// `Content-Type: application/json`, with or without parameters, and not compressed.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        && headers.get(CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity")
}

/// The `Idempotency-Key`, a quoted string (IETF draft) or bare, as many clients send it.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key("idempotency-key") { Err(Problem::KeyMalformed) } else { Ok(None) };
    };
    let text = value.to_str().map_err(|_| Problem::KeyMalformed)?.trim();
    let key = match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').ok_or(Problem::KeyMalformed)?,
        None => text,
    };
    if command::is_key(key) { Ok(Some(key.to_owned())) } else { Err(Problem::KeyMalformed) }
}

/// `Prefer: wait=N` (RFC 7240) in seconds, at most 60. A preference that cannot be read is ignored, as the RFC asks.
pub(crate) fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = preferences.flat_map(|value| value.split(','));
    preferences.find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let seconds: u64 = value.trim().trim_matches('"').parse().ok()?;
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        is_wait.then(|| Duration::from_secs(seconds).min(MAX_WAIT))
    })
}

/// Whether `If-None-Match` names this entity tag. Weak comparison (RFC 9110, 13.1.2).
pub(crate) fn none_match(headers: &HeaderMap) -> Option<impl Fn(&str) -> bool> {
    let value = headers.get(IF_NONE_MATCH)?.to_str().ok()?.to_owned();
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    Some(move |etag: &str| value.trim() == "*" || value.split(',').any(|tag| opaque(tag) == opaque(etag)))
}

/// A well-formed W3C trace context; anything else is dropped rather than passed on.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get("traceparent")?.to_str().ok()?;
    let parts = || value.split('-');
    let lengths = parts().map(str::len).eq([2, 32, 16, 2]);
    let hex = parts().all(|part| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    let names_something = parts().skip(1).take(2).all(|id| id.contains(|digit| digit != '0'));
    (lengths && hex && names_something && !value.starts_with("ff")).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn a_key_may_be_quoted_or_bare() {
        for (value, key) in
            [("abc", "abc"), ("\"abc\"", "abc"), (" \"a b\"", ""), ("\"abc", ""), ("", ""), ("\"\"", "")]
        {
            let read = idempotency_key(&with("idempotency-key", value));
            match key {
                "" => assert!(read.is_err(), "{value}"),
                key => assert_eq!(read.expect(value).as_deref(), Some(key)),
            }
        }
        assert!(matches!(idempotency_key(&HeaderMap::new()), Ok(None)));
    }

    #[test]
    fn a_wait_is_found_among_other_preferences_and_capped() {
        let wait = |value| preferred_wait(&with("prefer", value)).map(|wait| wait.as_secs());
        assert_eq!(wait("wait=30"), Some(30));
        assert_eq!(wait("respond-async, Wait=\"5\"; foo"), Some(5));
        assert_eq!(wait("wait=600"), Some(60));
        assert_eq!(wait("wait=-1"), None);
        assert_eq!(wait("return=minimal"), None);
    }

    #[test]
    fn entity_tags_are_compared_weakly() {
        let headers = with("if-none-match", "\"x\", W/\"1-accepted\"");
        let matches = none_match(&headers).expect("header");
        assert!(matches("W/\"1-accepted\"") && matches("\"1-accepted\"") && !matches("W/\"2-accepted\""));
        assert!(none_match(&with("if-none-match", "*")).expect("header")("anything"));
    }

    #[test]
    fn a_malformed_trace_context_is_dropped() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(traceparent(&with("traceparent", good)), Some(good));
        for malformed in [
            "00-0AF7-b7ad-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(traceparent(&with("traceparent", malformed)), None, "{malformed}");
        }
    }
}
