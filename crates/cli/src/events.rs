//! `holdfast events`: the audit trail of a command; and for operators, the sinks that others are told by.

use crate::http::Api;
use crate::output::{Format, Table, brief, member};
use crate::{sinks, target};
use clap::Args;
use serde_json::Value;

/// Members of an event that are told in this order, without their names.
const TOLD: [&str; 7] = ["partner", "outcome", "status", "detail", "why", "by", "conflictsWith"];

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Events {
    #[command(subcommand)]
    pub(crate) sinks: Option<sinks::Command>,
    #[command(flatten)]
    api: Api,
    /// The command: KIND ID, KIND/ID, its path, or its id alone.
    #[arg(required = true, num_args = 1..=2, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) async fn run(format: Format, events: Events) -> anyhow::Result<()> {
    let client = events.api.connect()?;
    let path = client.locate(target::one(&events.command)?).await?;
    let trail = client.get(&format!("{path}/events")).await?;
    let mut table = Table::new(&["at", "event", "what"]);
    for event in trail["data"].as_array().into_iter().flatten() {
        table.push([member(event, "at"), name(event), describe(event)], event.clone());
    }
    format.list(table);
    Ok(())
}

/// `callback attempted`
pub(crate) fn name(event: &Value) -> String {
    member(event, "type").replace('_', " ")
}

/// `processor accepted (201, 3 ms)`
pub(crate) fn describe(event: &Value) -> String {
    let mut words: Vec<String> =
        TOLD.iter().filter(|&&name| !event[name].is_null()).map(|name| brief(&event[*name])).collect();
    if let Some(attempt) = event["attempt"].as_u64().filter(|&attempt| attempt > 1) {
        words.push(format!("at attempt {attempt}"));
    }
    if event["takenOver"] == true {
        words.push("taken over".to_owned());
    }
    if let Some(took) = event["tookMs"].as_u64() {
        let status = event["httpStatus"].as_u64().map_or("no answer".to_owned(), |status| status.to_string());
        words.push(format!("({status}, {took} ms)"));
    }
    if let Some(wait) = event["forMs"].as_u64() {
        words.push(format!("for {wait} ms"));
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_told_on_one_line() {
        let created = json!({"type": "created", "partner": "processor", "attempt": 2, "outcome": "accepted",
            "httpStatus": 201, "tookMs": 3});
        assert_eq!(describe(&created), "processor accepted at attempt 2 (201, 3 ms)");
        let waiting = json!({"type": "waiting", "forMs": 120_000, "why": "no try is due"});
        assert_eq!((name(&waiting), describe(&waiting)), ("waiting".into(), "no try is due for 120000 ms".into()));
    }
}
