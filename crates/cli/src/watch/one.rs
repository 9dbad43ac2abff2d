//! One command: its timeline, line by line as it grows.

use super::{Deadline, End, standing};
use crate::events::{describe, name};
use crate::exit;
use crate::http::Client;
use crate::output::{Format, brief, member, tame};
use crate::target::Target;
use holdfast_app::pause;
use serde_json::Value;
use std::collections::HashSet;
use std::time::Duration;

/// For how long the API is asked to hold its answer back.
const WAIT: Duration = Duration::from_secs(30);

/// How soon a command is looked for again of which there is only the id yet.
const NOT_YET: Duration = Duration::from_secs(1);

pub(super) async fn watch(client: &Client, format: Format, target: Target, until: Deadline) -> anyhow::Result<()> {
    let path = client.locate(target).await?;
    let mut timeline = Timeline { format, id: target.id.to_string(), seen: HashSet::new() };
    let mut etag: Option<String> = None;
    loop {
        // The first look is not held back.
        let wait = etag.as_ref().map_or(Duration::ZERO, |_| until.left(WAIT));
        let answer = client.wait(&path, etag.as_deref(), wait).await?;
        let new = answer.etag().filter(|new| etag.as_ref() != Some(new));
        let is_news = new.is_some();
        if is_news {
            timeline.show(client, &path).await?;
            etag = new;
        }
        if let Some(end) = End::of(&answer.body) {
            // What was written with the end may have come after the look at the trail.
            timeline.show(client, &path).await?;
            return timeline.end(&answer.body, end);
        }
        if until.is_over() {
            return End::NotInTime.result(&format!("{} is", target.id));
        }
        // Where there is no tag yet, or too little time is left, the answer was not held back.
        if !is_news && wait < NOT_YET {
            pause(until.left(NOT_YET)).await;
        }
    }
}

struct Timeline {
    format: Format,
    id: String,
    seen: HashSet<String>,
}

impl Timeline {
    /// What happened since the last look.
    async fn show(&mut self, client: &Client, path: &str) -> anyhow::Result<()> {
        let trail = match client.get(&format!("{path}/events")).await {
            // Issued, and its row is not to be seen yet.
            Err(error) if exit::is_not_found(&error) => return Ok(()),
            trail => trail?,
        };
        for event in trail["data"].as_array().into_iter().flatten() {
            if self.seen.insert(event.to_string()) {
                let mut value = event.clone();
                value["id"] = self.id.as_str().into();
                self.format.each(line(event), &value);
            }
        }
        Ok(())
    }

    fn end(&self, command: &Value, end: End) -> anyhow::Result<()> {
        let reason = if command["reason"].is_null() { "" } else { &format!(": {}", brief(&command["reason"])) };
        let said = tame(&format!("{} {} is {}{reason}", member(command, "kind"), self.id, member(command, "status")));
        self.format.each(said, &standing(&self.id, command));
        end.result(&format!("{} has", self.id))
    }
}

/// `12:00:00.123  created             processor accepted (201, 3 ms)`
fn line(event: &Value) -> String {
    let at = member(event, "at");
    let time: String = at.split('T').nth(1).unwrap_or_default().chars().take(12).collect();
    tame(format!("{:<12}  {:<18}  {}", time.trim_end_matches('Z'), name(event), describe(event)).trim_end())
}
