//! `POST /api/v1/webhooks/{partner}`: a partner tells us how far it is.

use crate::body::Raw;
use crate::error::Problem;
use crate::path::Named;
use crate::state::State;
use axum::extract::{self, FromRequest as _, Request};
use std::future::ready;
use std::pin::pin;

/// 200 once it is stored: the partner need not repeat it.
pub(crate) async fn receive(
    extract::State(state): extract::State<State>,
    Named(partner): Named<String>,
    request: Request,
) -> Result<&'static str, Problem> {
    if !state.is_ready() {
        return Err(Problem::Unavailable);
    }
    // Nobody is waited for who cannot be a partner.
    state.webhooks.expect(&partner, request.headers())?;
    let headers = request.headers().clone();
    let body = read(&state, request).await?;
    if let Some(nudged) = state.webhooks.receive(&partner, &headers, &body).await? {
        let webhooks = state.webhooks.clone();
        state.tasks.spawn(async move { webhooks.publish(nudged).await });
    }
    Ok("stored")
}

/// The body. Where it has come with its head, as a partner's does, it takes no place: else those who send heads alone, with
/// signatures that they have made up, would keep partners out.
async fn read(state: &State, request: Request) -> Result<axum::body::Bytes, Problem> {
    let mut body = pin!(Raw::from_request(request, state));
    tokio::select! {
        biased;
        body = &mut body => return body.map(|Raw(body)| body),
        () = ready(()) => {}
    }
    let _hearing = state.load.hear().ok_or(Problem::Overloaded)?;
    body.await.map(|Raw(body)| body)
}
