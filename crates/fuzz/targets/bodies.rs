//! Bodies of requests: what is accepted is carried to the end by everything behind the API, what is refused is refused with
//! an answer of modest size.

use crate::carried;
use holdfast_api::fuzzing;
use holdfast_app::query;
use holdfast_domain::command::is_key;
use holdfast_domain::content::Content;
use holdfast_domain::endpoint::Endpoint;
use holdfast_domain::journal::{self, Entry};
use holdfast_domain::json::{self, Document, Node};
use holdfast_domain::message;
use holdfast_domain::vouched::{Unsigned, Vouched};
use holdfast_domain::{ClientNo, Command, CommandId, CommandNo, Kind, ServerKey};
use http::{HeaderMap, HeaderValue};

const CLIENT: ClientNo = ClientNo(7);
const HEADER_KEY: &str = "of-the-header";

/// However much is wrong with a body.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

pub(crate) fn transaction(input: &[u8]) {
    check(Kind::Transaction, input);
}

pub(crate) fn refund(input: &[u8]) {
    check(Kind::Refund, input);
}

pub(crate) fn order(input: &[u8]) {
    check(Kind::Order, input);
}

fn check(kind: Kind, input: &[u8]) {
    let key = carried::key();
    // So that a body without an id of its own can be accepted.
    let headers = HeaderMap::from_iter([(
        http::HeaderName::from_static("idempotency-key"),
        HeaderValue::from_static(HEADER_KEY),
    )]);
    let read = |body: &[u8]| fuzzing::command(kind, &key, CLIENT, &headers, body);
    match read(input) {
        Err(refused) => {
            assert!(refused.status.is_client_error(), "{}", refused.status);
            assert!(refused.body.len() <= MAX_ANSWER_BYTES, "{} bytes", refused.body.len());
        }
        Ok(command) => {
            let document = json::parse(input).expect("what was accepted is JSON");
            identifies(&command, &document, &key);
            let again = serde_json::to_vec(&document.root).expect("what was parsed serialises");
            let again = read(&again).unwrap_or_else(|_| panic!("the same in other words is accepted too"));
            assert_eq!((again.id, again.fingerprint), (command.id, command.fingerprint));
            is_echoed(kind, &query::read(kind, &command.body).expect("a worker reads it"));
            is_carried(command, input);
        }
    }
}

fn identifies(command: &Command, document: &Document, key: &ServerKey) {
    assert!(is_key(&command.key));
    assert_eq!(command.id, CommandId::compute(key, CLIENT, command.kind, &command.key));
    assert_eq!(command.fingerprint, document.root.fingerprint());
}

/// What is said of it is content too, and says the same: nothing was lost or changed on the way.
fn is_echoed(kind: Kind, content: &Content) {
    let echo = serde_json::to_string(content).expect("content serialises");
    let Document { mut root, violations } = json::parse(echo.as_bytes()).expect("an echo is JSON");
    assert!(violations.is_empty(), "{violations:?}");
    if let (Kind::Refund, Node::Object(members)) = (kind, &mut root) {
        let reason = members.iter_mut().filter(|(name, _)| name == "refundReason");
        reason.for_each(|(name, _)| *name = "reason".to_owned());
    }
    let read = Content::parse(kind, Document { root, violations }).unwrap_or_else(|wrong| panic!("{wrong:?}: {echo}"));
    assert_eq!(serde_json::to_string(&read).expect("content serialises"), echo);
    assert_eq!((read.own_id(), read.callback_url()), (content.own_id(), content.callback_url()));
    assert_eq!(read.expires_at(), content.expires_at());
    assert!(!holdfast_console::fuzzing::shown(content).is_empty(), "an operator sees it");
}

fn is_carried(command: Command, input: &[u8]) {
    let as_sent = command.body.as_bytes() == input;
    assert!(as_sent || command.kind == Kind::Order, "only an order's default is filled in");
    carried::by_sqs(&command.body);
    let message = message::first(&carried::key(), CommandNo(1), command.clone());
    let text = serde_json::to_string(&message).expect("a message serialises");
    carried::by_sqs(&text);
    let read = serde_json::from_str::<message::Message>(&text).expect("it is read");
    assert_eq!(read, message);
    let message::Wakeup { command: Some(carried), mac, .. } = read.data else { panic!("it carries the command") };
    for (mac, unsigned) in [(mac, Unsigned::Refused), (None, Unsigned::Examined)] {
        let believed = Vouched::command(&carried::key(), carried.clone(), mac, unsigned);
        assert_eq!(believed.map(Vouched::into_inner).as_ref(), Ok(&command), "with and without a MAC");
    }
    let entry = Entry::Command { command }.into_message(&carried::key());
    let text = serde_json::to_string(&entry).expect("an entry serialises");
    carried::by_sqs(&text);
    assert_eq!(serde_json::from_str::<journal::Message>(&text).expect("it is read"), entry);
}

pub(crate) fn endpoint(input: &[u8]) {
    let Ok(document) = json::parse(input) else { return };
    if let Ok(Endpoint { url }) = Endpoint::parse(document) {
        crate::urls::can_be_called(&url);
    }
}
