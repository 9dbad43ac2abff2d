//! A third party that speaks the generic partner contract (README, "Partner contract").
//!
//! Sorts each answer into what it proves. The distinction that everything hangs on: *unavailable* means surely not
//! written, *unknown* means that it may have been.

use crate::Exchange;
use crate::exchange::{Answer, Built, NoAnswer, send, tame};
use crate::http_client::{self, HttpClient};
use holdfast_domain::{CommandId, Kind};
use http::Method;
use http::header::{HeaderName, HeaderValue, InvalidHeaderName, InvalidHeaderValue};
use http::request::Builder;
use http_body_util::Full;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use url::Url;

/// How to reach a partner.
#[derive(Clone, Debug)]
pub struct Settings {
    pub base_url: Url,
    /// A whole header, `Name: value`.
    pub auth_header: Option<SecretString>,
    pub create_timeout: Duration,
    pub lookup_timeout: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum InvalidSettings {
    #[error("auth_header must have the form `Name: value`")]
    AuthHeader,
    #[error("auth_header has an invalid name")]
    AuthHeaderName(#[from] InvalidHeaderName),
    #[error("auth_header has an invalid value")]
    AuthHeaderValue(#[from] InvalidHeaderValue),
    #[error("base_url must be an address without credentials; those belong into auth_header")]
    BaseUrl,
}

#[derive(Clone, Debug)]
pub struct Partner {
    client: HttpClient,
    base_url: Url,
    auth: Option<(HeaderName, HeaderValue)>,
    create_timeout: Duration,
    lookup_timeout: Duration,
}

/// What is to be created. `fields` are the kind's own.
#[derive(Serialize)]
pub struct Creation<'a, F> {
    pub id: CommandId,
    /// The client's own id of it.
    pub reference: &'a str,
    #[serde(flatten)]
    pub fields: F,
}

/// What a creation proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    Accepted(Remote),
    Rejected(String),
    /// Surely not written.
    Unavailable(String),
    /// It may have happened: look it up before anything else.
    Unknown(String),
}

/// What a lookup proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookedUp {
    Found(Remote),
    NotFound,
    Failed(String),
}

/// The partner's record. What it repeats of ours can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    pub external_id: String,
    pub status: RemoteStatus,
    pub reason: Option<String>,
    pub amount: Option<String>,
    pub currency: Option<String>,
    pub reference: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RemoteStatus {
    Pending,
    Completed,
    Failed,
}

#[derive(Deserialize)]
struct Body {
    id: String,
    status: RemoteStatus,
    reason: Option<String>,
    amount: Option<String>,
    currency: Option<String>,
    reference: Option<String>,
}

impl Partner {
    pub fn new(settings: Settings, client: HttpClient) -> Result<Self, InvalidSettings> {
        let auth = match &settings.auth_header {
            None => None,
            Some(header) => {
                let (name, value) = header.expose_secret().split_once(':').ok_or(InvalidSettings::AuthHeader)?;
                let mut value = HeaderValue::from_str(value.trim())?;
                value.set_sensitive(true);
                Some((HeaderName::from_bytes(name.trim().as_bytes())?, value))
            }
        };
        let url = &settings.base_url;
        if url.cannot_be_a_base() || !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidSettings::BaseUrl);
        }
        let Settings { base_url, create_timeout, lookup_timeout, .. } = settings;
        Ok(Self { client, base_url, auth, create_timeout, lookup_timeout })
    }

    /// Where it is.
    pub const fn base_url(&self) -> &Url {
        &self.base_url
    }

    /// The longest that [`Self::create`] can take.
    pub const fn create_timeout(&self) -> Duration {
        self.create_timeout
    }

    /// The longest that [`Self::lookup`] can take.
    pub const fn lookup_timeout(&self) -> Duration {
        self.lookup_timeout
    }

    /// `POST {base}/{kind}s` with the command's id as idempotency key, the same on every try.
    pub async fn create<F: Serialize>(
        &self,
        kind: Kind,
        creation: &Creation<'_, F>,
        traceparent: Option<&str>,
    ) -> Exchange<Created> {
        let exchange = send(&self.client, self.creation(kind, creation, traceparent), self.create_timeout).await;
        exchange.map(|outcome| match outcome {
            Ok(answer) => classify_creation(&answer),
            Err(NoAnswer::NotSent(cause)) => Created::Unavailable(cause),
            Err(NoAnswer::Lost(cause)) => Created::Unknown(cause),
        })
    }

    /// `GET {base}/{kind}s/{id}`.
    pub async fn lookup(&self, kind: Kind, id: CommandId, traceparent: Option<&str>) -> Exchange<LookedUp> {
        let request = self.request(Method::GET, &[kind.plural(), &id.to_string()], traceparent);
        let exchange = send(&self.client, request.body(Full::default()), self.lookup_timeout).await;
        exchange.map(|outcome| match outcome {
            Ok(answer) if answer.status.is_success() => match read(&answer.body) {
                Some(remote) => LookedUp::Found(remote),
                None => LookedUp::Failed("unreadable answer".to_owned()),
            },
            Ok(answer) if answer.status == 404 => LookedUp::NotFound,
            Ok(answer) => LookedUp::Failed(format!("http {}", answer.status.as_u16())),
            Err(NoAnswer::NotSent(cause) | NoAnswer::Lost(cause)) => LookedUp::Failed(cause),
        })
    }

    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base_url.clone();
        url.path_segments_mut().expect("checked when built").pop_if_empty().extend(segments);
        url
    }

    fn creation<F: Serialize>(&self, kind: Kind, creation: &Creation<'_, F>, traceparent: Option<&str>) -> Built {
        let request = self.request(Method::POST, &[kind.plural()], traceparent);
        let request = request.header("idempotency-key", creation.id.to_string());
        http_client::json(request, serde_json::to_vec(creation).expect("a creation always serialises"))
    }

    fn request(&self, method: Method, segments: &[&str], traceparent: Option<&str>) -> Builder {
        let mut request = http_client::request(method, &self.url(segments));
        if let Some((name, value)) = &self.auth {
            request = request.header(name, value);
        }
        http_client::traced(request, traceparent)
    }
}

