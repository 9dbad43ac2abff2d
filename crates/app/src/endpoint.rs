//! A client's own callback endpoint, and the secret that its callbacks are signed with.

use crate::App;
use crate::credentials::random;
use anyhow::Context as _;
use holdfast_domain::ClientNo;
use holdfast_partners::signature::show_secret;
use holdfast_store::{Error, clients};

/// The address, if there is one.
pub async fn get(app: &App, client: ClientNo) -> Result<Option<String>, Error> {
    let endpoint = clients::callback_endpoint(&app.pool, client).await?;
    Ok(endpoint.and_then(|endpoint| endpoint.callback_url))
}

/// Sets the address. Answers the secret if there was none before: it is shown to who sets up the endpoint.
pub async fn put(app: &App, client: ClientNo, url: &str) -> Result<Option<String>, Error> {
    let before = clients::callback_endpoint(&app.pool, client).await?;
    clients::set_callback_url(&app.pool, client, Some(url)).await?;
    let shown = before.filter(|before| before.callback_url.is_none());
    Ok(shown.map(|before| show_secret(&before.secret)))
}

/// Callbacks of commands that name no `callbackUrl` go nowhere from now on.
pub async fn delete(app: &App, client: ClientNo) -> Result<(), Error> {
    clients::set_callback_url(&app.pool, client, None).await
}

/// Draws a new secret and answers it. The old one signs beside it for as long as `callbacks.secret_overlap_ms` says.
pub async fn rotate_secret(app: &App, client: ClientNo) -> anyhow::Result<String> {
    let secret: [u8; 32] = random()?;
    let overlap = app.config.callbacks.secret_overlap_ms.get();
    clients::rotate_callback_secret(&app.pool, client, &secret, overlap).await.context("store the new secret")?;
    Ok(show_secret(&secret))
}
