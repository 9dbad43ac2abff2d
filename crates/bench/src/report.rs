//! The table, and `report.json`.

use crate::cost::Statement;
use crate::parts::Parts;
use crate::scenarios::{Measured, Scenario};
use crate::targets::{Bound, TARGETS, Target};
use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Statements of Postgres in the table; the report has them all.
const LISTED: usize = 8;

#[derive(Default)]
pub(crate) struct Report {
    /// All of them, by scenario.
    runs: BTreeMap<Scenario, Vec<Measured>>,
    /// What the parts cost before each round.
    pub(crate) parts: Vec<Parts>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    what: &'static str,
    target: f64,
    median: f64,
    runs: Vec<f64>,
    verdict: Verdict,
    /// What the parts alone allow, where that says something.
    #[serde(skip_serializing_if = "Option::is_none")]
    possible: Option<f64>,
    /// The median, were this machine as fast, just before and after each run, as that of the targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_pace: Option<f64>,
    /// Of the median to that of the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
enum Verdict {
    Met,
    /// The parts alone do not reach the target.
    Impossible,
    /// It would be met at the pace of the targets' machine.
    MetAtPace,
    NotMet,
}

impl Verdict {
    const fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Impossible => "impossible",
            Self::MetAtPace => "met at pace",
            Self::NotMet => "not met",
        }
    }
}

impl Report {
    pub(crate) fn add(&mut self, scenario: Scenario, measured: Measured) {
        self.runs.entry(scenario).or_default().push(measured);
    }

    fn rows(&self, baseline: &Value) -> Vec<Row> {
        let row = |target: &Target| {
            let measured = self.runs.get(&target.scenario)?;
            let runs: Vec<f64> = measured.iter().filter_map(|run| run.figures.get(target.figure)).copied().collect();
            let median = median(&runs)?;
            let (Bound::AtLeast(bound) | Bound::AtMost(bound)) = target.bound;
            let is_met_by = |value| target.bound.is_met_by(value);
            let possible = target.possible.map(|possible| self.parts.iter().map(possible).collect::<Vec<_>>());
            let possible = possible.and_then(|rounds| self::median(&rounds));
            let at_paces = measured.iter().filter_map(|run| {
                let figure = run.figures.get(target.figure)?;
                Some(target.bound.at_pace(*figure, run.pace?))
            });
            let at_pace = target.possible.and_then(|_| self::median(&at_paces.collect::<Vec<_>>()));
            let verdict = match () {
                () if is_met_by(median) => Verdict::Met,
                () if possible.is_some_and(|possible| !is_met_by(possible)) => Verdict::Impossible,
                () if at_pace.is_some_and(is_met_by) => Verdict::MetAtPace,
                () => Verdict::NotMet,
            };
            let known = baseline["rows"].as_array().into_iter().flatten().find(|row| row["what"] == target.what);
            let ratio = known.and_then(|row| row["median"].as_f64()).map(|known| median / known);
            Some(Row { what: target.what, target: bound, median, runs, verdict, possible, at_pace, ratio })
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
        let figures: BTreeMap<String, Vec<_>> = self
            .runs
            .iter()
            .map(|(scenario, runs)| (format!("{scenario:?}"), runs.iter().map(|run| &run.figures).collect()))
            .collect();
        let paces: BTreeMap<String, Vec<_>> = self
            .runs
            .iter()
            .map(|(scenario, runs)| (format!("{scenario:?}"), runs.iter().map(|run| run.pace).collect()))
            .collect();
        let rows = self.rows(baseline);
        let report =
            json!({ "parts": self.parts, "paces": paces, "rows": rows, "figures": figures, "costPerCommand": costs });
        let text = serde_json::to_vec_pretty(&report).context("write the report")?;
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
    }

    #[expect(clippy::print_stdout, reason = "a command line tool prints its result")]
    pub(crate) fn print(&self, baseline: &Value) {
        println!(
            "{:<44}{:>10}{:>12}{:>14}{:>10}{:>10}{:>10}  runs",
            "", "target", "median", "", "parts", "at pace", "baseline"
        );
        for row in self.rows(baseline) {
            let Row { what, target, median, runs, verdict, possible, at_pace, ratio } = row;
            let runs: Vec<_> = runs.iter().map(|run| format!("{run:.2}")).collect();
            let ratio = ratio.map(|ratio| format!("x {ratio:.2}")).unwrap_or_default();
            let possible = possible.map(|possible| format!("{possible:.2}")).unwrap_or_default();
            let at_pace = at_pace.map(|at_pace| format!("{at_pace:.2}")).unwrap_or_default();
            let verdict = verdict.name();
            println!(
                "{what:<44}{target:>10.2}{median:>12.2}{verdict:>14}{possible:>10}{at_pace:>10}{ratio:>10}  {}",
                runs.join(" ")
            );
        }
        println!(
            "\nparts: what this machine reaches with the same requests, statements and calls, and no program between them;"
        );
        println!("impossible: not even that reaches the target;");
        println!(
            "at pace: if everything here had been as fast as on the targets' machine, by requests that do nothing before and after."
        );
        println!("The parts before each round:");
        for parts in &self.parts {
            println!("    {}", serde_json::to_string(parts).unwrap_or_default().replace(['{', '}', '"'], ""));
        }
        println!("\nper command, last run: CPU µs");
        for (scenario, runs) in &self.runs {
            let Some(Measured { figures, cost, pace: _ }) = runs.last() else { continue };
            let cpu: Vec<_> = cost.cpu_ms.iter().map(|(name, ms)| format!("{name} {:.0}", ms * 1_000.0)).collect();
            let (statements, wal, sqs) = (cost.statements, cost.wal_bytes, cost.sqs_calls);
            let scenario = format!("{scenario:?}");
            println!(
                "{scenario:<14}{}; statements {statements:.2}, WAL {wal:.0} B, SQS calls {sqs:.2}",
                cpu.join(", ")
            );
            let figures: Vec<_> = figures.iter().map(|(name, figure)| format!("{name} {figure:.2}")).collect();
            println!("    {}", figures.join(", "));
            let paces: Vec<_> = runs.iter().filter_map(|run| run.pace).map(|pace| format!("{pace:.2}")).collect();
            println!("    pace of each run: {}", paces.join(" "));
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
