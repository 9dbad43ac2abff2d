//! Many commands: how many stand where, and a line for each that has ended.

use super::{Deadline, End, standing};
use crate::exit;
use crate::http::Client;
use crate::output::{Format, brief, member, tame};
use crate::progress;
use crate::target::Target;
use futures::StreamExt as _;
use futures::stream;
use holdfast_app::pause;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Requests at once. So few commands are waited for at the API, more are asked for in turn.
const AT_ONCE: usize = 32;

/// For how long the API is asked to hold an answer back.
const WAIT: Duration = Duration::from_secs(5);

/// Between two turns.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn watch(client: &Client, format: Format, targets: &[Target], until: Deadline) -> anyhow::Result<()> {
    let bar = progress::bar("settled", targets.len());
    let mut watched = Watched { format, bar, statuses: vec![String::new(); targets.len()], worst: End::Completed };
    let mut open: Vec<(usize, Target, Option<String>)> =
        targets.iter().enumerate().map(|(at, &target)| (at, target, None)).collect();
    loop {
        let wait = if open.len() <= AT_ONCE { until.left(WAIT) } else { Duration::ZERO };
        let looks = open.drain(..).map(|(at, target, path)| look(client, at, target, path, wait));
        let mut looks = stream::iter(looks.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        let mut still = Vec::new();
        while let Some(looked) = looks.next().await {
            let (at, target, path, command) = looked?;
            if !watched.take(at, target, command.as_ref()) {
                still.push((at, target, path));
            }
        }
        drop(looks);
        open = still;
        if open.is_empty() || until.is_over() {
            break;
        }
        pause(until.left(PAUSE)).await;
    }
    watched.end(open.len())
}

type Looked = (usize, Target, Option<String>, Option<Value>);

/// `None` in place of a command that does not exist.
async fn look(
    client: &Client,
    at: usize,
    target: Target,
    path: Option<String>,
    wait: Duration,
) -> anyhow::Result<Looked> {
    let found = async {
        let path = match path {
            Some(path) => path,
            None => client.locate(target).await?,
        };
        let answer = client.wait(&path, None, wait).await?;
        Ok((path, answer.body))
    };
    match found.await {
        Ok((path, command)) => Ok((at, target, Some(path), Some(command))),
        Err(error) if exit::is_not_found(&error) => Ok((at, target, None, None)),
        Err(error) => Err(error),
    }
}

struct Watched {
    format: Format,
    bar: ProgressBar,
    /// The last one seen of each.
    statuses: Vec<String>,
    worst: End,
}

impl Watched {
    /// Whether this one is done with.
    fn take(&mut self, at: usize, target: Target, command: Option<&Value>) -> bool {
        let id = target.id.to_string();
        let missing = json!({ "status": "not_found" });
        let (command, end) = match command {
            Some(command) => (command, End::of(command)),
            None => (&missing, Some(End::Missing)),
        };
        self.statuses[at] = member(command, "status");
        self.bar.set_message(tame(&self.counts()));
        let Some(end) = end else { return false };
        self.worst = self.worst.max(end);
        let reason = if command["reason"].is_null() { String::new() } else { brief(&command["reason"]) };
        let line = tame(format!("{id}  {:<15}  {reason}", self.statuses[at]).trim_end());
        self.bar.suspend(|| self.format.each(line, &standing(&id, command)));
        self.bar.inc(1);
        true
    }

    /// `completed 812, processing 20`
    fn counts(&self) -> String {
        let mut counts = BTreeMap::new();
        for status in self.statuses.iter().filter(|status| !status.is_empty()) {
            *counts.entry(status.as_str()).or_insert(0) += 1;
        }
        counts.iter().map(|(status, count)| format!("{status} {count}")).collect::<Vec<_>>().join(", ")
    }

    fn end(self, open: usize) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        self.format.summary(self.counts());
        let worst = if open > 0 { self.worst.max(End::NotInTime) } else { self.worst };
        worst.result("not all of them are completed: some")
    }
}
