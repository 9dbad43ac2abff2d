//! Where a client wants to be told. What was checked must be what is called: two readers of one address is how a request
//! gets where it was never meant to go.

use crate::carried;
use holdfast_domain::endpoint::Endpoint;
use holdfast_domain::json;
use http::Uri;
use url::Url;

pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let body = format!("{{\"url\": {}}}", serde_json::to_string(text).expect("text serialises"));
    if let Ok(Endpoint { url }) = Endpoint::parse(json::parse(body.as_bytes()).expect("JSON")) {
        assert_eq!(url, text);
        can_be_called(&url);
    }
}

pub(crate) fn can_be_called(text: &str) {
    carried::by_sqs(text);
    assert!(text.len() <= 2048);
    let url = Url::parse(text).expect("a URL");
    assert!(matches!(url.scheme(), "http" | "https"), "{url}");
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{url}");
    // As the HTTP client reads what the first reader has written.
    let uri: Uri = url.as_str().parse().unwrap_or_else(|error| panic!("{error}: {url}"));
    assert_eq!(uri.scheme_str(), Some(url.scheme()));
    assert_eq!(uri.host(), url.host_str());
    assert_eq!(uri.port_u16(), url.port());
    assert_eq!(uri.path(), url.path());
    assert_eq!(uri.query(), url.query());
}
