//! Headers: who asks, under which key, and what the body is said to be.

use super::sending::Request;
use super::{As, Bad, Site};
use holdfast_domain::Kind;
use holdfast_domain::api_key::ApiKey;

const GOOD: &str = r#"{"transactionId":"bad","amount":"1.00","currency":"EUR"}"#;
const WITHOUT_KEY: &str = r#"{"amount":"1.00","currency":"EUR"}"#;

const UNAUTHORIZED: super::Refused = As(401, "unauthorized");

pub(super) fn table(site: &Site) -> Vec<Bad> {
    [who(site), nobody(site), which_key(site), what(site)].into_iter().flatten().collect()
}

/// Every way of not saying who asks.
fn who(site: &Site) -> Vec<Bad> {
    let key = &site.api_key;
    let (almost, longer) = (&key[..key.len() - 1], format!("{key}x"));
    let stranger = ApiKey::format([1; 8], [2; 32]);
    // The name of a key of ours with the secret of another one: well formed, but for its checksum.
    let mixed = format!("{}{}", &key[..21], &stranger[21..]);
    let headers: Vec<(&str, Vec<u8>)> = vec![
        ("empty", "".into()),
        ("a scheme alone", "Bearer".into()),
        ("a scheme and a blank", "Bearer ".into()),
        ("a key alone", key.as_str().into()),
        ("Basic", format!("Basic {key}").into()),
        ("Token", format!("Token {key}").into()),
        ("a colon", format!("Bearer: {key}").into()),
        ("a tab", format!("Bearer\t{key}").into()),
        ("quotes", format!("Bearer \"{key}\"").into()),
        ("the scheme twice", format!("Bearer Bearer {key}").into()),
        ("two keys", format!("Bearer {key} {key}").into()),
        ("two keys in a list", format!("Bearer {key}, Bearer {key}").into()),
        ("a key cut short", format!("Bearer {almost}").into()),
        ("a key too long", format!("Bearer {longer}").into()),
        ("a key in capitals", format!("Bearer {}", key.to_uppercase()).into()),
        ("a key of nobody", format!("Bearer {stranger}").into()),
        ("a key of two", format!("Bearer {mixed}").into()),
        ("a key after a NUL in writing", format!("Bearer %00{key}").into()),
        ("a byte that is no text", [b"Bearer ", key.as_bytes(), b"\xff"].concat()),
        ("a word of 8 KiB", format!("Bearer {}", "x".repeat(8192)).into()),
        ("JSON", b"Bearer {\"key\":1}".into()),
        ("an SQL query", b"Bearer hfk_' or 1=1 --".into()),
    ];
    let post = |header: &[u8]| site.post(Kind::Transaction, GOOD).but("authorization", header);
    let mut table: Vec<_> = headers
        .into_iter()
        .map(|(name, header)| Bad::new(format!("authorization: {name}"), post(&header), UNAUTHORIZED))
        .collect();
    let good = format!("Bearer {key}");
    table.push(Bad::new(
        "authorization: a bad one before a good one",
        post(b"Bearer x").with("authorization", good),
        UNAUTHORIZED,
    ));
    table
}

