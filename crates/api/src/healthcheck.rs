//! What a container runtime asks: is the API of this machine alive?

use anyhow::{Context as _, ensure};
use holdfast_app::endpoint::HttpClient;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

/// An error, if whoever listens there does not answer. Alive, not ready: an API that drains, or waits for Postgres, must
/// not be killed.
pub async fn healthcheck(listen: SocketAddr) -> anyhow::Result<()> {
    let ip = if listen.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen.ip() };
    let url = format!("http://{}/livez", SocketAddr::new(ip, listen.port())).parse().context("name the API")?;
    let client = HttpClient::build().context("build a client")?;
    ensure!(client.is_answered(&url, PATIENCE).await, "{url} does not answer");
    Ok(())
}
