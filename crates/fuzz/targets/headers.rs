//! Headers of requests. Each line of an input is the value of one header of the name in question.

use holdfast_api::fuzzing;
use holdfast_domain::command::is_key;
use http::{HeaderMap, HeaderValue};
use std::time::Duration;

pub(crate) fn named(name: &'static str, input: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in input.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    headers
}

/// The header's first value, where it is text.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub(crate) fn idempotency_key(input: &[u8]) {
    const NAME: &str = "idempotency-key";
    let headers = named(NAME, input);
    match fuzzing::idempotency_key(&headers) {
        Ok(None) => assert!(headers.is_empty()),
        Ok(Some(key)) => {
            assert!(is_key(&key));
            assert_eq!(headers.len(), 1, "which of them would it be?");
            let sent = text(&headers, NAME).expect("a key is text").trim();
            assert!(sent == key || sent == format!("\"{key}\""), "{sent:?}");
            let quoted = named(NAME, format!("\"{key}\"").as_bytes());
            assert!(fuzzing::idempotency_key(&quoted).is_ok_and(|again| again == Some(key)));
        }
        Err(refused) => assert_eq!(refused.status, 400),
    }
}

pub(crate) fn prefer(input: &[u8]) {
    let mut headers = named("prefer", input);
    let wait = fuzzing::preferred_wait(&headers);
    assert!(wait.is_none_or(|wait| wait <= Duration::from_secs(60)));
    let asked = |value: &HeaderValue| value.as_bytes().to_ascii_lowercase().windows(4).any(|window| window == b"wait");
    assert!(wait.is_none() || headers.values().any(asked));
    // Of several the first counts (RFC 7240, 2).
    headers.append("prefer", HeaderValue::from_static("respond-async, wait=7"));
    assert_eq!(fuzzing::preferred_wait(&headers), wait.or(Some(Duration::from_secs(7))));
}

pub(crate) fn none_match(input: &[u8]) {
    const TAG: &str = "W/\"7-accepted\"";
    let headers = named("if-none-match", input);
    let Some(matches) = fuzzing::none_match(&headers) else { return };
    let sent = text(&headers, "if-none-match").expect("it was read");
    assert!(!matches(TAG) || sent.trim() == "*" || sent.contains("\"7-accepted\""), "{sent:?}");
    let among_others = named("if-none-match", format!("{sent}, {TAG}").as_bytes());
    assert!(fuzzing::none_match(&among_others).is_some_and(|matches| matches(TAG)), "{sent:?}");
}

/// W3C Trace Context, 3.2: what is not exactly so is dropped.
pub(crate) fn traceparent(input: &[u8]) {
    let headers = named("traceparent", input);
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'));
    let is_well_formed = |value: &&str| {
        let (id, parent) = (value.get(3..35).unwrap_or_default(), value.get(36..52).unwrap_or_default());
        let dashes = [2, 35, 52].map(|at| value.as_bytes().get(at) == Some(&b'-'));
        value.len() == 55
            && dashes == [true; 3]
            && [&value[..2], id, parent, &value[53..]].into_iter().all(is_hex)
            && !value.starts_with("ff")
            && id.contains(|digit| digit != '0')
            && parent.contains(|digit| digit != '0')
    };
    assert_eq!(fuzzing::traceparent(&headers), text(&headers, "traceparent").filter(is_well_formed));
}

pub(crate) fn content_type(input: &[u8]) {
    let headers = named("content-type", input);
    let essence =
        |value: &str| value.split(';').next().is_some_and(|text| text.trim().to_lowercase() == "application/json");
    assert_eq!(fuzzing::is_json(&headers), text(&headers, "content-type").is_some_and(essence));
    for encoding in ["gzip", "br", "identity, gzip"] {
        let mut encoded = headers.clone();
        encoded.insert("content-encoding", HeaderValue::from_static(encoding));
        assert!(!fuzzing::is_json(&encoded));
    }
}
