//! The operators' console, on a listener of its own: what clients reach never serves it.

use anyhow::Context as _;
use holdfast_app::App;
use holdfast_app::connections::serve_inside;
use holdfast_console::Console;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Listens where `console.listen` says. `None`: there is no console. A port that is taken is no reason to accept nothing.
pub(crate) async fn bind(app: &App) -> Option<TcpListener> {
    let address = app.config.console.listen?;
    let listener = TcpListener::bind(address).await;
    listener.inspect_err(|error| tracing::error!(%error, %address, "cannot listen: there will be no console")).ok()
}

/// Serves it in the background until `stop`. Nobody waits for its end: what it was asked to change is in Postgres, or was
/// not done.
pub(crate) fn serve(listener: TcpListener, app: &App, stop: CancellationToken) -> anyhow::Result<()> {
    let address = listener.local_addr().context("read the console's address")?;
    let console = Console::start(app, stop.clone())?;
    let router = holdfast_console::router(console);
    tracing::info!(%address, "the console listens");
    tokio::spawn(serve_inside(listener, router, stop));
    Ok(())
}
