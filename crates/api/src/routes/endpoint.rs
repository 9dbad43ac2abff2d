//! `/api/v1/callback-endpoint`: where this client is told, and the secret that says it is us.

use crate::body::{self, JsonBytes};
use crate::error::Problem;
use crate::gate::SOON;
use crate::headers::Caller;
use crate::state::{State, needs_postgres};
use axum::routing::{get, post, put};
use axum::{Json, Router, extract, middleware};
use holdfast_app::endpoint::{self, Refused, Tested};
use holdfast_domain::endpoint::Endpoint;
use holdfast_domain::scope::Subject;
use holdfast_domain::{Scope, Violation};
use http::StatusCode;
use serde::Serialize;

type Shared = extract::State<State>;

pub(crate) fn router(base: &str, state: &State) -> Router<State> {
    let reads = state.needing(Scope::read(Subject::CallbackEndpoint));
    let writes = state.needing(Scope::write(Subject::CallbackEndpoint));
    let change = put(set).delete(remove).with_state(writes.clone());
    Router::new()
        .route(base, get(show).with_state(reads).merge(change))
        .route(&format!("{base}/rotate-secret"), post(rotate_secret).with_state(writes.clone()))
        .route(&format!("{base}/test"), post(test).with_state(writes))
        .route_layer(middleware::from_fn_with_state(state.clone(), needs_postgres))
}

#[derive(Serialize)]
struct Shown {
    url: String,
    /// `whsec_…`, when the endpoint is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

async fn show(extract::State(state): Shared, Caller(client): Caller) -> Result<Json<Shown>, Problem> {
    let _reading = state.readers.begin(client).await?;
    let url = endpoint::get(&state.app, client).await?.ok_or(Problem::NotFound)?;
    Ok(Json(Shown { url, secret: None }))
}

async fn set(
    extract::State(state): Shared,
    Caller(client): Caller,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Shown>, Problem> {
    let Endpoint { url } = Endpoint::parse(body::parse(&body)?).map_err(Problem::InvalidContent)?;
    let refused = |refused: Refused| Problem::InvalidContent(vec![Violation::new("/url", refused.to_string())]);
    endpoint::judge(&state.app.egress, &url).map_err(refused)?;
    let _reading = state.readers.begin(client).await?;
    let secret = endpoint::put(&state.app, client, &url).await.map_err(unavailable)?;
    Ok(Json(Shown { url, secret }))
}

async fn remove(extract::State(state): Shared, Caller(client): Caller) -> Result<StatusCode, Problem> {
    let _reading = state.readers.begin(client).await?;
    endpoint::delete(&state.app, client).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn rotate_secret(
    extract::State(state): Shared,
    Caller(client): Caller,
) -> Result<Json<serde_json::Value>, Problem> {
    let _reading = state.readers.begin(client).await?;
    let secret = endpoint::rotate_secret(&state.app, client).await.map_err(unavailable)?;
    Ok(Json(serde_json::json!({ "secret": secret })))
}

/// What the endpoint makes of an event that means nothing. 200 whatever that is. One at a time: each takes as long as the
/// client's own endpoint likes.
async fn test(extract::State(state): Shared, Caller(client): Caller) -> Result<Json<Tested>, Problem> {
    let Some(_testing) = state.load.test(client) else {
        state.app.metrics.refusing.limited("endpoint_tests");
        return Err(Problem::RateLimited(SOON));
    };
    let tested = endpoint::test(&state.app, &state.deliverer, client).await.map_err(unavailable)?;
    tested.map(Json).ok_or(Problem::NotFound)
}

fn unavailable(error: anyhow::Error) -> Problem {
    tracing::error!(error = format!("{error:#}"), "could not see to a callback endpoint");
    Problem::Unavailable
}
