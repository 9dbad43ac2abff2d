//! What is wrong before it is a request: lines, headers, lengths and encodings that two readers could understand in two ways.
//! What reads HTTP answers most of it, without a word.

use super::sending::Request;
use super::{As, AtMost400, Bad, Bare, Field, Refused, Site};
use holdfast_domain::Kind;

const GOOD: &str = r#"{"transactionId":"bad","amount":"1.00","currency":"EUR"}"#;
const PATH: &str = "/api/v1/transactions";

const UNPARSEABLE: Refused = As(400, "unparseable-body");

pub(super) fn table(site: &Site) -> Vec<Bad> {
    [lines(site), lengths(site), codings(site), hidden(site), lists(site), versions(site)]
        .into_iter()
        .flatten()
        .collect()
}

/// A good submission, but for its first line.
fn of_line(site: &Site, line: impl Into<Vec<u8>>) -> Request {
    let request = Request::of_line(line).with("host", "holdfast.example").with("connection", "close");
    request.with("authorization", format!("Bearer {}", site.api_key)).json(GOOD)
}

fn lines(site: &Site) -> Vec<Bad> {
    let long = format!("GET /{} HTTP/1.1", "x".repeat(70_000));
    let lines: Vec<(&str, Vec<u8>, Refused)> = vec![
        ("nothing but a word", b"nonsense".into(), Bare(400)),
        ("no version", format!("POST {PATH}").into(), Bare(400)),
        ("no path", b"POST HTTP/1.1".into(), Bare(400)),
        ("two blanks", format!("POST  {PATH} HTTP/1.1").into(), Bare(400)),
        ("a tab", format!("POST\t{PATH} HTTP/1.1").into(), Bare(400)),
        ("a blank in the path", format!("POST {PATH} x HTTP/1.1").into(), Bare(400)),
        ("a NUL in the path", format!("POST {PATH}\0 HTTP/1.1").into(), Bare(400)),
        ("a NUL in the method", format!("PO\0ST {PATH} HTTP/1.1").into(), Bare(400)),
        ("a DEL in the path", format!("POST {PATH}\x7f HTTP/1.1").into(), Bare(400)),
        ("a path without a slash", b"POST api/v1/transactions HTTP/1.1".into(), Bare(400)),
        ("version 3", format!("POST {PATH} HTTP/3.0").into(), Bare(400)),
        ("version 1.2", format!("POST {PATH} HTTP/1.2").into(), Bare(400)),
        ("version 0.9", format!("POST {PATH} HTTP/0.9").into(), Bare(400)),
        ("a small version", format!("POST {PATH} http/1.1").into(), Bare(400)),
        ("another protocol", format!("POST {PATH} ICAP/1.1").into(), Bare(400)),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0".into(), Bare(400)),
        ("a path of 70 kB", long.into(), Bare(431)),
        ("TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".into(), Bare(400)),
        ("a method with a slash", format!("PO/ST {PATH} HTTP/1.1").into(), Bare(400)),
        ("an asterisk", b"OPTIONS * HTTP/1.1".into(), As(404, "not-found")),
        ("a tunnel", b"CONNECT a.example:443 HTTP/1.1".into(), As(404, "not-found")),
        ("a proxy's address of another path", b"POST http://a.example/api/v1/x HTTP/1.1".into(), As(404, "not-found")),
    ];
    lines
        .into_iter()
        .map(|(name, line, refused)| Bad::new(format!("line: {name}"), of_line(site, line), refused))
        .collect()
}

