//! `holdfast watch`: one command as it goes, or many until they have ended.

mod many;
mod one;

use crate::exit;
use crate::http::{Api, Client};
use crate::output::Format;
use crate::target::{self, Target};
use anyhow::Context as _;
use clap::Args;
use holdfast_domain::Status;
use serde_json::{Value, json};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

#[derive(Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    api: Api,
    /// KIND ID, KIND/ID, a path, or an id alone, any number of them. Without any, or with `-`: lines of standard input, of
    /// these words or of what `submit` and `list` print as JSON.
    #[arg(value_name = "COMMAND")]
    commands: Vec<String>,
    #[command(flatten)]
    patience: Patience,
}

#[derive(Args, Clone, Copy)]
pub(crate) struct Patience {
    /// How long to wait for it. Without this: for ever.
    #[arg(long, visible_alias = "timeout", value_name = "SECONDS")]
    timeout_s: Option<u64>,
}

impl Patience {
    fn deadline(self) -> Deadline {
        Deadline(self.timeout_s.map(|seconds| Instant::now() + Duration::from_secs(seconds)))
    }
}

#[derive(Clone, Copy)]
struct Deadline(Option<Instant>);

impl Deadline {
    fn is_over(self) -> bool {
        self.0.is_some_and(|at| Instant::now() >= at)
    }

    /// No longer than this.
    fn left(self, most: Duration) -> Duration {
        self.0.map_or(most, |at| at.saturating_duration_since(Instant::now()).min(most))
    }
}

/// How what was watched stands in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Completed,
    NotInTime,
    Missing,
    Otherwise,
}

impl End {
    /// `None`: it goes on.
    fn of(command: &Value) -> Option<Self> {
        let status = command["status"].as_str().and_then(Status::from_name).filter(|status| status.is_settled())?;
        Some(if status == Status::Completed { Self::Completed } else { Self::Otherwise })
    }

    /// What the program says of it, and ends with.
    fn result(self, what: &str) -> anyhow::Result<()> {
        match self {
            Self::Completed => Ok(()),
            Self::NotInTime => Err(exit::not_in_time(format!("{what} not settled in time"))),
            Self::Missing => Err(exit::not_found(format!("{what} not found"))),
            Self::Otherwise => Err(exit::not_completed(format!("{what} ended otherwise than completed"))),
        }
    }
}

pub(crate) async fn run(format: Format, watch: Watch) -> anyhow::Result<()> {
    let client = watch.api.connect()?;
    match read(&watch.commands)?[..] {
        [] => Err(exit::usage("which commands? KIND ID, KIND/ID or ID, or lines of standard input")),
        [target] => settle(&client, format, target, watch.patience).await,
        ref targets => many::watch(&client, format, targets, watch.patience.deadline()).await,
    }
}

/// Shows one command until it is settled.
pub(crate) async fn settle(client: &Client, format: Format, target: Target, patience: Patience) -> anyhow::Result<()> {
    one::watch(client, format, target, patience.deadline()).await
}

fn read(words: &[String]) -> anyhow::Result<Vec<Target>> {
    let from_stdin = words.iter().any(|word| word == "-") || words.is_empty() && !std::io::stdin().is_terminal();
    let mut targets = target::read(words.iter().map(String::as_str).filter(|&word| word != "-"))?;
    if from_stdin {
        for line in std::io::stdin().lines() {
            targets.extend(target::of_line(&line.context("read standard input")?)?);
        }
    }
    Ok(targets)
}

/// How a command stands, as a line of JSON.
fn standing(id: &str, command: &Value) -> Value {
    json!({ "id": id, "kind": command["kind"], "status": command["status"], "reason": command["reason"] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_end_of_many_is_that_of_all() {
        let end = |status: &str| End::of(&json!({ "status": status }));
        assert_eq!(end("processing"), None);
        assert_eq!(end("completed"), Some(End::Completed));
        let ends = [end("completed"), end("failed"), Some(End::Missing), Some(End::NotInTime)];
        assert_eq!(ends.into_iter().flatten().max(), Some(End::Otherwise));
        for (end, status) in [(End::Otherwise, 4), (End::Missing, 3), (End::NotInTime, 5)] {
            assert_eq!(exit::status(&end.result("it is").expect_err("an error")), status);
        }
    }
}
