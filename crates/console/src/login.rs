//! Signing in and out.

use crate::act::Signed;
use crate::failure::Failure;
use crate::fields::{Fields, address};
use crate::layout;
use crate::session::{self, Session};
use crate::state::Console;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use bytes::Bytes;
use holdfast_app::operators;
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use maud::{Markup, html};
use std::net::SocketAddr;
use std::time::Instant;

const HOME: &str = "/console";

/// The address of the form that leads on to `next`.
pub(crate) fn with_next(next: &str) -> String {
    address("/console/login", &[("next", next)])
}

pub(crate) async fn form(session: Result<Session, Failure>, query: Fields) -> Response {
    match session {
        Ok(_signed_in) => Redirect::to(next(&query)).into_response(),
        Err(Failure::SignedOut { .. }) => shown(StatusCode::OK, "", next(&query), false),
        Err(failure) => failure.into_response(),
    }
}

pub(crate) async fn sign_in(
    State(console): State<Console>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: Bytes,
) -> Result<Response, Failure> {
    let fields = Fields::parse(&body);
    let login = fields.get("login").unwrap_or_default().to_lowercase();
    let login: String = login.chars().take(64).collect();
    let (address, now) = (peer.ip(), Instant::now());
    if let Some(wait) = console.throttle.wait(&login, address, now) {
        return Err(Failure::TooMany { wait_s: wait.as_secs() + 1 });
    }
    // Counted before it is looked at: those who try at the same time are counted too.
    console.throttle.failed(&login, address, now);
    let token = operators::sign_in(&console.app, &login, fields.raw("password")).await;
    let Some(token) = token.inspect_err(|_| console.throttle.take_back(&login, address, now))? else {
        tracing::warn!(operator.login = login, client.address = %address, "an operator could not sign in");
        return Ok(shown(StatusCode::UNAUTHORIZED, &login, next(&fields), true));
    };
    console.throttle.take_back(&login, address, now);
    console.throttle.forget(&login, address);
    tracing::info!(operator.login = login, client.address = %address, "an operator signed in");
    let cookie = session::cookie(&console, &token);
    Ok(([(SET_COOKIE, cookie)], Redirect::to(next(&fields))).into_response())
}

pub(crate) async fn sign_out(
    State(console): State<Console>,
    headers: HeaderMap,
    signed: Signed,
) -> Result<Response, Failure> {
    if let Some(token) = session::token(&headers, &console) {
        operators::sign_out(&console.app, token).await?;
    }
    tracing::info!(operator.login = signed.session.login, "an operator signed out");
    Ok(([(SET_COOKIE, session::cookie(&console, ""))], Redirect::to("/console/login")).into_response())
}

/// Only to a page of ours: the address comes from outside.
pub(crate) fn next(fields: &Fields) -> &str {
    let is_ours = |next: &&str| {
        let rest = next.strip_prefix(HOME);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
            && !next.contains("//")
            // A header takes no control character, and browsers leave some of them out.
            && !next.contains(|c: char| c == '\\' || c.is_control())
            && !next.starts_with("/console/login")
            && next.len() <= 500
    };
    fields.get("next").filter(is_ours).unwrap_or(HOME)
}

fn shown(status: StatusCode, login: &str, next: &str, is_wrong: bool) -> Response {
    let body: Markup = html! {
        section.lone.login {
            h1 { "Holdfast" }
            form method="post" action="/console/login" {
                input type="hidden" name="next" value=(next);
                label for="login" { "Login" }
                input #login name="login" value=(login) autocomplete="username" autocapitalize="none" spellcheck="false"
                    required autofocus[login.is_empty()] maxlength="64";
                label for="password" { "Password" }
                input #password type="password" name="password" autocomplete="current-password" required
                    autofocus[!login.is_empty()] maxlength="256";
                @if is_wrong {
                    p.bad role="alert" { "Nobody has this login and this password." }
                }
                button.primary type="submit" { "Sign in" }
            }
        }
    };
    (status, layout::bare("Sign in", &body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        let to = |text: &str| {
            next(&Fields::parse(address("", &[("next", text)]).trim_start_matches('?').as_bytes())).to_owned()
        };
        assert_eq!(to("/console/search?q=a"), "/console/search?q=a");
        for elsewhere in [
            "https://evil.example",
            "//evil",
            "/console//evil",
            "/consoles",
            "/console\\evil",
            "/console\u{1}",
            "/other",
            "",
        ] {
            assert_eq!(to(elsewhere), HOME, "{elsewhere}");
        }
    }
}