impl<T> Exchange<T> {
    fn map<U>(self, f: impl FnOnce(T) -> U) -> Exchange<U> {
        Exchange { outcome: f(self.outcome), http_status: self.http_status, took: self.took }
    }
}

fn classify_creation(answer: &Answer) -> Created {
    match answer.status.as_u16() {
        200..=299 => match read(&answer.body) {
            Some(remote) => Created::Accepted(remote),
            None => Created::Unknown("unreadable answer".to_owned()),
        },
        // Something stands under our id: only a lookup can tell what.
        409 => Created::Unknown("conflict".to_owned()),
        // An expired credential of ours, or a busy partner, must not fail a sale.
        status @ (401 | 403 | 404 | 408 | 425 | 429 | 503) => Created::Unavailable(format!("http {status}")),
        status @ 400..=499 => Created::Rejected(rejection(status, &answer.body)),
        status => Created::Unknown(format!("http {status}")),
    }
}

fn read(body: &[u8]) -> Option<Remote> {
    let body: Body = serde_json::from_slice(body).ok()?;
    Some(Remote {
        external_id: tame(&body.id),
        status: body.status,
        reason: body.reason.as_deref().map(tame),
        amount: body.amount,
        currency: body.currency,
        reference: body.reference,
    })
}

/// The partner's own words, if it has any that we can read.
fn rejection(status: u16, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Words {
        #[serde(alias = "detail", alias = "message")]
        reason: String,
    }
    match serde_json::from_slice::<Words>(body) {
        Ok(words) => tame(&words.reason),
        Err(_) => format!("http {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    fn classify(status: u16, body: &str) -> Created {
        let status = StatusCode::from_u16(status).expect("status");
        classify_creation(&Answer { status, body: body.as_bytes().to_vec() })
    }

    #[test]
    fn only_a_readable_success_is_a_success() {
        assert!(matches!(classify(201, r#"{"id": "p1", "status": "pending"}"#), Created::Accepted(_)));
        assert!(matches!(classify(200, r#"{"id": "p1"}"#), Created::Unknown(_)));
        assert!(matches!(classify(204, ""), Created::Unknown(_)));
        assert!(matches!(classify(302, ""), Created::Unknown(_)));
    }

    #[test]
    fn each_status_proves_what_the_contract_says() {
        for status in [401, 403, 404, 408, 425, 429, 503] {
            assert!(matches!(classify(status, ""), Created::Unavailable(_)), "{status}");
        }
        for status in [400, 402, 405, 410, 422] {
            assert!(matches!(classify(status, ""), Created::Rejected(_)), "{status}");
        }
        for status in [409, 500, 501, 502, 504, 599] {
            assert!(matches!(classify(status, ""), Created::Unknown(_)), "{status}");
        }
    }

    #[test]
    fn a_partners_words_are_tamed() {
        let words = classify(422, r#"{"message": "no\u0000 funds\n"}"#);
        assert_eq!(words, Created::Rejected("no funds".to_owned()));
    }
}
