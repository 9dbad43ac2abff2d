//! Listening on a loopback port that is wanted, or on any that is free.

use anyhow::Context as _;
use axum::Router;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Binds `wanted` on the loopback, or a free port if it is taken. 0 is any.
pub async fn bind(wanted: u16) -> anyhow::Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).await {
        Ok(listener) => Ok(listener),
        Err(_taken) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("bind a free port"),
    }
}

/// A port that is free now, for somebody who binds it soon.
pub async fn free_port(wanted: u16) -> anyhow::Result<u16> {
    Ok(bind(wanted).await?.local_addr().context("read the port")?.port())
}

/// A port for a binary that is yet to bind it, another one each time. Below those that the system gives out by itself: one of
/// these could be taken by a connection in between.
pub async fn quiet_port() -> anyhow::Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let offset = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let wanted = 20_000 + offset as u16;
        if free_port(wanted).await? == wanted {
            return Ok(wanted);
        }
    }
}

/// Serves in the background until `stop`.
pub fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> anyhow::Result<SocketAddr> {
    let address = listener.local_addr().context("read the port")?;
    tokio::spawn(async move {
        let serve = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = serve.await {
            tracing::error!(%error, "server ended");
        }
    });
    Ok(address)
}
