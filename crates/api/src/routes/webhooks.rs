//! `POST /api/v1/webhooks/{partner}`: a partner tells us how far it is.

use crate::body::Raw;
use crate::error::Problem;
use crate::path::Named;
use crate::state::State;
use axum::extract;
use http::HeaderMap;

/// 200 once it is stored: the partner need not repeat it.
pub(crate) async fn receive(
    extract::State(state): extract::State<State>,
    Named(partner): Named<String>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<&'static str, Problem> {
    if !state.is_ready() {
        return Err(Problem::Unavailable);
    }
    if let Some(nudged) = state.webhooks.receive(&partner, &headers, &body).await? {
        let webhooks = state.webhooks.clone();
        state.tasks.spawn(async move { webhooks.publish(nudged).await });
    }
    Ok("stored")
}
