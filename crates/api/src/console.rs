//! The operators' console, on a listener of its own: what clients reach never serves it.

use anyhow::Context as _;
use holdfast_app::App;
use holdfast_console::Console;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Listens where `console.listen` says. `None`: there is to be no console.
pub(crate) async fn bind(app: &App) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = app.config.console.listen else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("bind {address} for the console")).map(Some)
}

/// Serves it in the background until `stop`. Nobody waits for its end: what it was asked to change is in Postgres, or was
/// not done.
pub(crate) fn serve(listener: TcpListener, app: &App, stop: CancellationToken) -> anyhow::Result<()> {
    let address = listener.local_addr().context("read the console's address")?;
    let console = Console::start(app, stop.clone())?;
    let router = holdfast_console::router(console).into_make_service_with_connect_info::<SocketAddr>();
    tracing::info!(%address, "the console listens");
    tokio::spawn(async move {
        let serve = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = serve.await {
            tracing::error!(%error, "the console has ended");
        }
    });
    Ok(())
}
