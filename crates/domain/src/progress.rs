//! What a run knows about each partner. Stored with the wakeup until the end, then with the outcome.

use crate::CommandId;
use crate::money::{Currency, Money};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub partners: Vec<PartnerProgress>,
    /// What it is about, where that was found out by the step `record`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amount: Option<Amount>,
    /// What stands under its key, if that is another command's.
    #[serde(rename = "conflictsWith", skip_serializing_if = "Option::is_none", default)]
    pub conflicts_with: Option<CommandId>,
}

/// Money as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    pub minor: i64,
    pub currency: String,
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self { minor: money.minor(), currency: money.currency().code().to_owned() }
    }
}

impl Amount {
    /// `None` if it could not have been stored by us.
    pub fn money(&self) -> Option<Money> {
        Money::from_minor(self.minor, Currency::parse(&self.currency)?)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartnerProgress {
    pub partner: String,
    pub state: PartnerState,
    /// Creations that were answered, or whose answer is lost for good. A crash or a deploy is no try.
    pub tries: u16,
    /// Status requests since the partner took it.
    #[serde(default)]
    pub polls: u16,
    /// Requests for what stands under our id, because we did not know.
    #[serde(default)]
    pub lookups: u16,
    /// Some creation's outcome was unknown at some time: a later rejection alone is then no proof.
    #[serde(default)]
    pub was_unknown: bool,
    /// The command's time was over while a creation was in doubt: no other follows.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub expired: bool,
    /// A person has it asked again: what it said by webhook before this was heard, and settled nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heard_until: Option<DateTime<Utc>>,
    /// It told us by webhook how this ended, before anything was sent to it.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub announced: bool,
    /// Since when it has been asked what stands there, without any answer yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub asking_since: Option<DateTime<Utc>>,
    /// It refused a creation while an earlier one was in doubt.
    #[serde(default)]
    pub rejected: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartnerState {
    /// Surely nothing of ours is there.
    Open,
    /// Something of ours may be there: the next act is a lookup.
    Unknown,
    /// It is there and not final.
    Accepted,
    Completed,
    /// It is there and failed.
    Failed,
    /// The partner refused it.
    Rejected,
}

impl Progress {
    /// The entry of this partner, made when first asked for.
    pub fn partner(&mut self, name: &str) -> &mut PartnerProgress {
        let at = self.partners.iter().position(|known| known.partner == name).unwrap_or_else(|| {
            self.partners.push(PartnerProgress::open(name));
            self.partners.len() - 1
        });
        &mut self.partners[at]
    }
}

impl PartnerProgress {
    /// A creation has left for it, whose outcome was not that it surely was not written.
    pub const fn may_have_been_sent(&self) -> bool {
        self.was_unknown
    }

    fn open(name: &str) -> Self {
        Self {
            partner: name.to_owned(),
            state: PartnerState::Open,
            tries: 0,
            polls: 0,
            lookups: 0,
            was_unknown: false,
            expired: false,
            heard_until: None,
            announced: false,
            asking_since: None,
            rejected: false,
            external_id: None,
            detail: None,
        }
    }
}
