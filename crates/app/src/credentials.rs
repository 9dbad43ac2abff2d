//! Making clients, their keys and their secrets.

use crate::{App, endpoint, vault};
use anyhow::{Context as _, Error};
use holdfast_domain::api_key::ApiKey;
use holdfast_domain::endpoint::Endpoint;
use holdfast_domain::{ClientNo, Scopes};
use holdfast_partners::signature;
use holdfast_store::api_keys::{self, Issued};
use holdfast_store::clients::{self, NewClient};
use secrecy::zeroize::Zeroizing;
use std::time::Duration;

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
        endpoint::judge(&app.egress, url).context("callback URL")?;
        Endpoint::at(url.to_owned()).map_err(Error::msg).context("callback URL")?;
    }
    let Drawn { key_id, api_key, hash } = Drawn::new(app)?;
    let secret = Zeroizing::new(random::<32>()?);
    let sealed = app.vault.seal(vault::callback_secret(name), &*secret).await?;
    let client = NewClient { no, name, callback_url, callback_secret: &sealed, key_id: &key_id, key_hash: &hash };
    let client = clients::create(&app.pool, client).await.context("create the client")?;
    let callback_secret = signature::show_secret(&*secret);
    Ok(client.map(|client| Created { client, api_key, callback_secret }))
}

/// Shown once.
pub struct NewKey {
    pub key_id: String,
    pub api_key: String,
    pub scopes: Scopes,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("there is no such client")]
    NoClient,
    #[error("the client has two live keys already, and never more: disable one, or wait until it has expired")]
    Full,
    #[error("somebody else issued a key to this client at the same moment: try again")]
    Raced,
    #[error("api key could not be issued")]
    Failed(#[from] anyhow::Error),
}

/// A further API key for the client of this name, which may do what its others may. They are valid for `overlap` more.
pub async fn rotate_key(app: &App, name: &str, overlap: Duration) -> Result<NewKey, KeyError> {
    let drawn = Drawn::new(app)?;
    let issued = api_keys::rotate(&app.pool, name, drawn.row(), overlap).await.context("store the new key")?;
    drawn.issued(issued)
}

/// One with these scopes. The others stay as they are.
pub async fn add_key(app: &App, name: &str, scopes: Scopes, lifetime: Option<Duration>) -> Result<NewKey, KeyError> {
    let drawn = Drawn::new(app)?;
    let issued = api_keys::add(&app.pool, name, drawn.row(), scopes, lifetime).await.context("store the new key")?;
    drawn.issued(issued)
}

/// A key that nobody has yet.
struct Drawn {
    key_id: String,
    api_key: String,
    hash: [u8; 32],
}

impl Drawn {
    fn new(app: &App) -> anyhow::Result<Self> {
        let api_key = ApiKey::format(random()?, random()?);
        let key_id = ApiKey::parse(&api_key).context("read the new key")?.key_id.to_owned();
        let hash = app.server_key.api_key_hash(&api_key);
        Ok(Self { key_id, api_key, hash })
    }

    fn row(&self) -> api_keys::NewKey<'_> {
        api_keys::NewKey { key_id: &self.key_id, hash: &self.hash }
    }

    fn issued(self, issued: Issued) -> Result<NewKey, KeyError> {
        match issued {
            Issued::Done(scopes) => Ok(NewKey { key_id: self.key_id, api_key: self.api_key, scopes }),
            Issued::NoClient => Err(KeyError::NoClient),
            Issued::Full => Err(KeyError::Full),
            Issued::Raced => Err(KeyError::Raced),
        }
    }
}

pub(crate) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("draw random bytes")?;
    Ok(bytes)
}
