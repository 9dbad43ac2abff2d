//! Making clients and their secrets.

use crate::{App, vault};
use anyhow::{Context as _, ensure};
use holdfast_domain::ClientNo;
use holdfast_domain::api_key::ApiKey;
use holdfast_partners::signature;
use holdfast_store::clients::{self, NewClient};
use secrecy::zeroize::Zeroizing;
use std::time::Duration;
use url::Url;

/// Shown once.
pub struct Created {
    pub client: ClientNo,
    pub api_key: String,
    /// Verifies callbacks, `whsec_…`.
    pub callback_secret: String,
}

/// `None`: the name is taken.
pub async fn create_client(app: &App, name: &str, callback_url: Option<&str>) -> anyhow::Result<Option<Created>> {
    create(app, None, name, callback_url).await
}

/// The same for one that had this number in a database that is lost: the ids of its commands are computed with it.
pub async fn recreate_client(
    app: &App,
    no: ClientNo,
    name: &str,
    callback_url: Option<&str>,
) -> anyhow::Result<Option<Created>> {
    create(app, Some(no), name, callback_url).await
}

async fn create(
    app: &App,
    no: Option<ClientNo>,
    name: &str,
    callback_url: Option<&str>,
) -> anyhow::Result<Option<Created>> {
    if let Some(url) = callback_url {
        let url = Url::parse(url).context("read the callback URL")?;
        ensure!(matches!(url.scheme(), "http" | "https"), "the callback URL must be http or https");
    }
    let api_key = ApiKey::format(random()?, random()?);
    let secret = Zeroizing::new(random::<32>()?);
    let sealed = app.vault.seal(vault::callback_secret(name), &*secret).await?;
    let key_id = ApiKey::parse(&api_key).context("read the new key")?.key_id;
    let hash = app.server_key.api_key_hash(&api_key);
    let client = NewClient { no, name, callback_url, callback_secret: &sealed, key_id, key_hash: &hash };
    let client = clients::create(&app.pool, client).await.context("create the client")?;
    let callback_secret = signature::show_secret(&*secret);
    Ok(client.map(|client| Created { client, api_key, callback_secret }))
}

/// A further API key for the client of this name. Those that it has are valid for `overlap` more. `None`: no such client.
pub async fn rotate_key(app: &App, name: &str, overlap: Duration) -> anyhow::Result<Option<String>> {
    let api_key = ApiKey::format(random()?, random()?);
    let key_id = ApiKey::parse(&api_key).context("read the new key")?.key_id;
    let hash = app.server_key.api_key_hash(&api_key);
    let rotated = clients::rotate_key(&app.pool, name, key_id, &hash, overlap).await.context("store the new key")?;
    Ok(rotated.then_some(api_key))
}

pub(crate) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("draw random bytes")?;
    Ok(bytes)
}
