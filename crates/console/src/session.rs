//! Who is signed in: a cookie with a random token, and what Postgres knows about it.

use crate::failure::Failure;
use crate::state::Console;
use axum::extract::FromRequestParts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast_app::operators;
use http::header::COOKIE;
use http::request::Parts;
use http::{HeaderMap, Method};
use subtle::ConstantTimeEq as _;

/// Bound to this host and to HTTPS by its name (RFC 6265bis, 4.1.3.2) …
const COOKIE_NAME: &str = "__Host-holdfast";

/// … which a browser does not take over plain HTTP.
const PLAIN_COOKIE_NAME: &str = "holdfast-console";

/// An operator who has signed in.
pub(crate) struct Session {
    pub(crate) login: String,
    /// What each form of this session carries.
    pub(crate) csrf: String,
}

impl Session {
    /// Compared in a time that does not depend on where they differ.
    pub(crate) fn is_csrf(&self, text: &str) -> bool {
        self.csrf.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

impl FromRequestParts<Console> for Session {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Failure> {
        let found = match token(&parts.headers, console) {
            Some(token) => operators::session(&console.app, token).await?,
            None => None,
        };
        let next = parts.uri.path_and_query().filter(|_| parts.method == Method::GET).map(ToString::to_string);
        let found = found.ok_or(Failure::SignedOut { next })?;
        Ok(Self { login: found.login, csrf: URL_SAFE_NO_PAD.encode(found.csrf_secret) })
    }
}

/// An operator whose page renews itself.
pub(crate) struct Glance;

impl FromRequestParts<Console> for Glance {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Failure> {
        let found = match token(&parts.headers, console) {
            Some(token) => operators::glance(&console.app, token).await?,
            None => None,
        };
        found.map(|_session| Self).ok_or(Failure::SignedOutOfFragment)
    }
}

const fn name(plain_http: bool) -> &'static str {
    if plain_http { PLAIN_COOKIE_NAME } else { COOKIE_NAME }
}

pub(crate) fn token<'a>(headers: &'a HeaderMap, console: &Console) -> Option<&'a str> {
    read(headers, console.app.config.console.plain_http)
}

pub(crate) fn read(headers: &HeaderMap, plain_http: bool) -> Option<&str> {
    let name = name(plain_http);
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, token)| token)
}

/// A cookie that no script reads and no other site's page sends. Empty, it ends the one before.
pub(crate) fn cookie(console: &Console, token: &str) -> String {
    let plain_http = console.app.config.console.plain_http;
    let secure = if plain_http { "" } else { "; Secure" };
    let age = if token.is_empty() { 0 } else { console.app.config.console.session_ms.get().as_secs() };
    format!("{}={token}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}", name(plain_http))
}
