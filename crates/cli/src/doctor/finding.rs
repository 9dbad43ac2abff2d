//! What one check found, and what to do about it.

use crate::output::{Format, tame};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Ok,
    /// It works, and may not tomorrow; or a person should look.
    Warn,
    /// Commands are not accepted, not carried out, or not safe.
    Fail,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    pub(crate) about: String,
    pub(crate) found: String,
    /// What to do.
    pub(crate) so: Option<String>,
    /// Other checks make no sense before this is mended.
    pub(crate) is_in_the_way: bool,
}

impl Finding {
    fn new(level: Level, about: impl Into<String>, found: impl Into<String>) -> Self {
        Self { level, about: about.into(), found: found.into(), so: None, is_in_the_way: false }
    }

    pub(crate) fn ok(about: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Level::Ok, about, found)
    }

    pub(crate) fn warn(about: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Level::Warn, about, found)
    }

    pub(crate) fn fail(about: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Level::Fail, about, found)
    }

    pub(crate) fn so(mut self, advice: impl Into<String>) -> Self {
        self.so = Some(advice.into());
        self
    }

    pub(crate) fn in_the_way(mut self) -> Self {
        self.is_in_the_way = true;
        self
    }

    fn line(&self) -> String {
        let line = tame(&format!("{:<4}  {:<32}  {}", self.level.name(), self.about, self.found));
        match &self.so {
            Some(so) => format!("{line}\n{:>6}→ {}", "", tame(so)),
            None => line,
        }
    }

    fn value(&self) -> Value {
        json!({ "level": self.level.name(), "check": self.about, "found": self.found, "advice": self.so })
    }
}

/// Said as they are found: some checks take their time.
pub(crate) struct Findings {
    format: Format,
    warnings: usize,
    failures: usize,
}

impl Findings {
    pub(crate) const fn new(format: Format) -> Self {
        Self { format, warnings: 0, failures: 0 }
    }

    pub(crate) fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.warnings += usize::from(finding.level == Level::Warn);
            self.failures += usize::from(finding.level == Level::Fail);
            self.format.each(finding.line(), &finding.value());
        }
    }

    pub(crate) fn end(self) -> anyhow::Result<()> {
        let Self { format, warnings, failures } = self;
        anyhow::ensure!(failures == 0, "{failures} checks failed, {warnings} warned");
        format.summary(format_args!("nothing failed, {warnings} warned"));
        Ok(())
    }
}
