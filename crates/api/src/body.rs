//! Bodies of requests: read whole, within the limits of their size and of the time that they take.

use crate::error::Problem;
use crate::headers;
use crate::state::State;
use axum::body::HttpBody as _;
use axum::extract::{FromRef, FromRequest, Request};
use bytes::Bytes;
use holdfast_app::metrics::Slow;
use holdfast_domain::json::{self, Document};
use http::StatusCode;

/// The largest body that is read. SQS would take more; a payment needs less.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// The bytes as they came.
pub(crate) struct Raw(pub(crate) Bytes);

/// The bytes of what says of itself that it is plain JSON.
pub(crate) struct JsonBytes(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw
where
    State: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let state = State::from_ref(state);
        // What says how large it is need not be sent in vain.
        if request.body().size_hint().lower() > MAX_BODY_BYTES as u64 {
            return Err(Problem::PayloadTooLarge);
        }
        let body = Bytes::from_request(request, &state);
        // No timer is set for a body that has come with its head.
        let Ok(body) = tokio::time::timeout(state.app.config.api.body_timeout_ms.get(), body).await else {
            state.app.metrics.refusing.slow(Slow::Body);
            return Err(Problem::RequestTimeout);
        };
        body.map(Self).map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::PayloadTooLarge,
            _ => Problem::Unparseable("body could not be read".to_owned()),
        })
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonBytes
where
    State: FromRef<S>,
{
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
