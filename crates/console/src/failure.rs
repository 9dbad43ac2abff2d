//! Every page that is not what was asked for. The only file that knows statuses of failures.

use crate::layout;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use maud::html;

#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody is signed in. Where to go afterwards.
    SignedOut {
        next: Option<String>,
    },
    /// The same, where a script has asked.
    SignedOutOfFragment,
    /// The request came from another site's page, or without the token of its session.
    Foreign,
    /// Too many wrong passwords.
    TooMany {
        wait_s: u64,
    },
    /// What was asked for cannot be done, as a sentence.
    Refused(String),
    NotFound,
    /// Postgres, or SQS, does not answer.
    Unavailable,
    /// The cause was logged.
    Internal,
}

impl Failure {
    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }

    fn describe(&self) -> (StatusCode, &'static str, String) {
        let text = |text: &str| text.to_owned();
        match self {
            Self::SignedOut { .. } | Self::SignedOutOfFragment => {
                (StatusCode::UNAUTHORIZED, "Signed out", text("Sign in to go on."))
            }
            Self::Foreign => (
                StatusCode::FORBIDDEN,
                "Not from this console",
                text("This request did not come from a page of your session. Nothing was changed."),
            ),
            Self::TooMany { wait_s } => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many attempts",
                format!("Wait for {} before you try again.", crate::text::seconds(*wait_s as f64)),
            ),
            Self::Refused(why) => (StatusCode::UNPROCESSABLE_ENTITY, "That cannot be done", why.clone()),
            Self::NotFound => (StatusCode::NOT_FOUND, "There is nothing here", text("The address leads nowhere.")),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Postgres does not answer",
                text(
                    "Nothing can be shown until it does. If you were changing something, look whether it was done before \
                     you do it again. Commands are still accepted, through the journal queue.",
                ),
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something went wrong on our side",
                text("The cause is in the log of the API."),
            ),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Self::SignedOut { next } = &self {
            let next = next.as_deref().map(crate::login::with_next);
            return Redirect::to(next.as_deref().unwrap_or("/console/login")).into_response();
        }
        let (status, title, sentence) = self.describe();
        let body = html! {
            section.lone {
                h1 { (title) }
                p { (sentence) }
                p { a href="/console" { "To the overview" } }
            }
        };
        let mut response = (status, layout::bare(title, &body)).into_response();
        if let Self::TooMany { wait_s } = self {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait_s));
        }
        response
    }
}

impl From<holdfast_app::StoreError> for Failure {
    fn from(error: holdfast_app::StoreError) -> Self {
        let logged: &dyn std::error::Error = &error;
        match error {
            holdfast_app::StoreError::Locked(_) => {
                Self::refused("Somebody else has locked its row. Look at it again, and try once more.")
            }
            holdfast_app::StoreError::Unavailable(_) | holdfast_app::StoreError::ReadOnly => {
                tracing::warn!(error = logged, "the console could not ask postgres");
                Self::Unavailable
            }
            _ => {
                tracing::error!(error = logged, "a page of the console failed");
                Self::Internal
            }
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<holdfast_app::StoreError>() {
            Ok(error) => Self::from(error),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "a page of the console failed");
                Self::Internal
            }
        }
    }
}
