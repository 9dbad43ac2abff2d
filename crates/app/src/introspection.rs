//! What a process says of itself to its operators, on a port of its own: never the one that clients reach.

use crate::App;
use crate::connections::serve_inside;
use crate::telemetry::LogLevel;
use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::response::IntoResponse;
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Bytes of a log filter.
const LONGEST_FILTER: usize = 4_096;

/// Answers until `stop`. A port that is taken is no reason to stop paying: it is said, and that is all.
pub async fn serve(app: App, listen: SocketAddr, log_level: LogLevel, stop: CancellationToken) {
    let listener = match TcpListener::bind(listen).await {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, address = %listen, "cannot listen: there will be no metrics"),
    };
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "metrics");
    }
    serve_inside(listener, router(app, log_level), stop).await;
}

fn router(app: App, log_level: LogLevel) -> Router {
    let levels = Router::new().route("/log-level", get(show_level).put(set_level)).with_state(log_level);
    let levels = levels.layer(DefaultBodyLimit::max(LONGEST_FILTER));
    Router::new().route("/metrics", get(metrics)).with_state(app).merge(levels).route("/livez", get(async || "ok"))
}

async fn metrics(State(app): State<App>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match app.metrics.encode() {
        Ok(metrics) => (StatusCode::OK, [(CONTENT_TYPE, OPEN_METRICS)], metrics),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}

async fn show_level(State(log_level): State<LogLevel>) -> String {
    format!("{}\n", log_level.current())
}

/// Takes what `RUST_LOG` takes, from this machine alone: whoever may read metrics need not be let decide what is logged.
async fn set_level(
    State(log_level): State<LogLevel>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    filter: String,
) -> Result<String, (StatusCode, String)> {
    if !peer.ip().to_canonical().is_loopback() {
        return Err((StatusCode::FORBIDDEN, "only from this machine\n".to_owned()));
    }
    match log_level.set(&filter) {
        Ok(()) => Ok(format!("{}\n", log_level.current())),
        Err(error) => Err((StatusCode::BAD_REQUEST, format!("{:#}\n", anyhow::Error::new(error)))),
    }
}
