//! What each span is called and says of itself, by OpenTelemetry's semantic conventions for HTTP and messaging where those
//! have a word for it. Never a body, a key, or more of a client's address than its host.

use crate::partnership::Partnership;
use holdfast_domain::{CommandId, Kind};
use holdfast_queue::Message;
use holdfast_store::wakeups::Claimed;
use opentelemetry::KeyValue;
use std::borrow::Cow;
use url::Url;

/// What came of something that ended in an error of ours.
pub(crate) const FAULT: &str = "fault";

/// Name and attributes.
pub type Outline = (Cow<'static, str>, Vec<KeyValue>);

/// `POST /api/v1/{kind}s`.
pub fn submission(kind: Kind) -> Outline {
    let route = format!("/api/v1/{}", kind.plural());
    let attributes = vec![
        KeyValue::new("http.request.method", "POST"),
        KeyValue::new("http.route", route.clone()),
        KeyValue::new("url.path", route.clone()),
        KeyValue::new("url.scheme", "http"),
    ];
    (format!("POST {route}").into(), attributes)
}

pub fn command_id(id: CommandId) -> KeyValue {
    KeyValue::new("command.id", id.to_string())
}

pub(crate) fn send(queue: &str, id: CommandId) -> Outline {
    messaging("send", queue, command_id(id))
}

pub(crate) fn process(message: &Message) -> Outline {
    messaging("process", &message.queue, KeyValue::new("messaging.message.id", message.id.clone()))
}

fn messaging(operation: &'static str, queue: &str, more: KeyValue) -> Outline {
    let attributes = vec![
        KeyValue::new("messaging.system", "aws_sqs"),
        KeyValue::new("messaging.destination.name", queue.to_owned()),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", operation),
        more,
    ];
    (format!("{operation} {queue}").into(), attributes)
}

/// A row that was due, and for which no message came.
pub(crate) fn due(claimed: &Claimed) -> Outline {
    (format!("{} {}", claimed.lane.name(), claimed.kind).into(), vec![command_id(claimed.id)])
}

pub(crate) fn step(name: &'static str, partner: Option<&str>) -> Outline {
    (name.into(), partner.map(|partner| KeyValue::new("partner", partner.to_owned())).into_iter().collect())
}

/// One request to a partner; `path` is that of the contract.
pub(crate) fn partner_request(partnership: &Partnership, method: &'static str, path: &str) -> Outline {
    let mut attributes = client(method, partnership.partner.base_url());
    attributes.push(KeyValue::new("partner", partnership.name.clone()));
    attributes.push(KeyValue::new("peer.service", partnership.name.clone()));
    attributes.push(KeyValue::new("url.template", path.to_owned()));
    (format!("{method} {path}").into(), attributes)
}

/// One attempt to tell a client.
pub(crate) fn callback(url: &Url, attempt: i16) -> Outline {
    let mut attributes = client("POST", url);
    attributes.push(KeyValue::new("callback.attempt", i64::from(attempt)));
    ("POST callback".into(), attributes)
}

fn client(method: &'static str, url: &Url) -> Vec<KeyValue> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let port = i64::from(url.port_or_known_default().unwrap_or_default());
    vec![
        KeyValue::new("http.request.method", method),
        KeyValue::new("server.address", host),
        KeyValue::new("server.port", port),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_clients_address_but_its_host_is_told() {
        let url = Url::parse("https://me:secret@client.example/hook/secret?token=secret").expect("a URL");
        let (name, attributes) = callback(&url, 2);
        assert!(!format!("{name} {attributes:?}").contains("secret"));
        assert!(attributes.contains(&KeyValue::new("server.address", "client.example")));
        assert!(attributes.contains(&KeyValue::new("server.port", 443)));
    }
}
