//! `holdfast submit`.

use crate::filter::kind;
use crate::http::{Answer, Api};
use crate::output::{Format, note};
use crate::target::{self, Target};
use crate::watch;
use anyhow::{Context as _, ensure};
use clap::Args;
use holdfast_domain::Kind;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct Submit {
    #[command(flatten)]
    api: Api,
    /// `transaction`, `refund` or `order`.
    #[arg(value_parser = kind)]
    kind: Kind,
    /// The command as JSON, as `POST` takes it. Standard input, if there is none or it is `-`.
    file: Option<PathBuf>,
    /// Identifies the command if it has no id of its own. The same key and content again are the same command.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Waits until the command is settled, and ends as `watch` does.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    patience: watch::Patience,
}

/// Sent as it is, byte for byte: a retry has the same content under the same key.
pub(crate) async fn run(format: Format, submit: Submit) -> anyhow::Result<()> {
    let client = submit.api.connect()?;
    let body = read(submit.file.as_deref())?;
    let path = format!("/api/v1/{}", submit.kind.plural());
    let mut request = client.request(Method::POST, &path).header(CONTENT_TYPE, "application/json").body(body);
    if let Some(key) = &submit.idempotency_key {
        request = request.header("idempotency-key", format!("\"{key}\""));
    }
    let answer = client.send(request).await?;
    ensure!(answer.status == StatusCode::ACCEPTED, "it was not accepted: the answer is {}", answer.status);
    let accepted = answer.body["id"].as_str().context("the answer names no id")?;
    if !submit.wait {
        format.one(&receipt(&answer));
        return Ok(());
    }
    if !format.is_json() {
        format.one(&receipt(&answer));
    }
    let target = Target { kind: Some(submit.kind), ..target::one(&[accepted.to_owned()])? };
    watch::settle(&client, format, target, submit.patience).await
}

fn read(file: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    match file.filter(|file| *file != Path::new("-")) {
        Some(file) => std::fs::read(file).with_context(|| format!("read {}", file.display())),
        None => {
            if std::io::stdin().is_terminal() {
                note("the command as JSON, and then Ctrl-D:");
            }
            let mut body = Vec::new();
            std::io::stdin().read_to_end(&mut body).context("read standard input")?;
            Ok(body)
        }
    }
}

/// The body of the 202 with what its headers say.
fn receipt(answer: &Answer) -> Value {
    let mut receipt = answer.body.clone();
    receipt["acceptedBy"] = answer.header("holdfast-accepted-by").into();
    receipt["replayed"] = (answer.header("idempotent-replayed") == Some("true")).into();
    receipt
}
