//! Webhooks from partners: is this really from them, and what does it say?

use crate::signature::read_secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use holdfast_domain::CommandId;
use http::HeaderMap;
use http::header::{HeaderName, InvalidHeaderName};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::Sha256;

use crate::exchange::{is_tame, tame};
use crate::generic::RemoteStatus;

/// Bytes of the name of an event.
const MAX_EVENT_ID_LEN: usize = 255;

/// How a partner signs.
#[derive(Clone, Debug)]
enum Scheme {
    /// Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    Standard,
    /// HMAC-SHA256 in hex, alone or after `sha256=`, over the body, or over `timestamp.body` if it sends a timestamp.
    Header { signature: HeaderName, timestamp: Option<HeaderName> },
}

pub struct Settings<'a> {
    /// All that are valid now: an old one beside the new one while the partner changes over.
    pub secrets: Vec<&'a SecretString>,
    /// The header of the signature, where the partner does not follow Standard Webhooks.
    pub header: Option<&'a str>,
    pub timestamp_header: Option<&'a str>,
}

#[derive(Debug, thiserror::Error)]
pub enum InvalidSettings {
    #[error("webhook_secret must be whsec_ and base64, for Standard Webhooks")]
    Secret,
    #[error("webhook_header or webhook_timestamp_header is no header name")]
    Header(#[from] InvalidHeaderName),
}

#[derive(Clone)]
pub struct Verifier {
    scheme: Scheme,
    secrets: Vec<Vec<u8>>,
}

/// What an authentic webhook's headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub event_id: Option<String>,
    /// Seconds since the epoch, covered by the signature.
    pub timestamp: Option<i64>,
}

/// What it says about a command of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    pub command: CommandId,
    pub status: RemoteStatus,
    pub reason: Option<String>,
    /// The same whenever it is sent again.
    pub event_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    /// The command's id.
    id: CommandId,
    status: RemoteStatus,
    #[serde(default)]
    reason: Option<String>,
    /// Where the headers do not name the event.
    #[serde(default)]
    event_id: Option<String>,
}

impl Verifier {
    pub fn new(settings: &Settings<'_>) -> Result<Self, InvalidSettings> {
        let scheme = match settings.header {
            None => Scheme::Standard,
            Some(header) => Scheme::Header {
                signature: HeaderName::from_bytes(header.as_bytes())?,
                timestamp: settings.timestamp_header.map(str::as_bytes).map(HeaderName::from_bytes).transpose()?,
            },
        };
        let secret = |secret: &&SecretString| match scheme {
            Scheme::Standard => read_secret(secret.expose_secret()).ok_or(InvalidSettings::Secret),
            Scheme::Header { .. } => Ok(secret.expose_secret().as_bytes().to_vec()),
        };
        let secrets = settings.secrets.iter().map(secret).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { scheme, secrets })
    }

    /// Whether all headers that it takes are there.
    pub fn is_signed_at_all(&self, headers: &HeaderMap) -> bool {
        let is_there = |name: &HeaderName| headers.get(name).is_some_and(|value| !value.is_empty());
        match &self.scheme {
            Scheme::Standard => {
                let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
                names.map(HeaderName::from_static).iter().all(is_there)
            }
            Scheme::Header { signature, timestamp } => is_there(signature) && timestamp.as_ref().is_none_or(is_there),
        }
    }

    /// Checks the signature over the raw bytes. `None`: not authentic. Whether the timestamp is a present one, the caller
    /// must see to.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Option<Envelope> {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        match &self.scheme {
            Scheme::Standard => {
                let name = HeaderName::from_static;
                let (id, at) = (text(&name("webhook-id"))?, text(&name("webhook-timestamp"))?);
                let signed = [format!("{id}.{at}.").as_bytes(), body].concat();
                let signatures = text(&name("webhook-signature"))?.split(' ');
                let signatures =
                    signatures.filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok());
                let timestamp = Some(seconds(at)?);
                self.is_signed(&signed, signatures).then(|| Envelope { event_id: Some(id.to_owned()), timestamp })
            }
            Scheme::Header { signature, timestamp } => {
                let signature = text(signature)?;
                let signature = hex(signature.strip_prefix("sha256=").unwrap_or(signature))?;
                let at = match timestamp {
                    Some(name) => Some(text(name)?),
                    None => None,
                };
                let signed = match at {
                    Some(at) => [format!("{at}.").as_bytes(), body].concat(),
                    None => body.to_vec(),
                };
                let timestamp = match at {
                    Some(at) => Some(seconds(at)?),
                    None => None,
                };
                self.is_signed(&signed, [signature]).then_some(Envelope { event_id: None, timestamp })
            }
        }
    }

    fn is_signed(&self, signed: &[u8], signatures: impl IntoIterator<Item = Vec<u8>>) -> bool {
        // A handful of signatures at most: an attacker must not make us compute thousands.
        signatures.into_iter().take(8).any(|signature| {
            self.secrets.iter().any(|secret| {
                let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("hmac takes keys of any length");
                mac.update(signed);
                mac.verify_slice(&signature).is_ok()
            })
        })
    }
}

/// Reads what an authentic one says. The error says what is wrong, in few words.
pub fn read(envelope: &Envelope, body: &[u8]) -> Result<Update, String> {
    let body: Body = serde_json::from_slice(body).map_err(|error| tame(&error.to_string()))?;
    let event_id = envelope.event_id.clone().or(body.event_id).filter(|id| is_event_id(id));
    let event_id = event_id.ok_or_else(|| "it names no event".to_owned())?;
    Ok(Update { command: body.id, status: body.status, reason: body.reason.as_deref().map(tame), event_id })
}

