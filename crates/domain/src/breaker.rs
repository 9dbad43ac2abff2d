//! What one worker makes of one partner at present, for those who look on.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Breaker {
    Closed,
    /// Nobody asks.
    Open,
    /// One request is under way, to see whether it answers again.
    Probing,
}

impl Breaker {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Probing => "probing",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    pub breaker: Breaker,
    /// Requests in a row that got no usable answer.
    pub failures: u32,
    pub under_way: u32,
}

impl Seen {
    /// Whether it is worth telling at once. How many are under way changes all the time.
    pub fn differs(&self, other: &Self) -> bool {
        (self.breaker, self.failures) != (other.breaker, other.failures)
    }
}
