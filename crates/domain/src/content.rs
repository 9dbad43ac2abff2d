//! What a client asked for, by kind: the one place where bodies become nouns.

use crate::Kind;
use crate::json::{Node, Violation};
use crate::transaction::Transaction;
use serde::Serialize;

/// Valid content, normalised. Serialises as the fields that answers echo.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Content {
    Transaction(Transaction),
}

impl Content {
    /// Checks every field and names every wrong one.
    pub fn parse(kind: Kind, body: Node) -> Result<Self, Vec<Violation>> {
        match kind {
            Kind::Transaction => Transaction::parse(body).map(Self::Transaction),
        }
    }

    /// The client's own id of it, which identifies the command if there is one.
    pub fn own_id(&self) -> Option<&str> {
        match self {
            Self::Transaction(transaction) => transaction.transaction_id.as_deref(),
        }
    }

    /// Where this command's callbacks go, if it says so itself.
    pub fn callback_url(&self) -> Option<&str> {
        match self {
            Self::Transaction(transaction) => transaction.callback_url.as_deref(),
        }
    }
}
