//! A refund as a client describes it.

use crate::fields::{Fields, amount_text, currency, key, text};
use crate::json::{Node, Violation};
use crate::money::{self, Money};
use crate::wishes::Wishes;
use serde::Serialize;
use std::fmt;

pub const MAX_REASON_CHARS: usize = 500;
pub const MAX_REFERENCE_CHARS: usize = 255;

/// A valid refund: of a transaction of ours, or of a sale that somebody else knows.
#[derive(Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<String>,
    #[serde(flatten)]
    pub original: Original,
    /// Without a currency as it was sent: whether its decimals fit, the transaction will tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<&'static str>,
    /// Of the client's. In answers `reason` says how the command ended.
    #[serde(rename = "refundReason", skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(flatten)]
    pub wishes: Wishes,
}

/// What is refunded.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Original {
    /// A transaction of this client, by the client's own id of it.
    TransactionId(String),
    /// Something that we have never seen.
    OriginalReference(String),
}

/// What the client has written is for its answers alone.
impl fmt::Debug for Refund {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refund").finish_non_exhaustive()
    }
}

impl Refund {
    /// Checks every field and names every wrong one.
    pub fn parse(body: Node) -> Result<Self, Vec<Violation>> {
        let mut fields = Fields::of(body)?;
        let refund_id = fields.optional_string("refundId", key);
        let transaction_id = fields.optional_string("transactionId", key);
        let reference = fields.optional_string("originalReference", text(MAX_REFERENCE_CHARS));
        let sent = fields.optional("amount", amount_text);
        let currency = fields.optional("currency", currency);
        let reason = fields.optional_string("reason", text(MAX_REASON_CHARS));
        let wishes = Wishes::take_from(&mut fields);
        let amount = match currency {
            Some(_) => fields.money("amount", sent.clone(), currency).map(|money| money.to_string()),
            None => sent.clone().filter(|text| {
                let decimal = money::check_decimal(text);
                decimal.map_err(|error| fields.violate("amount", error.to_string())).is_ok()
            }),
        };
        let original = match (transaction_id, reference) {
            (Some(_), Some(_)) => {
                fields.violate("originalReference", "must not stand beside transactionId");
                None
            }
            (Some(id), None) => Some(Original::TransactionId(id)),
            (None, Some(reference)) => {
                for (name, absent) in [("amount", sent.is_none()), ("currency", currency.is_none())] {
                    if absent {
                        fields.require(name, "is required with originalReference");
                    }
                }
                Some(Original::OriginalReference(reference))
            }
            (None, None) => {
                fields.require("transactionId", "is required, or originalReference");
                None
            }
        };
        fields.finish()?;
        let original = original.expect("a missing one is a violation");
        let currency = currency.map(money::Currency::code);
        Ok(Self { refund_id, original, amount, currency, reason, wishes })
    }

    /// From here on it is known what is refunded.
    pub fn decide_amount(&mut self, amount: Money) {
        self.amount = Some(amount.to_string());
        self.currency = Some(amount.currency().code());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn parse(body: &str) -> Result<Refund, Vec<Violation>> {
        Refund::parse(json::parse(body.as_bytes()).expect("JSON").root)
    }

    fn pointers(body: &str) -> Vec<String> {
        parse(body).expect_err("invalid").into_iter().map(|violation| violation.pointer).collect()
    }

    #[test]
    fn a_transaction_of_ours_needs_nothing_else() {
        let refund = parse(r#"{"transactionId": "t1"}"#).expect("valid");
        assert_eq!(serde_json::to_string(&refund).expect("serialises"), r#"{"transactionId":"t1"}"#);
        let refund = parse(r#"{"transactionId": "t1", "amount": 1.5, "currency": "EUR"}"#).expect("valid");
        assert_eq!(refund.amount.as_deref(), Some("1.50"));
    }

    #[test]
    fn what_we_have_never_seen_needs_amount_and_currency() {
        assert!(parse(r#"{"originalReference": "r", "amount": "2", "currency": "JPY"}"#).is_ok());
        assert_eq!(pointers(r#"{"originalReference": "r"}"#), ["/amount", "/currency"]);
        assert_eq!(pointers(r#"{"originalReference": "r", "amount": "x"}"#), ["/amount", "/currency"]);
    }

    #[test]
    fn exactly_one_original_is_named() {
        assert_eq!(pointers("{}"), ["/transactionId"]);
        assert_eq!(pointers(r#"{"transactionId": 1}"#), ["/transactionId"]);
        assert_eq!(pointers(r#"{"transactionId": "t", "originalReference": "r"}"#), ["/originalReference"]);
        assert_eq!(pointers(r#"{"transactionId": "t", "amount": "-1"}"#), ["/amount"]);
        assert_eq!(pointers(r#"{"transactionId": "t", "amount": "1.001", "currency": "EUR"}"#), ["/amount"]);
    }
}
