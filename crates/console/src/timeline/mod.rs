//! What happened to a command, step by step: read from its trail, drawn, and told in rows.

mod axis;
mod draw;
mod read;

pub(crate) use draw::draw;
pub(crate) use read::{Source, of_status, read};

use crate::layout::Tone;
use chrono::{DateTime, Utc};

/// Rows that are shown: the first and the last ones, where there are more.
const MOST: usize = 400;

/// Who did something, or had something done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Holdfast itself.
    Run,
    Partner(String),
    /// The client's endpoint.
    Client,
    Operator,
}

impl Lane {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Run => "holdfast",
            Self::Partner(name) => name,
            Self::Client => "client",
            Self::Operator => "operator",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Something that took its time, or a moment.
    Act,
    Wait,
}

/// One thing that happened, or is expected.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) lane: Lane,
    pub(crate) shape: Shape,
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
    pub(crate) what: String,
    /// How it came out.
    pub(crate) outcome: Option<(Tone, String)>,
    pub(crate) detail: Option<String>,
    /// As many of the same in a row.
    pub(crate) times: usize,
    /// It has not happened yet.
    pub(crate) is_expected: bool,
}

impl Row {
    fn new(lane: Lane, from: DateTime<Utc>, to: DateTime<Utc>, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { lane, shape: Shape::Act, from, to, what, outcome: None, detail: None, times: 1, is_expected: false }
    }

    fn tone(&self) -> Tone {
        self.outcome.as_ref().map_or(Tone::Plain, |(tone, _)| *tone)
    }
}

/// Those that can be shown, and how many in the middle cannot.
pub(crate) fn shorten(mut rows: Vec<Row>) -> (Vec<Row>, usize) {
    let left_out = rows.len().saturating_sub(MOST);
    if left_out > 0 {
        rows.drain(MOST / 4..MOST / 4 + left_out);
    }
    (rows, left_out)
}
