//! Where a command stands.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The states that a client sees. See the state diagram in the README.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Accepted,
    Processing,
    /// At the partner, which has not decided yet.
    Pending,
    Completed,
    Failed,
    Cancelled,
    /// Parked for an operator.
    NeedsAttention,
}

impl Status {
    pub const ALL: [Self; 7] = [
        Self::Accepted,
        Self::Processing,
        Self::Pending,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::NeedsAttention,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Processing => "processing",
            Self::Pending => "pending",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::NeedsAttention => "needs_attention",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Nothing more happens by itself: final, or parked for an operator.
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Accepted | Self::Processing | Self::Pending => false,
            Self::Completed | Self::Failed | Self::Cancelled | Self::NeedsAttention => true,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The step that a run is at. Each handler is a linear list of some of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    Record,
    Submit,
    Settle,
}

impl Step {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Submit => "submit",
            Self::Settle => "settle",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Record, Self::Submit, Self::Settle].into_iter().find(|step| step.name() == name)
    }
}

/// Why a command failed or needs attention: a stable code to branch on and a sentence to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: String,
    pub detail: String,
}

impl Reason {
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.to_owned(), detail: detail.into() }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Completed,
    Failed(Reason),
    /// Parked: the truth is that we do not know, or that a person must decide.
    NeedsAttention(Reason),
}

impl Outcome {
    pub const fn status(&self) -> Status {
        match self {
            Self::Completed => Status::Completed,
            Self::Failed(_) => Status::Failed,
            Self::NeedsAttention(_) => Status::NeedsAttention,
        }
    }

    pub const fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Completed => None,
            Self::Failed(reason) | Self::NeedsAttention(reason) => Some(reason),
        }
    }
}
