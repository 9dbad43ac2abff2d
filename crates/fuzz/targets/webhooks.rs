//! Webhooks: nothing is authentic that was not signed as it came, byte for byte.

use crate::carried;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use holdfast_domain::Status;
use holdfast_domain::journal::{self, Entry, Update};
use holdfast_partners::generic::RemoteStatus;
use holdfast_partners::signature::show_secret;
use holdfast_partners::webhook::{self, Envelope, Settings, Verifier};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;
use standardwebhooks::Webhook;

const SECRET: [u8; 32] = [7; 32];
const PREVIOUS: [u8; 24] = [9; 24];

/// As the other implementation has it, in seconds.
const TOLERANCE: i64 = 300;

fn mac(secret: &[u8], parts: [&[u8]; 2]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key");
    parts.into_iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// A line of the input with each `placeholder` filled in: else no input would ever be signed.
fn fill(line: &[u8], placeholder: u8, with: &str) -> Vec<u8> {
    let pieces: Vec<_> = line.split(|byte| *byte == placeholder).collect();
    pieces.join(with.as_bytes())
}

fn headers<const N: usize>(pairs: [(&'static str, &[u8]); N]) -> Option<HeaderMap> {
    let pair = |(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_bytes(value).ok()?));
    pairs.into_iter().map(pair).collect()
}

/// Lines: id, timestamp (`@`: now), signatures (`@` and `#`: right ones by either secret, `%`: one by nobody's), then the body.
/// Another implementation of the specification accepts the same, and nothing else.
pub(crate) fn standard(input: &[u8]) {
    let lines: Vec<_> = input.splitn(4, |byte| *byte == b'\n').collect();
    let [id, at, signatures, body] = lines[..] else { return };
    let now = now();
    let at = fill(at, b'@', &now.to_string());
    let start = [id, b".", &at, b"."].concat();
    let by = |secret: &[u8]| STANDARD.encode(mac(secret, [&start, body]));
    let signatures = fill(signatures, b'@', &by(&SECRET));
    let signatures = fill(&fill(&signatures, b'#', &by(&PREVIOUS)), b'%', &by(&[0; 32]));
    let pairs = [("webhook-id", id), ("webhook-timestamp", &at), ("webhook-signature", &signatures)];
    let Some(headers) = headers(pairs) else { return };

    let ours = verifier(None, None).verify(&headers, body);
    let seconds =
        std::str::from_utf8(&at).ok().and_then(|text| text.parse().ok().filter(|at: &i64| at.to_string() == text));
    let Some(seconds) = seconds else {
        assert_eq!(ours, None, "a number is signed in one form only");
        return;
    };
    if let Some(Envelope { event_id, timestamp }) = &ours {
        assert_eq!(event_id.as_deref().map(str::as_bytes), Some(id));
        assert_eq!(*timestamp, Some(seconds));
    }
    let off = now.abs_diff(seconds);
    // What it does not take: bodies that are no text, and clocks that tick between its look and ours. We look at a handful of
    // signatures only.
    let comparable = std::str::from_utf8(body).is_ok()
        && off.abs_diff(TOLERANCE.unsigned_abs()) > 2
        && off < 1 << 40
        && signatures.iter().filter(|byte| **byte == b' ').count() < 8;
    if comparable {
        let in_time = ours.is_some() && off <= TOLERANCE.unsigned_abs();
        let theirs = [&SECRET[..], &PREVIOUS]
            .into_iter()
            .any(|secret| Webhook::from_bytes(secret.to_vec()).expect("a secret").verify(body, &headers).is_ok());
        assert_eq!(in_time, theirs, "{headers:?}");
    }
}

/// Lines: timestamp (`@`: a good one; `-`: this partner sends none), signature (`@`: the right one), then the body.
pub(crate) fn of_their_own(input: &[u8]) {
    let lines: Vec<_> = input.splitn(3, |byte| *byte == b'\n').collect();
    let [at, signature, body] = lines[..] else { return };
    let is_timed = at != b"-";
    let at = fill(at, b'@', "1700000000");
    let start = if is_timed { [&at, &b"."[..]].concat() } else { Vec::new() };
    let right = mac(SHARED.as_bytes(), [&start, body]).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let signature = fill(signature, b'@', &right);
    let Some(headers) = headers([("x-signature", &signature), ("x-time", &at)]) else { return };
    let verified = verifier(Some("x-signature"), is_timed.then_some("x-time")).verify(&headers, body);
    let is_right = |sent: &str| sent.strip_prefix("sha256=").unwrap_or(sent).eq_ignore_ascii_case(&right);
    let is_number = |at: &str| at.parse().is_ok_and(|number: i64| number.to_string() == at);
    let expected = std::str::from_utf8(&signature).is_ok_and(is_right)
        && (!is_timed || std::str::from_utf8(&at).is_ok_and(is_number));
    assert_eq!(verified.is_some(), expected, "{headers:?}");
}

const SHARED: &str = "any text that both of them know";

fn verifier(header: Option<&str>, timestamp_header: Option<&str>) -> Verifier {
    let secrets = match header {
        None => [show_secret(&PREVIOUS).into(), show_secret(&SECRET).into()],
        Some(_) => ["an older one".to_owned().into(), SHARED.to_owned().into()],
    };
    let secrets = secrets.iter().collect();
    Verifier::new(&Settings { secrets, header, timestamp_header }).expect("valid settings")
}

/// What an authentic one says is carried by the journal where Postgres is down.
pub(crate) fn body(input: &[u8]) {
    for event_id in [None, Some("evt_1".to_owned())] {
        match webhook::read(&Envelope { event_id, timestamp: None }, input) {
            Err(detail) => carried::by_sqs(&detail),
            Ok(update) => {
                let status = match update.status {
                    RemoteStatus::Pending => Status::Pending,
                    RemoteStatus::Completed => Status::Completed,
                    RemoteStatus::Failed => Status::Failed,
                };
                let webhook::Update { command, reason, event_id, .. } = update;
                let partner = "processor".to_owned();
                let update = Update { partner, event_id, command, status, reason, received_at: None };
                let message = Entry::Update { update }.into_message(&carried::key());
                let text = serde_json::to_string(&message).expect("an entry serialises");
                carried::by_sqs(&text);
                assert!(text.len() < 4096, "{text}");
                assert_eq!(serde_json::from_str::<journal::Message>(&text).expect("it is read"), message);
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the other implementation looks at this clock too")]
fn now() -> i64 {
    chrono::Utc::now().timestamp()
}
