//! Addresses: paths, methods, ids, and the queries of lists.

use super::{As, Bad, Bare, Refused, Site};
use holdfast_domain::Kind;

const NOT_FOUND: Refused = As(404, "not-found");

pub(super) fn table(site: &Site) -> Vec<Bad> {
    [paths(site), methods(site), ids(site), of_others(site), queries(site)].into_iter().flatten().collect()
}

/// Nothing is decoded, resolved or guessed before a path is looked up.
fn paths(site: &Site) -> Vec<Bad> {
    let get = |path: &str| Bad::new(format!("path: GET {path}"), site.request("GET", path), NOT_FOUND);
    let post = |path: &str| {
        let good = r#"{"transactionId":"bad","amount":"1.00","currency":"EUR"}"#;
        Bad::new(format!("path: POST {path}"), site.request("POST", path).json(good), NOT_FOUND)
    };
    let read = [
        "/",
        "//",
        "/api",
        "/api/",
        "/api/v1",
        "/api/v1/",
        "/api/v2/transactions",
        "/api/v1/unicorns",
        "/favicon.ico",
        "/console",
        "/metrics",
        "/.env",
        "/.git/config",
        "/docs/../openapi.json",
        "/docs/%2e%2e/openapi.json",
        "/api/v1/webhooks",
        "/livez/",
        "/api/v1/callback-endpoint/",
        "/api/v1/callback-endpoint/secret",
    ];
    let written = [
        "/api/v1/transactions/",
        "//api/v1/transactions",
        "/api//v1/transactions",
        "/api/v1/./transactions",
        "/api/v1/orders/../transactions",
        "/api/v1/%74ransactions",
        "/api/v1/transactions%20",
        "/api/v1/transactions%00",
        "/api/v1/transactions%2f",
        "/api/v1/Transactions",
        "/API/V1/transactions",
        "/api/v1/transaction",
        "/api/v1/transactions;x=1",
        "/api/v1\\transactions",
        "/api/v1/transactions.json",
    ];
    read.map(get).into_iter().chain(written.map(post)).collect()
}

fn methods(site: &Site) -> Vec<Bad> {
    let of_one = format!("/api/v1/transactions/{}", site.transaction);
    let wrong: Vec<(&str, String)> = vec![
        ("PUT", "/api/v1/transactions".to_owned()),
        ("PATCH", "/api/v1/refunds".to_owned()),
        ("DELETE", "/api/v1/orders".to_owned()),
        ("OPTIONS", "/api/v1/transactions".to_owned()),
        ("TRACE", "/api/v1/transactions".to_owned()),
        ("QUERY", "/api/v1/transactions".to_owned()),
        ("post", "/api/v1/transactions".to_owned()),
        ("X", "/api/v1/transactions".to_owned()),
        ("POST", of_one.clone()),
        ("PUT", of_one.clone()),
        ("PATCH", of_one.clone()),
        ("DELETE", of_one.clone()),
        ("GET", format!("{of_one}/cancel")),
        ("DELETE", format!("{of_one}/cancel")),
        ("POST", format!("{of_one}/events")),
        ("DELETE", format!("{of_one}/events")),
        ("POST", format!("{of_one}/callbacks")),
        ("GET", format!("{of_one}/callbacks/evt_1/resend")),
        ("POST", "/api/v1/callback-endpoint".to_owned()),
        ("PATCH", "/api/v1/callback-endpoint".to_owned()),
        ("GET", "/api/v1/callback-endpoint/test".to_owned()),
        ("GET", "/api/v1/callback-endpoint/rotate-secret".to_owned()),
        ("GET", "/api/v1/webhooks/processor".to_owned()),
        ("PUT", "/api/v1/webhooks/processor".to_owned()),
        ("POST", "/livez".to_owned()),
        ("DELETE", "/readyz".to_owned()),
        ("POST", "/openapi.json".to_owned()),
    ];
    let bad = |(method, path): (&str, String)| {
        let request = site.request(method, &path).json("{}");
        Bad::new(format!("method: {method} {path}"), request, As(405, "method-not-allowed"))
    };
    let mut table: Vec<_> = wrong.into_iter().map(bad).collect();
    // A method that a route does not have is no secret; what HEAD would have been answered is.
    let head = |path: &str, status| Bad::new(format!("HEAD {path}"), site.request("HEAD", path), Bare(status));
    table.push(head("/api/v1/unicorns", 404));
    table.push(head("/api/v1/transactions?limit=0", 400));
    table.push(head(&format!("{of_one}/cancel"), 405));
    table
}

