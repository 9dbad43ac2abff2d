//! What came of it.

use anyhow::Context as _;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    /// What partners were: strict ones count each creation as an effect, others know a key again.
    pub(crate) strict_partners: bool,
    pub(crate) accepted: u64,
    pub(crate) accepted_by_queue: u64,
    pub(crate) refused: u64,
    pub(crate) undecided: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) rejected: u64,
    pub(crate) needs_attention: u64,
    pub(crate) attention_reasons: BTreeMap<String, u64>,
    pub(crate) callbacks: u64,
    /// The promise. Each must be zero.
    #[serde(flatten)]
    pub(crate) broken: BTreeMap<&'static str, u64>,
    /// The first of each.
    pub(crate) examples: BTreeMap<&'static str, Vec<String>>,
    pub(crate) faults: BTreeMap<&'static str, u32>,
}

/// How many examples are kept of each.
const EXAMPLES: usize = 5;

/// What a drill has measured.
#[expect(clippy::print_stdout, reason = "a command line tool prints its result")]
pub(crate) fn print(measured: &serde_json::Value) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(measured).context("write it")?);
    Ok(())
}

impl Report {
    /// Counts a breach if there is one.
    pub(crate) fn expect(&mut self, holds: bool, rule: &'static str, example: impl FnOnce() -> String) {
        let count = self.broken.entry(rule).or_insert(0);
        if !holds {
            *count += 1;
            let examples = self.examples.entry(rule).or_default();
            if examples.len() < EXAMPLES {
                examples.push(example());
            }
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.accepted > 0 && self.broken.values().all(|count| *count == 0)
    }

    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let json = serde_json::to_vec_pretty(self).context("write the report")?;
        std::fs::write(file, json).with_context(|| format!("write {}", file.display()))
    }

    #[expect(clippy::print_stdout, reason = "a command line tool prints its result")]
    pub(crate) fn print(&self) {
        let line = |name: &str, value: &dyn std::fmt::Display| println!("{name:<28}{value:>8}");
        line("seed", &self.seed);
        line("accepted", &self.accepted);
        line("  by the queue", &self.accepted_by_queue);
        line("refused", &self.refused);
        line("completed", &self.completed);
        line("failed", &self.failed);
        line("cancelled", &self.cancelled);
        line("rejected late", &self.rejected);
        line("needs_attention", &self.needs_attention);
        for (reason, count) in &self.attention_reasons {
            line(&format!("  {reason}"), count);
        }
        line("callbacks", &self.callbacks);
        println!("\nfaults");
        self.faults.iter().for_each(|(fault, count)| line(fault, count));
        println!("\nbroken promises");
        self.broken.iter().for_each(|(rule, count)| line(rule, count));
        for (rule, examples) in &self.examples {
            examples.iter().for_each(|example| println!("{rule}: {example}"));
        }
    }
}