fn lengths(site: &Site) -> Vec<Bad> {
    let length = GOOD.len();
    let post = || site.post(Kind::Transaction, GOOD);
    let mut table = Vec::new();
    for value in [
        "-1".to_owned(),
        format!("+{length}"),
        format!("{length}.0"),
        format!("0x{length:x}"),
        format!("{length} {length}"),
        format!("{length}, {length}"),
        format!("{length}; x=1"),
        format!("\"{length}\""),
        "x".to_owned(),
        String::new(),
        "18446744073709551616".to_owned(),
    ] {
        let shown = value.replace(&length.to_string(), "n");
        table.push(Bad::new(format!("length: {shown:?}"), post().but("content-length", value), Bare(400)));
    }
    let two = post().with("Content-Length", (length + 1).to_string());
    table.push(Bad::new("two lengths", two, Bare(400)));
    let shorter = post().but("content-length", (length - 1).to_string());
    table.push(Bad::new("a length too small", shorter, UNPARSEABLE));
    table.push(Bad::new("a length of nothing", post().but("content-length", "0").bytes(""), UNPARSEABLE));
    table.push(Bad::new("no length", post().without("content-length").bytes(""), UNPARSEABLE));
    let longer = post().but("content-length", (length + 1).to_string()).cut();
    table.push(Bad::new("broken off before its end", longer, AtMost400));
    table.push(Bad::new("broken off at its beginning", post().bytes(&GOOD[..1]).cut(), AtMost400));
    table
}

/// A body in chunks, as they are written here.
fn chunked(site: &Site, chunks: impl AsRef<[u8]>) -> Request {
    site.post(Kind::Transaction, "").without("content-length").with("transfer-encoding", "chunked").bytes(chunks)
}

