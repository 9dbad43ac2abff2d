//! The operator who looks at the stack through its console.

use crate::binaries;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Where the login is kept between runs.
pub(crate) const FILE: &str = "operator.json";

const LOGIN: &str = "dev";

/// As they sign in.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Operator {
    pub(crate) login: String,
    pub(crate) password: String,
    #[serde(default)]
    database_url: String,
}

impl Operator {
    /// The one of earlier runs, or a new one: the password is shown only once, so it is kept.
    pub(crate) async fn keep(
        home: &Path,
        environment: &BTreeMap<String, String>,
        database_url: &str,
    ) -> anyhow::Result<Self> {
        let file = home.join(FILE);
        let kept: Option<Self> = serde_json::from_str(&fs::read_to_string(&file).unwrap_or_default()).ok();
        if let Some(operator) = kept.filter(|kept| kept.database_url == database_url) {
            return Ok(operator);
        }
        // Of a run whose file is lost there may be one of this name.
        let printed = match binaries::cli(environment, &["operators", "create", LOGIN]).await {
            Ok(printed) => printed,
            Err(_taken) => binaries::cli(environment, &["operators", "password", LOGIN]).await?,
        };
        let operator: Self = serde_json::from_str(&printed).context("read the new operator")?;
        let operator = Self { database_url: database_url.to_owned(), ..operator };
        fs::write(&file, serde_json::to_vec_pretty(&operator)?).context("keep the operator's password")?;
        Ok(operator)
    }
}
