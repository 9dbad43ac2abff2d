//! Bodies of requests: read whole, within the limit of their size.

use crate::error::Problem;
use crate::headers;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use holdfast_domain::json::{self, Document};
use http::StatusCode;

/// The bytes as they came.
pub(crate) struct Raw(pub(crate) Bytes);

/// The bytes of what says of itself that it is plain JSON.
pub(crate) struct JsonBytes(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await;
        body.map(Self).map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::PayloadTooLarge,
            _ => Problem::Unparseable("body could not be read".to_owned()),
        })
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !headers::is_json(request.headers()) {
            return Err(Problem::UnsupportedMediaType);
        }
        Raw::from_request(request, state).await.map(|Raw(body)| Self(body))
    }
}

pub(crate) fn parse(body: &[u8]) -> Result<Document, Problem> {
    json::parse(body).map_err(|error| Problem::Unparseable(error.to_string()))
}