/// It identifies, so nothing of it may be left out: it is carried as it is, or not at all.
fn is_event_id(id: &str) -> bool {
    (1..=MAX_EVENT_ID_LEN).contains(&id.len()) && id.chars().all(is_tame)
}

/// Seconds since the epoch, in the one form that a number has: who signs it in another has not signed what we read.
fn seconds(text: &str) -> Option<i64> {
    text.parse().ok().filter(|seconds: &i64| seconds.to_string() == text)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes().chunks(2).map(|pair| Some((digit(pair[0])? << 4) | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{show_secret, sign};

    fn headers<const N: usize>(pairs: [(&'static str, String); N]) -> HeaderMap {
        pairs
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value")))
            .collect()
    }

    fn standard(secret: &[u8]) -> Verifier {
        let (current, previous) = (show_secret(secret).into(), show_secret(&[1; 32]).into());
        let settings = Settings { secrets: vec![&previous, &current], header: None, timestamp_header: None };
        Verifier::new(&settings).expect("valid settings")
    }

    #[test]
    fn a_standard_webhook_is_verified_with_any_valid_secret_and_nothing_else() {
        let (secret, body) = ([7; 32], br#"{"a":1}"#);
        let signed = |signature: String| {
            headers([
                ("webhook-id", "evt_1".to_owned()),
                ("webhook-timestamp", "1700000000".to_owned()),
                ("webhook-signature", signature),
            ])
        };
        let good = sign(&secret, "evt_1", 1_700_000_000, body);
        let envelope = Envelope { event_id: Some("evt_1".to_owned()), timestamp: Some(1_700_000_000) };
        let verifier = standard(&secret);
        assert_eq!(verifier.verify(&signed(good.clone()), body), Some(envelope.clone()));
        assert_eq!(verifier.verify(&signed(format!("v1a,x v1,AAAA {good}")), body), Some(envelope));
        assert_eq!(verifier.verify(&signed(good.clone()), br#"{"a":2}"#), None);
        assert_eq!(verifier.verify(&signed(sign(&secret, "evt_2", 1_700_000_000, body)), body), None);
        assert_eq!(verifier.verify(&signed(sign(&secret, "evt_1", 1_700_000_001, body)), body), None);
        assert_eq!(standard(&[8; 32]).verify(&signed(good), body), None);
        assert_eq!(verifier.verify(&HeaderMap::new(), body), None);
    }

    #[test]
    fn a_number_is_signed_in_one_form_only() {
        for (text, read) in
            [("17", Some(17)), ("-1", Some(-1)), ("+17", None), ("017", None), (" 17", None), ("", None)]
        {
            assert_eq!(seconds(text), read, "{text}");
        }
        for (text, read) in [("0aF0", Some(vec![10, 0xf0])), ("+a", None), ("0", None), ("0g", None), ("é", None)] {
            assert_eq!(hex(text), read, "{text}");
        }
    }

    #[test]
    fn an_event_has_a_name_that_can_be_carried() {
        let read = |of_header: Option<&str>, of_body: &str| {
            let envelope = Envelope { event_id: of_header.map(str::to_owned), timestamp: None };
            let id = "9a6d12b7-6deb-8b42-8b75-d76a4b1e8cf1";
            let body = format!(r#"{{"id": "{id}", "status": "failed", "reason": "a\u0000b", "eventId": {of_body}}}"#);
            super::read(&envelope, body.as_bytes()).map(|update| (update.event_id, update.reason))
        };
        assert_eq!(read(Some("evt_1"), r#""evt_2""#), Ok(("evt_1".to_owned(), Some("ab".to_owned()))));
        assert_eq!(read(None, r#""evt_2""#).map(|read| read.0), Ok("evt_2".to_owned()));
        let long = format!("\"{}\"", "x".repeat(256));
        for unnamed in ["null", r#""""#, r#""\u0000""#, r#""\uffff""#, long.as_str()] {
            assert_eq!(read(None, unnamed), Err("it names no event".to_owned()), "{unnamed}");
        }
    }

    #[test]
    fn a_header_of_the_partners_own_is_verified() {
        let secret = "a secret".to_owned().into();
        let verifier = |timestamp_header| {
            Verifier::new(&Settings { secrets: vec![&secret], header: Some("x-signature"), timestamp_header })
                .expect("valid settings")
        };
        let mac = |signed: &str| {
            let mut mac = Hmac::<Sha256>::new_from_slice(b"a secret").expect("a key");
            mac.update(signed.as_bytes());
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let plain = headers([("x-signature", format!("sha256={}", mac("{}")))]);
        assert_eq!(verifier(None).verify(&plain, b"{}"), Some(Envelope { event_id: None, timestamp: None }));
        assert_eq!(verifier(None).verify(&plain, b"{ }"), None);
        assert_eq!(verifier(Some("x-time")).verify(&plain, b"{}"), None);
        let timed = headers([("x-signature", mac("17.{}")), ("x-time", "17".to_owned())]);
        assert_eq!(verifier(Some("x-time")).verify(&timed, b"{}").and_then(|envelope| envelope.timestamp), Some(17));
        let moved = headers([("x-signature", mac("17.{}")), ("x-time", "18".to_owned())]);
        assert_eq!(verifier(Some("x-time")).verify(&moved, b"{}"), None);
    }
}
