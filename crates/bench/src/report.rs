//! The table, and `report.json`.

use crate::cost::Statement;
use crate::scenarios::{Measured, Scenario};
use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What Holdfast must reach.
struct Target {
    scenario: Scenario,
    figure: &'static str,
    what: &'static str,
    bound: Bound,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

const TARGETS: &[Target] = &[
    target(Scenario::Accept, "accepted/s", "accept, 64 connections, /s", Bound::AtLeast(35_000.0)),
    target(Scenario::Steady, "p50 ms", "accept at 500/s, p50 ms", Bound::AtMost(0.5)),
    target(Scenario::Steady, "p99 ms", "accept at 500/s, p99 ms", Bound::AtMost(2.0)),
    target(Scenario::EndToEnd, "completed/s", "accept to callback, completed/s", Bound::AtLeast(8_000.0)),
    target(Scenario::Drain, "completed/s", "worker alone, completed/s", Bound::AtLeast(9_000.0)),
    target(Scenario::Idle, "callback p50 ms", "idle, accept to callback, p50 ms", Bound::AtMost(2.5)),
    target(Scenario::Idle, "p50 ms", "idle, accept p50 ms", Bound::AtMost(0.5)),
    target(Scenario::SlowPartner, "completed/s", "third party takes 50 + 20 ms, completed/s", Bound::AtLeast(4_000.0)),
    target(Scenario::EndToEnd, "cpu ms", "CPU ms per command", Bound::AtMost(0.2)),
    target(Scenario::EndToEnd, "sqs calls", "SQS calls per command, saturated", Bound::AtMost(0.45)),
    target(Scenario::Calm, "sqs calls", "SQS calls per command, 200/s", Bound::AtMost(2.0)),
    target(Scenario::LostRequests, "callback p99 ms", "5 % lost creations, callback p99 ms", Bound::AtMost(500.0)),
    target(Scenario::EndToEnd, "api MB", "RSS of the API, MB", Bound::AtMost(40.0)),
    target(Scenario::DeepBacklog, "completed/s", "worker alone on 100,000, completed/s", Bound::AtLeast(9_000.0)),
    target(Scenario::BigTable, "cpu ratio", "Postgres CPU beside millions, to empty", Bound::AtMost(1.25)),
    target(Scenario::BigTable, "wal ratio", "WAL beside millions, to empty", Bound::AtMost(1.25)),
    target(Scenario::Soak, "api grown", "soak: RSS of the API, minute 10 to 2", Bound::AtMost(1.1)),
    target(Scenario::Soak, "worker grown", "soak: RSS of the worker, minute 10 to 2", Bound::AtMost(1.1)),
    target(Scenario::Soak, "wakeups grown", "soak: size of wakeups, minute 10 to 2", Bound::AtMost(1.5)),
    target(Scenario::Soak, "callback p99 ms", "soak: callback p99 ms in minute 10", Bound::AtMost(50.0)),
    target(Scenario::EndToEnd, "worker MB", "RSS of the worker, MB", Bound::AtMost(40.0)),
];

const fn target(scenario: Scenario, figure: &'static str, what: &'static str, bound: Bound) -> Target {
    Target { scenario, figure, what, bound }
}

/// Statements of Postgres in the table; the report has them all.
const LISTED: usize = 8;

#[derive(Default)]
pub(crate) struct Report {
    /// All of them, by scenario.
    runs: BTreeMap<Scenario, Vec<Measured>>,
    /// The machine's pace before each round.
    pub(crate) machine: Vec<f64>,
}

#[derive(Serialize)]
struct Row {
    what: &'static str,
    target: f64,
    median: f64,
    runs: Vec<f64>,
    met: bool,
    /// Of the median to that of the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
}

impl Report {
    pub(crate) fn add(&mut self, scenario: Scenario, measured: Measured) {
        self.runs.entry(scenario).or_default().push(measured);
    }

