//! `/api/v1/{kind}s/{id}/callbacks`: what the client was told of a command, and telling it again.

use super::commands::command_id;
use crate::error::{Problem, found};
use crate::headers::Caller;
use crate::path::Named;
use crate::state::State;
use axum::Json;
use axum::extract;
use axum::response::{IntoResponse, Response};
use holdfast_app::callbacks::{self, Callback, Resent};
use holdfast_domain::Kind;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde::Serialize;

pub(crate) async fn list(
    kind: Kind,
    extract::State(state): extract::State<State>,
    Caller(client): Caller,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Told {
        data: Vec<Callback>,
    }
    let _reading = state.readers.begin(client).await?;
    let data = found(callbacks::list(&state.app, client, kind, command_id(&id)?).await?)?;
    Ok(([(CACHE_CONTROL, "private, no-cache")], Json(Told { data })).into_response())
}

/// 202: a worker will see to it.
pub(crate) async fn resend(
    kind: Kind,
    extract::State(state): extract::State<State>,
    Caller(client): Caller,
    Named((id, callback)): Named<(String, String)>,
) -> Result<(StatusCode, Json<Callback>), Problem> {
    let _reading = state.readers.begin(client).await?;
    match callbacks::resend(&state.app, client, kind, command_id(&id)?, &callback).await? {
        Resent::Owed(callback) => Ok((StatusCode::ACCEPTED, Json(*callback))),
        Resent::Refused(why) => Err(Problem::NotResendable(why)),
        Resent::Archived(tombstone) => Err(Problem::Archived(tombstone)),
        Resent::Nothing => Err(Problem::NotFound),
    }
}
