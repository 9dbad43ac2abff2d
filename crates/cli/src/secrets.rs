//! `holdfast secrets`.

use crate::output::{Format, note};
use anyhow::ensure;
use clap::Subcommand;
use holdfast_app::App;
use holdfast_app::vault::sealing::{self, Found};
use serde_json::json;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Seals with the present encryption key what is in plain or sealed with another. May be run again and again.
    Seal {
        /// Says what would be sealed, and changes nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

pub(crate) async fn run(app: &App, format: Format, Command::Seal { dry_run }: Command) -> anyhow::Result<()> {
    let key = app.vault.current().await?;
    let looked_at = |found: &Found| note(format_args!("{} clients looked at", found.current + found.stale));
    let found = sealing::seal(app, dry_run, looked_at).await?;
    for (client, why) in &found.closed {
        note(format_args!("{client}: {why}"));
    }
    let Found { current, stale, sealed, closed } = &found;
    let (left, closed) = (found.left(), closed.len());
    let shown = json!({
        "key": key, "dryRun": dry_run, "current": current, "stale": stale, "sealed": sealed, "closed": closed,
    });
    let text = match dry_run {
        true => {
            format!("{stale} clients would be sealed with the key {key}, {current} are already, {closed} cannot be")
        }
        false => format!("{sealed} clients were sealed with the key {key}, {current} were already"),
    };
    format.each(text, &shown);
    ensure!(
        closed == 0,
        "the secrets of {closed} clients cannot be opened: configure the keys that they are sealed with"
    );
    ensure!(dry_run || left == 0, "{left} clients were changed meanwhile: run it once more");
    Ok(())
}
