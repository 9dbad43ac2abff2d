//! Sealing what lies in Postgres with the present key: after the upgrade from plain secrets, and after each new key.

use super::{Error, Vault, callback_secret};
use crate::App;
use anyhow::Context as _;
use holdfast_domain::ClientNo;
use holdfast_store::secrets::{self, Resealed, Stored};

/// Rows that are read, and then written, together.
const BATCH: i64 = 500;

/// What was found, and what became of it.
#[derive(Debug, Default)]
pub struct Found {
    /// Clients whose secrets were sealed with the present key already.
    pub current: u64,
    /// … were plain, or sealed with another key.
    pub stale: u64,
    /// Of these, sealed with the present key now.
    pub sealed: u64,
    /// Names of those whose secrets could not be opened, and why.
    pub closed: Vec<(String, String)>,
}

impl Found {
    /// Somebody has changed these meanwhile: they are as that has left them.
    pub const fn left(&self) -> u64 {
        self.stale - self.sealed
    }
}

/// Takes one batch after the other, and `tell`s after each how far it is. Done again, it finds nothing to do.
pub async fn seal(app: &App, dry_run: bool, mut tell: impl FnMut(&Found)) -> anyhow::Result<Found> {
    if !dry_run {
        anyhow::ensure!(
            app.vault.seals(),
            "encryption.seal is off: a release is running that reads plain secrets alone"
        );
        secrets::forget_expired(&app.pool).await.context("forget secrets that are not valid any more")?;
    }
    let mut found = Found::default();
    let mut last = ClientNo(0);
    loop {
        let stored = secrets::after(&app.pool, last, BATCH).await.context("read secrets")?;
        let Some(end) = stored.last() else { return Ok(found) };
        last = end.client;
        let mut resealed = Vec::new();
        for stored in stored {
            match reseal(&app.vault, &stored).await {
                Ok(None) => found.current += 1,
                Ok(Some([secret, previous, older])) => {
                    let secret = secret.unwrap_or_else(|| stored.secret.clone());
                    resealed.push(Resealed { stored, secret, previous, older });
                }
                Err(error @ Error::Keys(_)) => return Err(error.into()),
                Err(error) => found.closed.push((stored.name, error.to_string())),
            }
        }
        found.stale += resealed.len() as u64;
        if !dry_run && !resealed.is_empty() {
            found.sealed += secrets::replace(&app.pool, &resealed).await.context("write sealed secrets")?;
        }
        tell(&found);
    }
}

/// The secrets of a client as they should be. `None`: they are. Each was opened.
async fn reseal(vault: &Vault, stored: &Stored) -> Result<Option<[Option<Vec<u8>>; 3]>, Error> {
    let binding = callback_secret(&stored.name);
    let mut resealed = [Some(stored.secret.clone()), stored.previous.clone(), stored.older.clone()];
    let mut is_stale = false;
    for secret in resealed.iter_mut().flatten() {
        if let Some(other) = vault.reseal(binding, secret).await? {
            (*secret, is_stale) = (other, true);
        }
    }
    Ok(is_stale.then_some(resealed))
}
