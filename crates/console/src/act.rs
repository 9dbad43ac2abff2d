//! What an operator changes: by a form of their own session, with a reason.

use crate::failure::Failure;
use crate::fields::Fields;
use crate::session::Session;
use crate::state::Console;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use bytes::Bytes;
use holdfast_store::operator::Operator;

const MAX_WHY_CHARS: usize = 500;

/// A form of this session.
pub(crate) struct Signed {
    pub(crate) session: Session,
    pub(crate) fields: Fields,
}

impl FromRequest<Console> for Signed {
    type Rejection = Failure;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Failure> {
        let (mut parts, body) = request.into_parts();
        let session = Session::from_request_parts(&mut parts, console).await?;
        let body = Bytes::from_request(Request::from_parts(parts, body), console).await;
        let fields = Fields::parse(&body.map_err(|_| Failure::refused("The form is too long."))?);
        if !session.is_csrf(fields.raw("csrf")) {
            return Err(Failure::Foreign);
        }
        Ok(Self { session, fields })
    }
}

/// The same with a reason.
pub(crate) struct Act {
    session: Session,
    why: String,
    pub(crate) fields: Fields,
}

impl Act {
    pub(crate) fn operator(&self) -> Operator<'_> {
        Operator { by: &self.session.login, why: &self.why }
    }
}

impl FromRequest<Console> for Act {
    type Rejection = Failure;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Failure> {
        let Signed { session, fields } = Signed::from_request(request, console).await?;
        let why = fields.get("why").unwrap_or_default().to_owned();
        let is_reason = why.chars().count() <= MAX_WHY_CHARS && !why.chars().any(char::is_control) && why.len() >= 3;
        if !is_reason {
            return Err(Failure::refused(format!("Say why, in one line of 3 to {MAX_WHY_CHARS} characters.")));
        }
        Ok(Self { session, why, fields })
    }
}
