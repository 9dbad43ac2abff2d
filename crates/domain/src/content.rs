//! What a client asked for, by kind: the one place where bodies become nouns.

use crate::Kind;
use crate::json::{Document, Violation};
use crate::transaction::Transaction;
use serde::Serialize;

/// Valid content, normalised. Serialises as the fields that answers echo.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Content {
    Transaction(Transaction),
}

impl Content {
    /// Checks every field and names every wrong one, each once.
    pub fn parse(kind: Kind, body: Document) -> Result<Self, Vec<Violation>> {
        let Document { root, mut violations } = body;
        let content = match kind {
            Kind::Transaction => Transaction::parse(root).map(Self::Transaction),
        };
        match content {
            Ok(content) if violations.is_empty() => Ok(content),
            Ok(_) => Err(violations),
            Err(of_fields) => {
                // A value that cannot be carried was read as absent: its own violation says more than "is required".
                let new = |field: &Violation| violations.iter().all(|known| known.pointer != field.pointer);
                let of_fields: Vec<_> = of_fields.into_iter().filter(new).collect();
                violations.extend(of_fields);
                Err(violations)
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn bad_characters_and_bad_fields_are_listed_together() {
        let body = br#"{"amount": "\u0000", "currency": "EUR", "description": "\ud800", "colour": 1}"#;
        let violations = Content::parse(Kind::Transaction, json::parse(body).expect("JSON")).expect_err("invalid");
        let pointers: Vec<_> = violations.iter().map(|violation| violation.pointer.as_str()).collect();
        assert_eq!(pointers, ["/amount", "/description", "/colour"]);
    }
}
