//! What a process says of itself to its operators, on a port of its own: never the one that clients reach.

use crate::App;
use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Answers until `stop`. A port that is taken is no reason to stop paying: it is said, and that is all.
pub async fn serve(app: App, listen: SocketAddr, stop: CancellationToken) {
    let listener = match TcpListener::bind(listen).await {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, address = %listen, "cannot listen: there will be no metrics"),
    };
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "metrics");
    }
    let router = Router::new().route("/metrics", get(metrics)).route("/livez", get(async || "ok")).with_state(app);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "metrics are served no more");
    }
}

async fn metrics(State(app): State<App>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match app.metrics.encode() {
        Ok(metrics) => (StatusCode::OK, [(CONTENT_TYPE, OPEN_METRICS)], metrics),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}