/// Nothing of a client's is there for nobody.
fn nobody(site: &Site) -> Vec<Bad> {
    let id = &site.transaction;
    let of_one = format!("/api/v1/transactions/{id}");
    let mut requests: Vec<(String, Request)> =
        Kind::ALL.map(|kind| (format!("POST {kind}s"), site.post(kind, GOOD))).into();
    for (method, path) in [
        ("GET", "/api/v1/transactions".to_owned()),
        ("GET", "/api/v1/refunds?limit=1".to_owned()),
        ("GET", "/api/v1/orders?status=completed".to_owned()),
        ("GET", of_one.clone()),
        ("GET", format!("{of_one}/events")),
        ("GET", format!("{of_one}/callbacks")),
        ("POST", format!("{of_one}/cancel")),
        ("POST", format!("{of_one}/callbacks/evt_1/resend")),
        ("GET", "/api/v1/callback-endpoint".to_owned()),
        ("DELETE", "/api/v1/callback-endpoint".to_owned()),
        ("POST", "/api/v1/callback-endpoint/rotate-secret".to_owned()),
        ("POST", "/api/v1/callback-endpoint/test".to_owned()),
    ] {
        requests.push((format!("{method} {path}"), site.request(method, &path).body("")));
    }
    let put = site.request("PUT", "/api/v1/callback-endpoint").json(r#"{"url":"http://a.example/"}"#);
    requests.push(("PUT callback-endpoint".to_owned(), put));
    let bad = |(name, request): (String, Request)| {
        Bad::new(format!("by nobody: {name}"), request.without("authorization"), UNAUTHORIZED)
    };
    requests.into_iter().map(bad).collect()
}

fn which_key(site: &Site) -> Vec<Bad> {
    let long = "k".repeat(256);
    let malformed: [(&str, &[u8]); 14] = [
        ("empty", b""),
        ("two words", b"a b"),
        ("two words in quotes", b"\"a b\""),
        ("an opened quote", b"\"a"),
        ("a closed quote", b"\" a\""),
        ("a quote alone", b"\""),
        ("quotes around nothing", b"\"\""),
        ("a tab", b"a\tb"),
        ("a list", b"a, b"),
        ("a parameter", b"\"a\"; x=1"),
        ("a letter that is not ASCII", "é".as_bytes()),
        ("a byte that is no text", b"\xff"),
        ("256 characters", long.as_bytes()),
        ("a DEL in quotes", b"\"a b\x09\""),
    ];
    let mut table = Vec::new();
    for (name, header) in malformed {
        for (whose, body) in [("alone", WITHOUT_KEY), ("beside the body's", GOOD)] {
            let request = site.post(Kind::Transaction, body).with("idempotency-key", header);
            table.push(Bad::new(format!("key {whose}: {name}"), request, As(400, "idempotency-key-malformed")));
        }
    }
    for (name, other) in [("two keys", "b"), ("a key twice", "a")] {
        let request = site.post(Kind::Order, GOOD).with("idempotency-key", "a").with("Idempotency-Key", other);
        table.push(Bad::new(name, request, As(400, "idempotency-key-malformed")));
    }
    let underscored = site.post(Kind::Transaction, WITHOUT_KEY).with("idempotency_key", "a");
    table.push(Bad::new("a key under another name", underscored, As(400, "idempotency-key-missing")));
    let taken = r#"{"transactionId":"known","amount":"1.01","currency":"EUR"}"#;
    let taken_by_header = r#"{"amount":"1.01","currency":"EUR"}"#;
    let taken_by_header = site.post(Kind::Transaction, taken_by_header).with("idempotency-key", "\"known\"");
    let reused = As(422, "idempotency-key-reused");
    table.push(Bad::new("a key that stands for something else", site.post(Kind::Transaction, taken), reused.clone()));
    table.push(Bad::new("the same by header", taken_by_header, reused));
    table
}

/// What is not said to be plain JSON is not read.
fn what(site: &Site) -> Vec<Bad> {
    let post = |body: &str| site.post(Kind::Transaction, body);
    let types: [(&str, &[u8]); 17] = [
        ("empty", b""),
        ("text", b"text/plain"),
        ("HTML", b"text/html"),
        ("JSON as text", b"text/json"),
        ("XML", b"application/xml"),
        ("a form", b"application/x-www-form-urlencoded"),
        ("a form of parts", b"multipart/form-data; boundary=x"),
        ("a longer name", b"application/jsonx"),
        ("a shorter name", b"application/jso"),
        ("a suffix", b"application/vnd.api+json"),
        ("lines", b"application/json-seq"),
        ("a name alone", b"json"),
        ("a list", b"text/plain, application/json"),
        ("a blank inside", b"application / json"),
        ("any", b"*/*"),
        ("bytes", b"application/octet-stream"),
        ("a byte that is no text", b"application/json; x=\xff"),
    ];
    let refused = As(415, "unsupported-media-type");
    let mut table: Vec<_> = types
        .into_iter()
        .map(|(name, header)| {
            Bad::new(format!("type: {name}"), post(GOOD).but("content-type", header), refused.clone())
        })
        .collect();
    table.push(Bad::new("no type", post(GOOD).without("content-type"), refused.clone()));
    let first = post(GOOD).but("content-type", "text/plain").with("content-type", "application/json");
    table.push(Bad::new("another type before the right one", first, refused.clone()));
    let endpoint = site.request("PUT", "/api/v1/callback-endpoint").json("{}").but("content-type", "text/plain");
    table.push(Bad::new("an endpoint as text", endpoint, refused.clone()));
    for encoding in ["gzip", "GZIP", "br", "deflate", "zstd", "compress", "x", "identity, gzip", "gzip, identity", ""] {
        let request = post(GOOD).with("content-encoding", encoding);
        table.push(Bad::new(format!("encoded: {encoding:?}"), request, refused.clone()));
    }
    table
}
