//! An HTTP endpoint of the operator's own, after the HTTP protocol binding of CloudEvents 1.0. A 2xx confirms. The events of
//! one subject go one after the other, those of different subjects at the same time.

use crate::sqs::worst;
use crate::{Failure, Sink, Unbuilt, lanes, structured};
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use holdfast_domain::cloud_event::CONTENT_TYPE;
use holdfast_domain::event::Event;
use holdfast_partners::http_client::HttpClient;
use http::header::{self, HeaderValue};
use http::request::Builder;
use http::{Method, Request, StatusCode, Uri};
use secrecy::{ExposeSecret as _, SecretString};
use std::time::Duration;
use url::Url;

/// Requests under way at once.
const LANES: usize = 16;

/// For one request and the status of its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How an event becomes a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// All of it is the body.
    #[default]
    Structured,
    /// The body is its data; everything else is in headers.
    Binary,
}

#[derive(Clone, Debug)]
pub struct HttpSettings {
    pub url: Url,
    pub mode: Mode,
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<SecretString>,
}

pub struct Http {
    client: HttpClient,
    url: Url,
    mode: Mode,
    authorization: Option<HeaderValue>,
}

impl HttpSettings {
    fn authorization(&self) -> Result<Option<HeaderValue>, Unbuilt> {
        let bearer = |token: &SecretString| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
                .map_err(|_| Unbuilt("token must be visible ASCII characters".to_owned()))?;
            value.set_sensitive(true);
            Ok(value)
        };
        self.token.as_ref().map(bearer).transpose()
    }

    /// What would fail with every event.
    pub(crate) fn check(&self) -> Result<(), Unbuilt> {
        self.url.as_str().parse::<Uri>().map_err(|error| Unbuilt(format!("url cannot be asked: {error}")))?;
        self.authorization().map(drop)
    }
}

impl Http {
    pub fn new(settings: &HttpSettings) -> Result<Self, Unbuilt> {
        let client = HttpClient::build().map_err(|error| Unbuilt(error.to_string()))?;
        let authorization = settings.authorization()?;
        Ok(Self { client, url: settings.url.clone(), mode: settings.mode, authorization })
    }

    async fn send(&self, lane: Vec<&Event>) -> Result<(), Failure> {
        for event in lane {
            let request = self.request(event).map_err(|error| refused(event, &error.to_string()))?;
            let status = self.client.status(request, ANSWER_TIMEOUT).await;
            let status = status.map_err(|error| Failure::Unavailable(error.to_string()))?;
            judge(event, status)?;
        }
        Ok(())
    }

    fn request(&self, event: &Event) -> http::Result<Request<Bytes>> {
        let mut request = Request::builder().method(Method::POST).uri(self.url.as_str());
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(traceparent) = &event.traceparent {
            request = request.header("traceparent", traceparent);
        }
        match self.mode {
            Mode::Structured => request.header(header::CONTENT_TYPE, CONTENT_TYPE).body(structured(event).into()),
            Mode::Binary => {
                let data = serde_json::to_vec(&event.data).expect("an event always serialises");
                attributes(request, event).header(header::CONTENT_TYPE, &event.datacontenttype).body(data.into())
            }
        }
    }
}

#[async_trait]
impl Sink for Http {
    async fn publish_and_await(&self, events: &[Event]) -> Result<(), Failure> {
        let lanes = lanes::divide(events, LANES).into_iter().map(|lane| self.send(lane));
        worst(join_all(lanes).await.into_iter().filter_map(Result::err))
    }
}

/// All of ours are ASCII: nothing needs to be encoded.
fn attributes(request: Builder, event: &Event) -> Builder {
    let time = event.time.map(|time| serde_json::to_value(time).expect("a time always serialises"));
    let optional = [
        ("ce-time", time.as_ref().and_then(|time| time.as_str())),
        ("ce-sequence", event.sequence.as_deref()),
        ("ce-dataschema", event.dataschema.as_deref()),
        ("ce-traceparent", event.traceparent.as_deref()),
        ("ce-partitionkey", event.partitionkey.as_deref()),
    ];
    let request = request
        .header("ce-specversion", "1.0")
        .header("ce-id", &event.id)
        .header("ce-source", &event.source)
        .header("ce-type", &event.kind)
        .header("ce-subject", &event.subject);
    optional
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .fold(request, |request, (name, value)| request.header(name, value))
}

