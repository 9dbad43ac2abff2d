//! Parts of the stack by themselves, where the others run elsewhere, as in containers.

use crate::client::Client;
use crate::inbox::Inbox;
use crate::sandbox::Sandbox;
use crate::settings::WEBHOOK_SECRET;
use crate::{demo as shown, say, server, up};
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// The third parties and the inbox, until `stop`.
pub async fn sandbox(
    home: &Path,
    listen: SocketAddr,
    inbox_listen: SocketAddr,
    webhooks_url: &str,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let sandbox = Sandbox::open(Some(home.join(up::SANDBOX))).context("open the sandbox's journal")?;
    sandbox.send_webhooks(webhooks_url, WEBHOOK_SECRET);
    let bind = async |address| TcpListener::bind(address).await.with_context(|| format!("listen on {address}"));
    let partners = server::serve(bind(listen).await?, sandbox.router(), stop.clone())?;
    let inbox = server::serve(bind(inbox_listen).await?, Inbox::default().router(), stop.clone())?;
    say(format_args!("third parties on {partners}, inbox on {inbox}"));
    stop.cancelled().await;
    Ok(())
}

/// One command of each kind, at an API of the same database. The settings are in the environment.
pub async fn demo(home: &Path, api_url: &str, inbox_url: &str) -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the CLI reads it from there too")]
    let database_url = std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    let client = Client::keep(home, &BTreeMap::new(), &database_url, inbox_url).await?;
    shown::show(api_url, inbox_url, &client.api_key).await.map(drop)
}

/// An error, if nobody listens there.
pub async fn healthcheck(listen: SocketAddr) -> anyhow::Result<()> {
    TcpStream::connect(listen).await.map(drop).with_context(|| format!("nobody listens on {listen}"))
}
