//! `holdfast get`.

use crate::http::Api;
use crate::output::Format;
use crate::target;
use clap::Args;

#[derive(Args)]
pub(crate) struct Get {
    #[command(flatten)]
    api: Api,
    /// The command: KIND ID, KIND/ID, its path, or its id alone.
    #[arg(required = true, num_args = 1..=2, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) async fn run(format: Format, get: Get) -> anyhow::Result<()> {
    let client = get.api.connect()?;
    let path = client.locate(target::one(&get.command)?).await?;
    format.one(&client.get(&path).await?);
    Ok(())
}