/// 408 and 429 ask for another time, 401, 403 and 404 are about the sink and not about the event, and so is every 5xx.
fn judge(event: &Event, status: StatusCode) -> Result<(), Failure> {
    const ELSEWHERE: [StatusCode; 6] = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    match status {
        status if status.is_success() => Ok(()),
        status if status.is_client_error() && !ELSEWHERE.contains(&status) => {
            Err(refused(event, &format!("HTTP {}", status.as_u16())))
        }
        status => Err(Failure::Unavailable(format!("HTTP {}", status.as_u16()))),
    }
}

fn refused(event: &Event, why: &str) -> Failure {
    Failure::Refused { id: event.id.clone(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::tests::event;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    fn http(mode: Mode) -> Http {
        let token = Some("secret".into());
        Http::new(&HttpSettings { url: "https://sink.example/in".parse().expect("a URL"), mode, token })
            .expect("builds")
    }

    #[test]
    fn structured_is_all_in_the_body_and_binary_all_but_the_data_in_headers() {
        let event = event(7, 1);
        let structured = http(Mode::Structured).request(&event).expect("a request");
        assert_eq!(structured.headers()["content-type"], "application/cloudevents+json");
        let body: serde_json::Value = serde_json::from_slice(structured.body()).expect("JSON");
        assert_eq!(body["data"]["key"], "7");
        let binary = http(Mode::Binary).request(&event).expect("a request");
        assert_eq!(binary.headers()["content-type"], "application/json");
        for name in [
            "specversion",
            "id",
            "source",
            "type",
            "subject",
            "time",
            "sequence",
            "dataschema",
            "traceparent",
            "partitionkey",
        ] {
            let value = binary.headers()[&*format!("ce-{name}")].to_str().expect("text");
            assert_eq!(body[name], value, "{name}");
        }
        let data: serde_json::Value = serde_json::from_slice(binary.body()).expect("JSON");
        assert_eq!(data, body["data"]);
        for request in [structured, binary] {
            assert_eq!(request.headers()["authorization"], "Bearer secret");
            assert!(request.headers()["authorization"].is_sensitive());
        }
    }

    /// What is made of an answer that begins with this, and never ends.
    async fn published(answer: &'static str) -> Result<(), Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("http://{}/in", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accept");
            assert!(stream.read(&mut [0; 4096]).await.expect("read") > 0);
            stream.write_all(answer.as_bytes()).await.expect("answer");
            std::future::pending::<()>().await;
        });
        let settings = HttpSettings { url: url.parse().expect("a URL"), mode: Mode::Binary, token: None };
        let published = Http::new(&settings).expect("builds").publish_and_await(&[event(1, 0)]).await;
        serving.abort();
        published
    }

    #[tokio::test]
    async fn the_status_decides_whether_the_body_arrives_or_not() {
        assert_eq!(published("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await, Ok(()));
        let refused = published("HTTP/1.1 422 No\r\ncontent-length: 9\r\n\r\n").await;
        assert!(matches!(refused, Err(Failure::Refused { .. })), "{refused:?}");
    }

    #[test]
    fn only_what_is_about_the_event_is_a_refusal() {
        let judged = |status: u16| judge(&event(1, 0), StatusCode::from_u16(status).expect("a status"));
        assert_eq!(judged(202), Ok(()));
        for status in [400, 409, 413, 422] {
            assert!(matches!(judged(status), Err(Failure::Refused { .. })), "{status}");
        }
        for status in [301, 401, 403, 404, 408, 429, 500, 503] {
            assert!(matches!(judged(status), Err(Failure::Unavailable(_))), "{status}");
        }
    }
}
