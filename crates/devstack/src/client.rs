//! The client that shows the stack at work.

use crate::binaries;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Where it is kept between runs.
pub(crate) const FILE: &str = "client.json";

/// Its credentials, and where it has them.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Client {
    pub(crate) api_key: String,
    pub(crate) callback_secret: String,
    #[serde(default)]
    database_url: String,
    #[serde(default)]
    callback_url: String,
}

impl Client {
    /// The one of earlier runs, or a new one: its key is shown only once, so it is kept.
    pub(crate) async fn keep(
        home: &Path,
        environment: &BTreeMap<String, String>,
        database_url: &str,
        inbox_url: &str,
    ) -> anyhow::Result<Self> {
        let file = home.join(FILE);
        let callback_url = format!("{inbox_url}/callbacks");
        let kept = serde_json::from_str(&fs::read_to_string(&file).unwrap_or_default()).ok();
        let is_ours = |kept: &Self| kept.database_url == database_url && kept.callback_url == callback_url;
        if let Some(client) = kept.filter(is_ours) {
            return Ok(client);
        }
        // Each container has the same process ids, and a name of its own.
        let host = nix::unistd::gethostname().context("ask for the name of this machine")?;
        let name = format!("demo-{}-{}", host.to_string_lossy(), std::process::id());
        let arguments = ["clients", "create", &name, "--callback-url", &callback_url];
        let printed = binaries::cli(environment, &arguments).await?;
        let printed = serde_json::from_str(&printed).context("read the new client")?;
        let client = Self { database_url: database_url.to_owned(), callback_url, ..printed };
        fs::write(&file, serde_json::to_vec_pretty(&client)?).context("keep the client's key")?;
        Ok(client)
    }
}
