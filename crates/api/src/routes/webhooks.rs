//! `POST /api/v1/webhooks/{partner}`: a partner tells us how far it is.

use crate::error::Problem;
use crate::state::State;
use axum::extract::rejection::BytesRejection;
use axum::extract::{self, Path};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// 200 once it is stored: the partner need not repeat it.
pub(crate) async fn receive(
    extract::State(state): extract::State<State>,
    Path(partner): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<&'static str, Problem> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::PayloadTooLarge,
        _ => Problem::Unparseable("body could not be read".to_owned()),
    })?;
    if !state.is_ready() {
        return Err(Problem::Unavailable);
    }
    if let Some(nudged) = state.webhooks.receive(&partner, &headers, &body).await? {
        let webhooks = state.webhooks.clone();
        state.tasks.spawn(async move { webhooks.publish(nudged).await });
    }
    Ok("stored")
}