/// Only the one form that we give out names a command, and only of its kind.
fn ids(site: &Site) -> Vec<Bad> {
    let id = &site.transaction;
    let simple = id.replace('-', "");
    let mut other = id.clone();
    let last = if other.pop() == Some('0') { '1' } else { '0' };
    other.push(last);
    let written = [
        "not-an-id".to_owned(),
        "1".to_owned(),
        "known".to_owned(),
        "00000000-0000-0000-0000-000000000000".to_owned(),
        "ffffffff-ffff-ffff-ffff-ffffffffffff".to_owned(),
        "018f4e9b-7c1d-7a2b-8c3d-4e5f60718293".to_owned(),
        "gggggggg-gggg-gggg-gggg-gggggggggggg".to_owned(),
        simple,
        other,
        format!("%7b{id}%7d"),
        format!("urn:uuid:{id}"),
        format!("{id}%00"),
        format!("{id}%0a"),
        format!("{id}%20"),
        format!("%20{id}"),
        format!("{id},{id}"),
        id[..35].to_owned(),
        format!("{id}0"),
        id.replace('-', "_"),
        "%ff".to_owned(),
        "%".to_owned(),
        "%00".to_owned(),
        "..".to_owned(),
        "%2e%2e".to_owned(),
        "%2e%2e%2forders".to_owned(),
        "'%20or%201=1%20--".to_owned(),
        "x".repeat(5000),
    ];
    let mut table = Vec::new();
    for id in &written {
        let shown = id.chars().take(60).collect::<String>();
        let base = format!("/api/v1/transactions/{id}");
        table.push(Bad::new(format!("id: {shown}"), site.request("GET", &base), NOT_FOUND));
        let cancel = site.request("POST", &format!("{base}/cancel")).body("");
        table.push(Bad::new(format!("cancel: {shown}"), cancel, NOT_FOUND));
    }
    for kind in [Kind::Refund, Kind::Order] {
        for act in ["", "/events", "/callbacks"] {
            let path = format!("/api/v1/{}/{id}{act}", kind.plural());
            table.push(Bad::new(format!("of another kind: {kind}{act}"), site.request("GET", &path), NOT_FOUND));
        }
        let cancel = site.request("POST", &format!("/api/v1/{}/{id}/cancel", kind.plural())).body("");
        table.push(Bad::new(format!("of another kind: {kind}/cancel"), cancel, NOT_FOUND));
    }
    for callback in ["evt_1", "%00", "..", "%ff"] {
        let path = format!("/api/v1/transactions/{id}/callbacks/{callback}/resend");
        table.push(Bad::new(format!("resend {callback}"), site.request("POST", &path).body(""), NOT_FOUND));
    }
    let test = site.request("POST", "/api/v1/callback-endpoint/test").body("");
    table.push(Bad::new("a test of no endpoint", test, NOT_FOUND));
    table.push(Bad::new("no endpoint", site.request("GET", "/api/v1/callback-endpoint"), NOT_FOUND));
    table
}

/// What is another client's is not there.
fn of_others(site: &Site) -> Vec<Bad> {
    let base = format!("/api/v1/transactions/{}", site.transaction);
    let by_other = |method: &str, rest: &str| {
        let request = site.request(method, &format!("{base}{rest}")).body("");
        let request = request.but("authorization", format!("Bearer {}", site.other_api_key));
        Bad::new(format!("by another client: {method} {rest}"), request, NOT_FOUND)
    };
    let acts = [("GET", ""), ("GET", "/events"), ("GET", "/callbacks"), ("POST", "/cancel")];
    acts.map(|(method, rest)| by_other(method, rest)).into()
}

fn queries(site: &Site) -> Vec<Bad> {
    let long = format!("cursor={}", "A".repeat(4000));
    let wrong = [
        "limit=0",
        "limit=-1",
        "limit=201",
        "limit=x",
        "limit=",
        "limit",
        "limit=1e2",
        "limit=1.0",
        "limit=+5",
        "limit=%31%00",
        "limit=%EF%BC%91",
        "limit=9223372036854775808",
        "limit=5&limit=x",
        "Limit=5",
        "limit%5b%5d=5",
        "cursor=",
        "cursor=x",
        "cursor=%00",
        "cursor=MTc2NzIyNTYwMDAwMDAwMA",
        "cursor=LTEuMQ",
        "cursor=MS54",
        "cursor=MC4wMA==",
        "cursor=MC4w%0a",
        "cursor=ODAwMDAwMDAwMDAwMDAwMDAwMC4x",
        "cursor=__79",
        "cursor=MC45MjIzMzcyMDM2ODU0Nzc1ODA4",
        &long,
        "status=",
        "status=done",
        "status=Completed",
        "status=completed%00",
        "status=completed,failed",
        "createdFrom=",
        "createdFrom=yesterday",
        "createdFrom=2026-01-01",
        "createdFrom=2026-01-01T00:00:00",
        "createdFrom=2026-01-01T00:00:00+01:00",
        "createdFrom=2026-02-30T00:00:00Z",
        "createdFrom=10000-01-01T00:00:00Z",
        "createdBefore=0",
        "createdBefore=1767225600",
        "createdBefore=infinity",
        "colour=red",
        "=",
        "=x",
        "&=&",
        "%ff=1",
        "%00=1",
        "limit=5;status=done",
        "$where=1",
        "id=1",
    ];
    let of = |query: &str| {
        Kind::ALL.map(|kind| {
            let request = site.request("GET", &format!("/api/v1/{}?{query}", kind.plural()));
            let shown: String = query.chars().take(60).collect();
            Bad::new(format!("query of {kind}s: {shown}"), request, As(400, "invalid-query"))
        })
    };
    wrong.into_iter().flat_map(of).collect()
}
