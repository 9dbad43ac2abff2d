//! Bodies: what is no JSON, what is no content, and what cannot be carried.

use super::{As, Bad, Field, Site};
use holdfast_domain::Kind;

/// Fields of a good body, as JSON.
fn good(kind: Kind) -> Vec<(&'static str, &'static str)> {
    let amount = [("amount", "\"1.00\""), ("currency", "\"EUR\"")];
    match kind {
        Kind::Transaction => [&[("transactionId", "\"bad\"")], &amount[..]].concat(),
        Kind::Refund => [&[("refundId", "\"bad\""), ("originalReference", "\"a sale\"")], &amount[..]].concat(),
        Kind::Order => vec![
            ("orderId", "\"bad\""),
            ("userId", "\"u\""),
            ("productName", "\"tea\""),
            ("quantity", "1"),
            ("totalPrice", "\"1.00\""),
            ("currency", "\"EUR\""),
        ],
    }
}

fn object<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let fields = fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect::<Vec<_>>();
    format!("{{{}}}", fields.join(","))
}

fn but(kind: Kind, field: &str, value: &str) -> String {
    let others = good(kind).into_iter().filter(|(name, _)| *name != field);
    object(others.chain([(field, value)]))
}

pub(super) fn table(site: &Site) -> Vec<Bad> {
    let tables = [no_json(site), no_content(site), missing(site), of_fields(site), not_carried(site), sizes(site)];
    tables.into_iter().flatten().collect()
}

/// What no JSON parser would take (RFC 8259).
fn no_json(site: &Site) -> Vec<Bad> {
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", b"".into()),
        ("a blank", b" \n".into()),
        ("an opened object", b"{".into()),
        ("a closed object", b"}".into()),
        ("an opened list", b"[".into()),
        ("a word", b"nonsense".into()),
        ("half a word", b"tru".into()),
        ("a word in capitals", b"TRUE".into()),
        ("single quotes", b"{'amount':1}".into()),
        ("a name without quotes", b"{amount:1}".into()),
        ("a name that is a number", b"{1:1}".into()),
        ("a name without a value", b"{\"amount\":}".into()),
        ("a name alone", b"{\"amount\"}".into()),
        ("two colons", b"{\"amount\"::1}".into()),
        ("a comma too many", b"{\"amount\":1,}".into()),
        ("a comma too few", b"{\"amount\":1 \"currency\":2}".into()),
        ("a comma first", b"{,\"amount\":1}".into()),
        ("two documents", b"{} {}".into()),
        ("something behind it", b"{}x".into()),
        ("a comment", b"{} // why".into()),
        ("NaN", b"{\"amount\":NaN}".into()),
        ("Infinity", b"{\"amount\":Infinity}".into()),
        ("a leading zero", b"{\"amount\":01}".into()),
        ("a point last", b"{\"amount\":1.}".into()),
        ("a point first", b"{\"amount\":.5}".into()),
        ("a plus", b"{\"amount\":+1}".into()),
        ("a minus alone", b"{\"amount\":-}".into()),
        ("hexadecimal", b"{\"amount\":0x1}".into()),
        ("an exponent without digits", b"{\"amount\":1e}".into()),
        ("a string without an end", b"{\"amount\":\"1}".into()),
        ("an unknown escape", b"{\"amount\":\"\\x31\"}".into()),
        ("half an escape", b"{\"amount\":\"\\u00\"}".into()),
        ("a raw control character", b"{\"amount\":\"\x01\"}".into()),
        ("a raw line feed", b"{\"amount\":\"1\n\"}".into()),
        ("a raw NUL", b"{\"amount\":1}\0".into()),
        ("a byte order mark", b"\xef\xbb\xbf{\"amount\":1}".into()),
        ("UTF-16", b"\xff\xfe{\0}\0".into()),
        ("a byte that is no UTF-8", b"{\"amount\":\"\xff\"}".into()),
        ("a name that is no UTF-8", b"{\"\xc3\":1}".into()),
        ("an overlong slash", b"{\"amount\":\"\xc0\xaf\"}".into()),
        ("an encoded surrogate", b"{\"amount\":\"\xed\xa0\x80\"}".into()),
        ("a vertical tab", b"{\x0b}".into()),
        ("a no-break space", b"{\xc2\xa0}".into()),
        ("a form", b"amount=1&currency=EUR".into()),
        ("XML", b"<transaction/>".into()),
        ("brackets without end", "[".repeat(60_000).into()),
    ];
    let of = |(name, body): (&str, Vec<u8>)| {
        let endpoint = site.request("PUT", "/api/v1/callback-endpoint").json(&body);
        let refused = As(400, "unparseable-body");
        [
            Bad::new(format!("no JSON: {name}"), site.post(Kind::Transaction, body), refused.clone()),
            Bad::new(format!("no JSON of an endpoint: {name}"), endpoint, refused),
        ]
    };
    bodies.into_iter().flat_map(of).collect()
}

