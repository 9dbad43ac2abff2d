//! Requests byte for byte: a client library would correct most of what is wrong with them.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Who has no answer by then gets none. Generous: it decides only how late a failure is reported.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub(super) struct Request {
    line: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    /// The connection is ended behind it, in this direction.
    is_cut: bool,
}

impl Request {
    pub(super) fn new(method: &str, target: &str) -> Self {
        Self::of_line(format!("{method} {target} HTTP/1.1"))
            .with("host", "holdfast.example")
            .with("connection", "close")
    }

    /// With no header at all.
    pub(super) fn of_line(line: impl Into<Vec<u8>>) -> Self {
        Self { line: line.into(), headers: Vec::new(), body: Vec::new(), is_cut: false }
    }

    #[must_use]
    pub(super) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub(super) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// The same to another address.
    #[must_use]
    pub(super) fn retargeted(mut self, target: &str) -> Self {
        self.line = format!("POST {target} HTTP/1.1").into();
        self
    }

    /// The same with its headers' names in other letters.
    #[must_use]
    pub(super) fn renamed(mut self, rename: fn(&str) -> String) -> Self {
        for (name, _) in &mut self.headers {
            *name = rename(name);
        }
        self
    }

    /// In place of what was there.
    #[must_use]
    pub(super) fn but(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).with(name, value)
    }

    /// A body and its length.
    #[must_use]
    pub(super) fn body(self, body: impl AsRef<[u8]>) -> Self {
        let request = self.but("content-length", body.as_ref().len().to_string());
        request.bytes(body)
    }

    #[must_use]
    pub(super) fn json(self, body: impl AsRef<[u8]>) -> Self {
        self.but("content-type", "application/json").body(body)
    }

    /// What follows the headers, whatever they say of it.
    #[must_use]
    pub(super) fn bytes(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.body = bytes.as_ref().to_owned();
        self
    }

    #[must_use]
    pub(super) fn cut(mut self) -> Self {
        self.is_cut = true;
        self
    }

    fn written(&self) -> Vec<u8> {
        let mut bytes = [&self.line, b"\r\n".as_slice()].concat();
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.written()))
    }
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.status, self.content_type, String::from_utf8_lossy(&self.body))
    }
}

/// The answer, if there is one before the connection ends.
pub(super) async fn send(address: SocketAddr, request: &Request) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    // Whoever is refused early may not get rid of all that it has to say.
    let _said = stream.write_all(&request.written()).await;
    if request.is_cut {
        stream.shutdown().await.expect("end this direction");
    }
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    let _whole = read.unwrap_or_else(|_elapsed| panic!("the connection never ends: {request:?}"));
    read_answer(&bytes)
}

/// The one answer: two would mean that a request was hidden in the other's body.
fn read_answer(bytes: &[u8]) -> Option<Answer> {
    let bytes = bytes.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(bytes);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head is text");
    let header = |name: &str| {
        let pairs = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        pairs.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let status = head.split(' ').nth(1)?.parse().expect("a status");
    let body = bytes[end + 4..].to_owned();
    let length = header("content-length").and_then(|length| length.parse().ok());
    assert!(body.is_empty() || length == Some(body.len()), "more than one answer: {}", String::from_utf8_lossy(bytes));
    Some(Answer { status, content_type: header("content-type").unwrap_or_default(), body })
}
