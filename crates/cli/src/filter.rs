//! What operators say with several commands: which of many, and who acts.

use clap::Args;
use holdfast_domain::Kind;
use holdfast_store::operator::Operator;
use std::time::Duration;

/// Which of many.
#[derive(Args, Clone, Copy)]
pub(crate) struct Find {
    /// `transaction`, `refund` or `order`.
    #[arg(long, value_parser = kind)]
    pub(crate) kind: Option<Kind>,
    /// Those that have been there for longer than this.
    #[arg(long)]
    older_than_s: Option<u64>,
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: i64,
}

impl Find {
    pub(crate) const fn is_narrow(&self) -> bool {
        self.kind.is_some() || self.older_than_s.is_some()
    }

    pub(crate) fn older_than(&self) -> Option<Duration> {
        self.older_than_s.map(Duration::from_secs)
    }
}

/// By its name, or as in routes.
pub(crate) fn kind(name: &str) -> Result<Kind, String> {
    let known = Kind::ALL.map(Kind::name).join(", ");
    let is_named = |kind: &Kind| kind.name() == name || kind.plural() == name;
    Kind::ALL.into_iter().find(is_named).ok_or_else(|| format!("known kinds: {known}"))
}

/// Who acts, and why: recorded with what is done.
#[derive(Args)]
pub(crate) struct By {
    /// Who you are.
    #[arg(long, env = "USER", default_value = "unknown")]
    by: String,
    /// Why this is done.
    #[arg(long)]
    why: String,
}

impl By {
    pub(crate) fn operator(&self) -> Operator<'_> {
        Operator { by: &self.by, why: &self.why }
    }
}
