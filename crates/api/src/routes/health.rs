//! `/livez` and `/readyz`.

use crate::error::Problem;
use crate::state::State;
use axum::extract;

/// The process is alive. Looks at nothing else: restarting it would not mend Postgres.
pub(crate) async fn livez() -> &'static str {
    "ok"
}

/// Commands can be accepted by some path.
pub(crate) async fn readyz(extract::State(state): extract::State<State>) -> Result<&'static str, Problem> {
    if state.stop.is_cancelled() || !state.is_ready() {
        return Err(Problem::Unavailable);
    }
    state.app.ping().await?;
    Ok("ok")
}