    fn rows(&self, baseline: &Value) -> Vec<Row> {
        let row = |target: &Target| {
            let runs = self.runs.get(&target.scenario)?;
            let runs: Vec<f64> = runs.iter().filter_map(|run| run.figures.get(target.figure)).copied().collect();
            let median = median(&runs)?;
            let (bound, met) = match target.bound {
                Bound::AtLeast(bound) => (bound, median >= bound),
                Bound::AtMost(bound) => (bound, median <= bound),
            };
            let known = baseline["rows"].as_array().into_iter().flatten().find(|row| row["what"] == target.what);
            let ratio = known.and_then(|row| row["median"].as_f64()).map(|known| median / known);
            Some(Row { what: target.what, target: bound, median, runs, met, ratio })
        };
        TARGETS.iter().filter_map(row).collect()
    }

    /// `baseline` is an earlier report.
    pub(crate) fn write(&self, file: &Path, baseline: &Value) -> anyhow::Result<()> {
        let costs: BTreeMap<String, Vec<_>> = self
            .runs
            .iter()
            .map(|(scenario, runs)| (format!("{scenario:?}"), runs.iter().map(|run| &run.cost).collect()))
            .collect();
        let report = json!({ "machine": self.machine, "rows": self.rows(baseline), "costPerCommand": costs });
        let text = serde_json::to_vec_pretty(&report).context("write the report")?;
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
    }

    #[expect(clippy::print_stdout, reason = "a command line tool prints its result")]
    pub(crate) fn print(&self, baseline: &Value) {
        println!("{:<44}{:>10}{:>12}{:>8}{:>10}  runs", "", "target", "median", "", "baseline");
        for Row { what, target, median, runs, met, ratio } in self.rows(baseline) {
            let runs: Vec<_> = runs.iter().map(|run| format!("{run:.2}")).collect();
            let ratio = ratio.map(|ratio| format!("x {ratio:.2}")).unwrap_or_default();
            let met = if met { "met" } else { "not met" };
            println!("{what:<44}{target:>10.2}{median:>12.2}{met:>8}{ratio:>10}  {}", runs.join(" "));
        }
        let machine: Vec<_> = self.machine.iter().map(|pace| format!("{pace:.0}")).collect();
        println!("\nthe machine's pace before each round, thousands of steps a millisecond: {}", machine.join(" "));
        println!("\nper command, last run: CPU µs");
        for (scenario, runs) in &self.runs {
            let Some(Measured { cost, .. }) = runs.last() else { continue };
            let cpu: Vec<_> = cost.cpu_ms.iter().map(|(name, ms)| format!("{name} {:.0}", ms * 1_000.0)).collect();
            let (statements, wal, sqs) = (cost.statements, cost.wal_bytes, cost.sqs_calls);
            let scenario = format!("{scenario:?}");
            println!(
                "{scenario:<14}{}; statements {statements:.2}, WAL {wal:.0} B, SQS calls {sqs:.2}",
                cpu.join(", ")
            );
            for (text, Statement { calls, rows, plan_us, execute_us }) in cost.by_statement.iter().take(LISTED) {
                let text = gist(text);
                println!(
                    "    {calls:>6.3} calls {rows:>6.2} rows, plan {plan_us:>6.1}, execute {execute_us:>6.1}  {text}"
                );
            }
        }
    }
}

/// What a statement writes, or how it begins.
fn gist(text: &str) -> String {
    let words: Vec<_> = text.split(' ').collect();
    let writes: Vec<_> = words
        .windows(3)
        .filter_map(|words| match *words {
            ["insert", "into", table] | ["delete", "from", table] | ["update", table, _] if table != "of" => {
                Some(format!("{} {}", words[0], table.trim_end_matches('"')))
            }
            _ => None,
        })
        .filter(|write| write != "update set")
        .collect();
    match writes.is_empty() {
        true => text.chars().take(60).collect(),
        false => writes.join(", "),
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