fn codings(site: &Site) -> Vec<Bad> {
    let whole = format!("{:x}\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len());
    let good = || chunked(site, &whole);
    let mut table = Vec::new();
    for coding in ["identity", "gzip", "chunked, gzip", "chunked;q=1", "x", "chunked-x", "\"chunked\"", ""] {
        let request = good().but("transfer-encoding", coding);
        table.push(Bad::new(format!("coding: {coding:?}"), request, Bare(400)));
    }
    let chunks = [
        ("no size", format!("\r\n{GOOD}\r\n0\r\n\r\n")),
        ("a size that is no number", format!("x\r\n{GOOD}\r\n0\r\n\r\n")),
        ("a size below zero", format!("-1\r\n{GOOD}\r\n0\r\n\r\n")),
        ("a size with 0x", format!("0x{:x}\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len())),
        ("a size too large for a number", format!("fffffffffffffffff\r\n{GOOD}\r\n0\r\n\r\n")),
        ("a size too small", format!("1\r\n{GOOD}\r\n0\r\n\r\n")),
        ("no line end behind a chunk", format!("{:x}\r\n{GOOD}0\r\n\r\n", GOOD.len())),
        ("a line feed for a line end", format!("{:x}\n{GOOD}\n0\n\n", GOOD.len())),
        ("an extension without end", format!("{:x};{}\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len(), "x".repeat(20_000))),
        ("nothing in it", "0\r\n\r\n".to_owned()),
    ];
    for (name, chunks) in chunks {
        table.push(Bad::new(format!("chunks: {name}"), chunked(site, chunks), UNPARSEABLE));
    }
    let large = format!("{:x}\r\n{}\r\n0\r\n\r\n", 70_000, " ".repeat(70_000));
    table.push(Bad::new("chunks: above 64 KiB", chunked(site, large), As(413, "payload-too-large")));
    table.push(Bad::new("chunks: broken off", chunked(site, &whole[..whole.len() - 2]).cut(), AtMost400));
    table
}

/// A second request in the body of the first, for a reader that takes the other of two lengths: it is never read as one.
fn hidden(site: &Site) -> Vec<Bad> {
    let inner = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{GOOD}",
        site.api_key,
        GOOD.len()
    );
    let both = format!("0\r\n\r\n{inner}");
    let post = || site.post(Kind::Transaction, &both).without("connection");
    let length_first = post().with("transfer-encoding", "chunked");
    let coding_first = post().without("content-length").with("transfer-encoding", "chunked");
    let coding_first = coding_first.with("content-length", both.len().to_string());
    let hidden_coding = post().with("transfer-encoding", "xchunked");
    let spaced_coding = post().with("transfer-encoding ", "chunked");
    let folded_coding = post().with("x", "y\r\n transfer-encoding: chunked");
    let counted = chunked(site, format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len()));
    vec![
        Bad::new("hidden: a length, then chunks", length_first, UNPARSEABLE),
        Bad::new("hidden: chunks, then a length", coding_first, UNPARSEABLE),
        Bad::new("hidden: an unknown coding", hidden_coding, Bare(400)),
        Bad::new("hidden: a blank before a colon", spaced_coding, Bare(400)),
        Bad::new("hidden: a folded line", folded_coding, Bare(400)),
        Bad::new("hidden: within a chunk", counted, UNPARSEABLE),
    ]
}

/// Lists of headers.
fn lists(site: &Site) -> Vec<Bad> {
    let post = || site.post(Kind::Transaction, GOOD);
    let many = (0..120).fold(post(), |request, at| request.with(&format!("x-{at}"), "y"));
    let large = (0..90).fold(post(), |request, at| request.with(&format!("x-{at}"), "y".repeat(8_000)));
    let cases = [
        ("a NUL in a value", post().with("x", b"a\0b"), Bare(400)),
        ("a DEL in a value", post().with("x", b"a\x7fb"), Bare(400)),
        ("a return in a value", post().with("x", b"a\rb"), Bare(400)),
        ("a blank in a name", post().with("a b", "x"), Bare(400)),
        ("a blank behind a name", post().with("x ", "y"), Bare(400)),
        ("a name of nothing", post().with("", "x"), Bare(400)),
        ("a name with a letter that is not ASCII", post().with("é", "x"), Bare(400)),
        ("a name with a bracket", post().with("(x)", "y"), Bare(400)),
        ("a line that begins with a blank", post().with(" x", "y"), Bare(400)),
        ("a line without a colon", post().with("x\r\ny", "z"), Bare(400)),
        ("more than a hundred", many, Bare(431)),
        ("hundreds of kilobytes", large, Bare(431)),
        (
            "an expectation of something else",
            post().but("content-type", "text/plain").with("expect", "a miracle"),
            As(415, "unsupported-media-type"),
        ),
        (
            "an expectation before a body that is not read",
            post().without("authorization").with("expect", "100-continue"),
            As(401, "unauthorized"),
        ),
        (
            "an expectation before a bad body",
            site.post(Kind::Transaction, "[]").with("expect", "100-continue"),
            Field(String::new()),
        ),
        (
            "an upgrade",
            site.post(Kind::Transaction, "[]").but("connection", "upgrade, close").with("upgrade", "h2c"),
            Field(String::new()),
        ),
        (
            "a host of somebody else's",
            site.post(Kind::Transaction, "[]").but("host", "evil.example"),
            Field(String::new()),
        ),
        ("no host", site.post(Kind::Transaction, "[]").without("host"), Field(String::new())),
        (
            "another method in a header",
            site.request("GET", "/api/v1/transactions/x").with("x-http-method-override", "POST"),
            As(404, "not-found"),
        ),
    ];
    cases.into_iter().map(|(name, request, refused)| Bad::new(format!("headers: {name}"), request, refused)).collect()
}

/// The same rules for whoever speaks HTTP/1.0, or names the whole address as to a proxy.
fn versions(site: &Site) -> Vec<Bad> {
    let old = || of_line(site, format!("POST {PATH} HTTP/1.0"));
    let absolute = || of_line(site, format!("POST http://holdfast.example{PATH} HTTP/1.1"));
    vec![
        Bad::new("HTTP/1.0: no JSON", old().body("{"), UNPARSEABLE),
        Bad::new("HTTP/1.0: no content", old().body("[]"), Field(String::new())),
        Bad::new("HTTP/1.0: by nobody", old().without("authorization"), As(401, "unauthorized")),
        Bad::new("HTTP/1.0: no length", old().without("content-length"), UNPARSEABLE),
        Bad::new("HTTP/1.0: chunks", old().without("content-length").with("transfer-encoding", "chunked"), Bare(400)),
        Bad::new("whole address: no JSON", absolute().body("{"), UNPARSEABLE),
        Bad::new("whole address: by nobody", absolute().without("authorization"), As(401, "unauthorized")),
        Bad::new(
            "whole address: as text",
            absolute().but("content-type", "text/plain"),
            As(415, "unsupported-media-type"),
        ),
    ]
}
