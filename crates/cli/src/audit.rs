//! `holdfast audit`: whether the audit trails are as they were written.

use crate::exit;
use crate::output::{Format, note};
use crate::progress;
use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use holdfast_app::App;
use holdfast_app::audit::{Audit, Digests, Filter, Found, Report};
use holdfast_domain::{ClientNo, CommandId};
use holdfast_store::{clients, commands};
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Computes the hashes of all trails anew and compares them with what is stored. Changes nothing.
    #[command(after_help = exit::HELP)]
    Verify(Verify),
}

#[derive(Args)]
pub(crate) struct Verify {
    /// Commands of this client alone.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// This command alone.
    #[arg(long)]
    id: Option<Uuid>,
    /// Commands accepted at this time or later, such as 2026-11-21T10:15:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Commands accepted before. The digests are as of this time, which must be more than a minute ago; by default they are
    /// as of a minute ago.
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// A digest that was printed before, `ends:…` or `rows:…`, of the same commands until the same time. May be given twice.
    #[arg(long, value_name = "DIGEST", requires = "until")]
    expect: Vec<String>,
    /// Rows without a hash that were written after this are breaks. Default: a day after hashes were introduced here.
    #[arg(long, value_name = "TIME")]
    unchained_until: Option<DateTime<Utc>>,
}

pub(crate) async fn run(app: &App, format: Format, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Verify(verify) => run_verify(app, format, verify).await,
    }
}

async fn run_verify(app: &App, format: Format, verify: Verify) -> anyhow::Result<()> {
    if let Some(wrong) = verify.expect.iter().find(|digest| !is_digest(digest)) {
        return Err(exit::usage(format!("{wrong} is no digest: ends: or rows:, and 64 hexadecimal digits")));
    }
    let filter = filter(app, &verify).await?;
    let mut audit = Audit::begin(app, filter, verify.unchained_until).await?;
    let bar = progress::bar("verified", usize::try_from(audit.progress().0).unwrap_or(usize::MAX));
    while let Some(found) = audit.go_on().await? {
        bar.suspend(|| found.iter().for_each(|found| format.each(line(found), &value(found))));
        bar.set_position(audit.progress().1);
    }
    bar.finish_and_clear();
    let report = audit.end();
    show(format, &report);
    conclude(&report, &verify.expect)
}

async fn filter(app: &App, verify: &Verify) -> anyhow::Result<Filter> {
    let client = match &verify.client {
        Some(name) => Some(client(app, name).await?),
        None => None,
    };
    let id = verify.id.map(CommandId);
    if let Some(id) = id
        && commands::known(&app.pool, &[id]).await.context("find the command")?.is_empty()
    {
        return Err(exit::not_found(format!("there is no command {id}")));
    }
    Ok(Filter { client, id, since: verify.since, until: verify.until })
}

async fn client(app: &App, name: &str) -> anyhow::Result<ClientNo> {
    let known = clients::list(&app.pool).await.context("find the client")?;
    let named = known.into_iter().find(|client| client.name == name);
    named.map(|client| client.no).ok_or_else(|| exit::not_found(format!("there is no client named {name}")))
}

fn is_digest(text: &str) -> bool {
    let hash = text.strip_prefix("ends:").or_else(|| text.strip_prefix("rows:"));
    hash.is_some_and(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn line(found: &Found) -> String {
    let whose = found.id.map_or_else(|| format!("number {}", found.no), |id| id.to_string());
    let at = &found.at;
    match at.attempt {
        0 => format!("{whose}, sequence {}: {}", at.sequence, at.breach),
        attempt => format!("{whose}, sequence {}, attempt {attempt}: {}", at.sequence, at.breach),
    }
}

fn value(found: &Found) -> Value {
    let at = &found.at;
    json!({
        "no": found.no,
        "id": found.id,
        "sequence": at.sequence,
        "attempt": at.attempt,
        "break": at.breach.name(),
        "detail": at.breach.to_string(),
    })
}

fn named(digests: &Digests) -> [String; 2] {
    [format!("ends:{}", digests.ends), format!("rows:{}", digests.rows)]
}

/// In JSON it is the last line.
fn show(format: Format, report: &Report) {
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let value = json!({
        "commands": report.commands,
        "archived": report.archived,
        "rows": report.rows,
        "unchained": report.unchained,
        "lastUnchainedAt": report.last_unchained_at.map(time),
        "breaks": report.breaks,
        "until": time(report.as_of),
        "digests": named(&report.digests),
    });
    match format {
        Format::Json => format.each("", &value),
        Format::Table => format.one(&value),
    }
}

fn conclude(report: &Report, expected: &[String]) -> anyhow::Result<()> {
    let digests = named(&report.digests);
    let other: Vec<_> = expected.iter().filter(|digest| !digests.contains(&digest.to_ascii_lowercase())).collect();
    for digest in &other {
        note(format_args!("{digest} was expected, and is not what came of it"));
        if digest.starts_with("rows:") && report.archived > 0 {
            note(format_args!("{} commands were archived, perhaps since: their rows are gone", report.archived));
        }
    }
    match (report.breaks, other.len()) {
        (0, 0) => Ok(()),
        (0, _) => Err(exit::not_intact("it is not what it was when that digest was taken")),
        (breaks, _) => Err(exit::not_intact(format!("{breaks} breaks"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_says_what_it_is_of() {
        let hash = "0f".repeat(32);
        for (text, is) in [(format!("ends:{hash}"), true), (format!("rows:{hash}"), true), (hash, false)] {
            assert_eq!(is_digest(&text), is, "{text}");
        }
        assert!(!is_digest("ends:00") && !is_digest(&format!("rows:{}", "x".repeat(64))));
    }
}
