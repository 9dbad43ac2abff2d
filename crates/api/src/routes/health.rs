//! `/livez` and `/readyz`.

use crate::error::Problem;
use crate::state::State;
use axum::extract;

/// The process is alive. Looks at nothing else: restarting it would not mend Postgres.
pub(crate) async fn livez() -> &'static str {
    "ok"
}

/// Commands can be accepted by some path. One instance is as good as any other when Postgres or SQS is down: taking them
/// all away would turn slow answers into none.
pub(crate) async fn readyz(extract::State(state): extract::State<State>) -> Result<&'static str, Problem> {
    if state.stop.is_cancelled() || !state.is_ready() {
        return Err(Problem::Unavailable);
    }
    // Down or not: what comes in is taken by the journal.
    Ok(if state.outage.is_on() { "ok, without postgres" } else { "ok" })
}