/// JSON that is no object, or nests too deep, or is an endpoint that is none.
fn no_content(site: &Site) -> Vec<Bad> {
    let mut table = Vec::new();
    for body in ["[]", "null", "true", "1", "\"{}\"", "[{}]"] {
        for kind in Kind::ALL {
            table.push(Bad::new(format!("{kind}: {body}"), site.post(kind, body), Field(String::new())));
        }
        let endpoint = site.request("PUT", "/api/v1/callback-endpoint").json(body);
        table.push(Bad::new(format!("endpoint: {body}"), endpoint, Field(String::new())));
    }
    let deep = format!("{}1{}", "{\"a\":".repeat(16), "}".repeat(16));
    let deep = but(Kind::Transaction, "metadata", &deep);
    let pointer = format!("/metadata{}", "/a".repeat(15));
    table.push(Bad::new("sixteen objects in metadata", site.post(Kind::Transaction, deep), Field(pointer)));
    for (body, pointer) in [
        ("{}", "/url"),
        (r#"{"url":null}"#, "/url"),
        (r#"{"url":7}"#, "/url"),
        (r#"{"url":"here"}"#, "/url"),
        (r#"{"url":"http://a.example/","URL":1}"#, "/URL"),
        (r#"{"url":"http://a.example/","url":"http://b.example/"}"#, "/url"),
    ] {
        let request = site.request("PUT", "/api/v1/callback-endpoint").json(body);
        table.push(Bad::new(format!("endpoint: {body}"), request, Field(pointer.to_owned())));
    }
    table
}

fn missing(site: &Site) -> Vec<Bad> {
    let mut table = Vec::new();
    for kind in Kind::ALL {
        let own = format!("{kind}Id");
        let fields = good(kind);
        for (left_out, _) in &fields {
            let others = object(fields.iter().copied().filter(|(name, _)| name != left_out));
            let refused = match *left_out {
                "currency" if kind == Kind::Order => continue,
                own_id if own_id == own => As(400, "idempotency-key-missing"),
                "originalReference" => Field("/transactionId".to_owned()),
                left_out => Field(format!("/{left_out}")),
            };
            table.push(Bad::new(format!("{kind} without {left_out}"), site.post(kind, others), refused));
        }
    }
    let both = but(Kind::Refund, "transactionId", "\"known\"");
    let both = Bad::new("two originals", site.post(Kind::Refund, both), Field("/originalReference".to_owned()));
    table.push(both);
    table
}

const AMOUNTS: [&str; 29] = [
    r#""""#,
    r#""abc""#,
    r#""-1""#,
    r#""0""#,
    r#""0.00""#,
    r#""1.001""#,
    r#""1e2""#,
    r#""1,00""#,
    r#"" 1""#,
    r#""1 ""#,
    r#""+1""#,
    r#""0x10""#,
    r#""NaN""#,
    r#""Infinity""#,
    r#""１""#,
    r#"".5""#,
    r#""1.""#,
    r#""--1""#,
    r#""1.2.3""#,
    r#""10000000000000.00""#,
    "true",
    "[]",
    "{}",
    "-1",
    "0",
    "1.001",
    "1e300",
    "1e-3",
    "null",
];

const CURRENCIES: [&str; 12] = [
    r#""eur""#,
    r#""EURO""#,
    r#""XXX""#,
    r#""XAU""#,
    r#""""#,
    r#""E""#,
    r#""€""#,
    r#"" EUR""#,
    r#""978""#,
    "978",
    "true",
    "[]",
];

const KEYS: [&str; 9] =
    [r#""""#, r#""two words""#, r#""a\tb""#, r#""a\nb""#, r#""é""#, r#""\u007f""#, "1", "true", "[]"];

const URLS: [&str; 23] = [
    r#""""#,
    r#""here""#,
    r#""/relative""#,
    r#""//a.example/""#,
    r#""ftp://a.example/""#,
    r#""javascript:alert(1)""#,
    r#""file:///etc/passwd""#,
    r#""http://""#,
    r#""http:a.example""#,
    r#""http://u@a.example/""#,
    r#""http://u:p@a.example/""#,
    r#""http://a.example/#f""#,
    r#""http://a.example/ b""#,
    r#""http://a.example/\n""#,
    r#""http://a .example/""#,
    r#""http://[::1""#,
    r#""http://a.example:99999/""#,
    r#""http://a%00.example/""#,
    r#""http://*.example/""#,
    "1",
    "true",
    "[]",
    "{}",
];

const TIMES: [&str; 9] = [
    r#""""#,
    r#""soon""#,
    r#""2026-01-31""#,
    r#""2026-13-01T00:00:00Z""#,
    r#""2026-02-30T00:00:00Z""#,
    r#""2026-01-31T25:00:00Z""#,
    r#""2026-01-31T12:00:00""#,
    "1767225600",
    "true",
];

const OBJECTS: [&str; 5] = ["[]", "1", "true", r#""{}""#, "[{}]"];

const QUANTITIES: [&str; 10] =
    ["0", "-1", "1.5", "1e3", "1.01", "1000000001", "18446744073709551616", r#""1""#, "true", "[]"];

const ITEMS: [&str; 6] = ["{}", "1", r#""tea""#, "[1]", "[[]]", "[{},null]"];

const TEXTS: [&str; 4] = ["1", "true", "[]", "{}"];

fn of_fields(site: &Site) -> Vec<Bad> {
    let mut wrong: Vec<(Kind, &str, Vec<&str>)> = Vec::new();
    for kind in Kind::ALL {
        let (own, amount) = match kind {
            Kind::Transaction => ("transactionId", "amount"),
            Kind::Refund => ("refundId", "amount"),
            Kind::Order => ("orderId", "totalPrice"),
        };
        wrong.push((kind, own, KEYS.into()));
        wrong.push((kind, amount, AMOUNTS.into()));
        wrong.push((kind, "currency", CURRENCIES.into()));
        wrong.push((kind, "metadata", OBJECTS.into()));
        wrong.push((kind, "expiresAt", TIMES.into()));
        wrong.push((kind, "callbackUrl", URLS.into()));
    }
    wrong.push((Kind::Transaction, "description", TEXTS.into()));
    wrong.push((Kind::Refund, "transactionId", KEYS.into()));
    wrong.push((Kind::Refund, "reason", TEXTS.into()));
    wrong.push((Kind::Order, "userId", TEXTS.into()));
    wrong.push((Kind::Order, "productName", TEXTS.into()));
    wrong.push((Kind::Order, "quantity", QUANTITIES.into()));
    wrong.push((Kind::Order, "timestamp", TIMES.into()));
    wrong.push((Kind::Order, "items", ITEMS.into()));
    let of = |(kind, field, values): (Kind, &'static str, Vec<&'static str>)| {
        values.into_iter().map(move |value| (kind, field, but(kind, field, value), value))
    };
    let bad = |(kind, field, body, value): (Kind, &str, String, &str)| {
        Bad::new(format!("{kind}.{field} = {value}"), site.post(kind, body), Field(format!("/{field}")))
    };
    let mut table: Vec<_> = wrong.into_iter().flat_map(of).map(bad).collect();
    for (name, pointer) in
        [("amout", "/amout"), ("", "/"), ("a/b", "/a~1b"), ("__proto__", "/__proto__"), ("id", "/id")]
    {
        for kind in Kind::ALL {
            let body = but(kind, name, "1");
            table.push(Bad::new(format!("{kind} with {name:?}"), site.post(kind, body), Field(pointer.to_owned())));
        }
    }
    table
}

/// What JSON allows and neither SQS nor Postgres takes, wherever it stands; and names that are there twice.
fn not_carried(site: &Site) -> Vec<Bad> {
    let mut table = Vec::new();
    let mut push = |name: String, body: String, pointer: &str| {
        table.push(Bad::new(name, site.post(Kind::Transaction, body), Field(pointer.to_owned())));
    };
    for escape in
        ["\\u0000", "\\u0001", "\\u001f", "\\b", "\\f", "\\ud800", "\\udc00", "\\udc00\\ud800", "\\ufffe", "\\uffff"]
    {
        let of = |field, value: String| but(Kind::Transaction, field, &value);
        push(format!("description with {escape}"), of("description", format!("\"a{escape}\"")), "/description");
        push(format!("key with {escape}"), of("transactionId", format!("\"a{escape}\"")), "/transactionId");
        let metadata = of("metadata", format!("{{\"k\":[\"{escape}\"]}}"));
        push(format!("metadata with {escape}"), metadata, "/metadata/k/0");
    }
    push(
        "description with a raw U+FFFF".to_owned(),
        but(Kind::Transaction, "description", "\"\u{ffff}\""),
        "/description",
    );
    push("a name with a surrogate".to_owned(), but(Kind::Transaction, "metadata", r#"{"\ud800":1}"#), "/metadata");
    push("a name twice in metadata".to_owned(), but(Kind::Transaction, "metadata", r#"{"a":1,"a":1}"#), "/metadata/a");
    push(
        "a name twice in other words".to_owned(),
        but(Kind::Transaction, "metadata", r#"{"a":1,"\u0061":1}"#),
        "/metadata/a",
    );
    for kind in Kind::ALL {
        let fields = good(kind);
        let twice = object(fields.iter().copied().chain(fields.first().copied()));
        let pointer = format!("/{}", fields[0].0);
        table.push(Bad::new(format!("{kind} with {} twice", fields[0].0), site.post(kind, twice), Field(pointer)));
    }
    table
}

fn sizes(site: &Site) -> Vec<Bad> {
    let text = |length: usize| format!("\"{}\"", "x".repeat(length));
    let mut table = Vec::new();
    for (kind, field, most) in [
        (Kind::Transaction, "transactionId", 255),
        (Kind::Transaction, "description", 500),
        (Kind::Refund, "refundId", 255),
        (Kind::Refund, "originalReference", 255),
        (Kind::Refund, "reason", 500),
        (Kind::Order, "orderId", 255),
        (Kind::Order, "userId", 255),
        (Kind::Order, "productName", 500),
    ] {
        let body = but(kind, field, &text(most + 1));
        let name = format!("{kind}.{field} of {} characters", most + 1);
        table.push(Bad::new(name, site.post(kind, body), Field(format!("/{field}"))));
    }
    let items = format!("[{}]", vec!["{}"; 501].join(","));
    let items = site.post(Kind::Order, but(Kind::Order, "items", &items));
    table.push(Bad::new("501 items", items, Field("/items".to_owned())));
    let long = format!("\"http://a.example/{}\"", "x".repeat(2048));
    let long = site.post(Kind::Refund, but(Kind::Refund, "callbackUrl", &long));
    table.push(Bad::new("a callbackUrl of 2065 characters", long, Field("/callbackUrl".to_owned())));
    let many: Vec<String> = (0..5_000).map(|at| format!("\"f{at}\":1")).collect();
    let many = site.post(Kind::Transaction, format!("{{{}}}", many.join(",")));
    table.push(Bad::new("thousands of unknown fields", many, Field("/amount".to_owned())));
    for kind in Kind::ALL {
        let large = but(kind, "metadata", &format!("{{\"k\":{}}}", text(65_536)));
        table.push(Bad::new(format!("{kind} above 64 KiB"), site.post(kind, large), As(413, "payload-too-large")));
    }
    let endpoint = site.request("PUT", "/api/v1/callback-endpoint").json(text(65_536));
    table.push(Bad::new("endpoint above 64 KiB", endpoint, As(413, "payload-too-large")));
    table
}
