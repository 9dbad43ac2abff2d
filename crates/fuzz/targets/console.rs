//! What a browser, or somebody who is none, sends to the console.

use crate::headers::named;
use holdfast_console::fuzzing;
use http::{HeaderMap, HeaderName, HeaderValue};
use url::{Url, form_urlencoded};

const CSRF: &str = "Zm9yIGEgdGVzdCwgbm90IGEgc2VjcmV0IG9mIGFueWJvZHk";

pub(crate) fn form(input: &[u8]) {
    let (all, first) = fuzzing::field(input, "why");
    assert_eq!(all.first(), first.as_ref());
    assert!(all.iter().all(|value| !value.is_empty() && value.trim() == value));
    let pairs: Vec<(String, String)> = form_urlencoded::parse(input).into_owned().collect();
    let csrf = pairs.iter().find(|(name, _)| name == "csrf").map_or("", |(_, value)| value);
    assert_eq!(fuzzing::is_signed(input, CSRF), csrf == CSRF);
    leads_nowhere_else(&fuzzing::next(input));
    let kept: Vec<_> = pairs.iter().filter(|(_, value)| !value.is_empty()).collect();
    let asked: Vec<_> = kept.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let address = fuzzing::address("/console", &asked);
    let query = address.strip_prefix("/console").expect("its path").trim_start_matches('?');
    assert!(form_urlencoded::parse(query.as_bytes()).into_owned().eq(kept.into_iter().cloned()), "{address}");
    if let Some(text) = first {
        fuzzing::command_id(&text);
    }
}

fn leads_nowhere_else(next: &str) {
    let page = Url::parse("https://console.example/console/login").expect("a URL");
    let led = page.join(next).expect("a reference");
    assert_eq!(led.origin(), page.origin(), "{next:?}");
    assert!(HeaderValue::from_bytes(next.as_bytes()).is_ok(), "{next:?}");
}

/// Each line is a `Cookie` header; the first two are read as an `Origin` and a `Host` as well.
pub(crate) fn cookie(input: &[u8]) {
    let headers = named("cookie", input);
    for (plain_http, name) in [(true, "holdfast-console="), (false, "__Host-holdfast=")] {
        let Some(token) = fuzzing::cookie(&headers, plain_http) else { continue };
        let sent = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains(&format!("{name}{token}")));
        assert!(headers.values().any(sent) && !token.contains(';'), "{token:?}");
    }
    let mut values = headers.values();
    let (Some(origin), Some(host)) = (values.next(), values.next()) else { return };
    let names = [(HeaderName::from_static("origin"), origin), (HeaderName::from_static("host"), host)];
    let from = HeaderMap::from_iter(names.map(|(name, value)| (name, value.clone())));
    if fuzzing::is_from_here(&from) {
        let (origin, host) = (origin.to_str().expect("text"), host.to_str().expect("text"));
        assert!(origin.ends_with(&format!("://{host}")), "{origin} is not of {host}");
    }
    let mut elsewhere = from;
    elsewhere.insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
    assert!(!fuzzing::is_from_here(&elsewhere));
}
