//! Every page and every act.

use crate::failure::Failure;
use crate::pages::{attention, callbacks, commands, dead_letters, events, overview, partners, search};
use crate::state::Console;
use crate::{assets, guard, login};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

/// Forms are small; the largest one names a page of commands.
const MAX_BODY_BYTES: usize = 32 * 1024;

pub fn router(console: Console) -> Router {
    Router::new()
        .route("/", get(async || Redirect::to("/console")))
        .route("/console", get(overview::page))
        .route("/console/overview", get(overview::fragment))
        .route("/console/login", get(login::form).post(login::sign_in))
        .route("/console/logout", post(login::sign_out))
        .route("/console/search", get(search::page))
        .route("/console/commands/{id}", get(commands::page))
        .route("/console/commands/{id}/retry", post(commands::retry))
        .route("/console/commands/{id}/resolve", post(commands::resolve))
        .route("/console/commands/{id}/resend", post(commands::resend))
        .route("/console/partners", get(partners::page))
        .route("/console/callbacks", get(callbacks::page))
        .route("/console/events", get(events::page))
        .route("/console/attention", get(attention::page))
        .route("/console/attention/retry", post(attention::retry))
        .route("/console/attention/items/{no}/close", post(attention::close))
        .route("/console/dead-letters", get(dead_letters::groups))
        .route("/console/dead-letters/group", get(dead_letters::group))
        .route("/console/dead-letters/plan", get(dead_letters::plan))
        .route("/console/dead-letters/redrive", post(dead_letters::redrive))
        .route("/console/redrives/{no}", get(dead_letters::progress))
        .route("/console/assets/{name}", get(assets::serve))
        .fallback(async || Failure::NotFound)
        .method_not_allowed_fallback(async || Failure::NotFound)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(CatchPanicLayer::custom(|_panic| Failure::Internal.into_response()))
        .layer(middleware::from_fn(guard::guard))
        .with_state(console)
}
