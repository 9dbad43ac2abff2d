//! A client's own callback endpoint, and the secret that its callbacks are signed with.

use crate::credentials::random;
use crate::vault::{self, Vault, callback_secret};
use crate::{App, tell};
use anyhow::Context as _;
use holdfast_domain::ClientNo;
use holdfast_domain::cloud_event::CloudEvent;
use holdfast_domain::content::Content;
use holdfast_domain::trail::Answer;
use holdfast_partners::callback::Callback;
use holdfast_partners::egress::{Guard, GuardedClient};
use holdfast_partners::http_client::Unbuilt;
use holdfast_partners::signature::show_secret;
use holdfast_store::clients::{CallbackEndpoint, Overlap};
use holdfast_store::{Error, clients};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretSlice};
use serde::Serialize;
use std::time::{Duration, Instant};
use url::Url;

pub use holdfast_partners::callback::Deliverer;
pub use holdfast_partners::egress::Refused;
pub use holdfast_partners::http_client::HttpClient;

/// What calls endpoints.
pub fn deliverer(app: &App) -> Result<Deliverer, Unbuilt> {
    Ok(Deliverer::new(app.config.callbacks.timeout_ms.get(), GuardedClient::build(&app.egress)?))
}

/// Whether callbacks might ever go there, as far as the text tells: where a name leads is found out when something is sent.
/// For what is new alone: what was taken under other settings stays, and is refused where it is sent. What is no URL is
/// for others to name.
pub fn judge(egress: &Guard, url: &str) -> Result<(), Refused> {
    Url::parse(url).map_or(Ok(()), |url| egress.judge(&url))
}

/// The address, if there is one.
pub async fn get(app: &App, client: ClientNo) -> Result<Option<String>, Error> {
    let endpoint = clients::callback_endpoint(&app.pool, client).await?;
    Ok(endpoint.and_then(|endpoint| endpoint.callback_url))
}

/// Sets the address. Answers the secret if there was none before: it is shown to who sets up the endpoint.
pub async fn put(app: &App, client: ClientNo, url: &str) -> anyhow::Result<Option<String>> {
    let before = clients::callback_endpoint(&app.pool, client).await.context("read the callback endpoint")?;
    // Before anything is changed: what cannot be opened cannot be shown.
    let shown = match before.filter(|before| before.callback_url.is_none()) {
        Some(before) => Some(app.vault.open(callback_secret(&before.name), &before.secret).await?),
        None => None,
    };
    clients::set_callback_url(&app.pool, client, Some(url)).await.context("store the callback URL")?;
    Ok(shown.map(|secret| show_secret(secret.expose_secret())))
}

/// Callbacks of commands that name no `callbackUrl` go nowhere from now on.
pub async fn delete(app: &App, client: ClientNo) -> Result<(), Error> {
    clients::set_callback_url(&app.pool, client, None).await
}

/// Draws a new secret and answers it. The old one signs beside it for as long as `callbacks.secret_overlap_ms` says,
/// and so does one that was exchanged before that, until its own time is over.
pub async fn rotate_secret(app: &App, client: ClientNo) -> anyhow::Result<String> {
    let before = clients::callback_endpoint(&app.pool, client).await.context("read the callback endpoint")?;
    let before = before.context("there is a client")?;
    let binding = callback_secret(&before.name);
    // What does not open signs nothing, and beside the new one it would keep that from signing.
    let mut oldest = true;
    for secret in &before.previous_secrets {
        oldest &= app.vault.open(binding, secret).await.is_ok();
    }
    let newest = match app.vault.open(binding, &before.secret).await {
        Ok(_) => app.config.callbacks.secret_overlap_ms.get(),
        Err(error) => {
            tracing::warn!(client.no = client.0, %error, "exchanged a secret that could not be opened");
            Duration::ZERO
        }
    };
    let secret = Zeroizing::new(random::<32>()?);
    let sealed = app.vault.seal(binding, &*secret).await?;
    clients::rotate_callback_secret(&app.pool, client, &sealed, Overlap { newest, oldest })
        .await
        .context("store the new secret")?;
    Ok(show_secret(&*secret))
}

/// What callbacks are signed with, and where they go if their command does not say.
pub(crate) struct Secrets {
    /// Every secret that is valid now, the newest first.
    pub(crate) keys: Vec<SecretSlice<u8>>,
    pub(crate) url: Option<String>,
    /// When it was asked for.
    pub(crate) read: Instant,
}

/// All of them open, or none does: who still verifies with the old one would refuse what only the new one has signed.
pub(crate) async fn open(vault: &Vault, endpoint: &CallbackEndpoint) -> Result<Vec<SecretSlice<u8>>, vault::Error> {
    let mut secrets = Vec::with_capacity(1 + endpoint.previous_secrets.len());
    for stored in [&endpoint.secret].into_iter().chain(&endpoint.previous_secrets) {
        secrets.push(vault.open(callback_secret(&endpoint.name), stored).await?);
    }
    Ok(secrets)
}

/// Whether there is anywhere to tell this client about a command with this content.
pub async fn is_told(app: &App, client: ClientNo, content: &Content) -> Result<bool, Error> {
    Ok(content.callback_url().is_some() || get(app, client).await?.is_some())
}

/// What the endpoint made of a test event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tested {
    #[serde(flatten)]
    pub answer: Answer,
    /// How its answer's body began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
}

/// Sends the standing endpoint one event of the type `callback_endpoint.test`, signed like all others, and waits for its
/// answer. `None`: there is no endpoint.
pub async fn test(app: &App, deliverer: &Deliverer, client: ClientNo) -> anyhow::Result<Option<Tested>> {
    let endpoint = clients::callback_endpoint(&app.pool, client).await.context("read the callback endpoint")?;
    let Some(endpoint) = endpoint else { return Ok(None) };
    let Some(url) = &endpoint.callback_url else { return Ok(None) };
    let secrets = open(&app.vault, &endpoint).await?;
    let now = app.pool.now().await.context("ask for the time")?;
    let id = format!("evt_test_{:032x}", u128::from_be_bytes(random()?));
    let kind = "callback_endpoint.test".to_owned();
    let mut event = CloudEvent::new(id.clone(), kind, "callback-endpoint".to_owned(), serde_json::json!({}));
    event.time = Some(now);
    let callback = Callback {
        url: &Url::parse(url).context("read the endpoint's address")?,
        secrets: &secrets,
        id: &id,
        timestamp: now.timestamp(),
        body: serde_json::to_vec(&event).context("write the event")?,
        traceparent: None,
    };
    let (exchange, excerpt) = deliverer.deliver(callback).await;
    Ok(Some(Tested { answer: tell::describe(&exchange), excerpt }))
}
