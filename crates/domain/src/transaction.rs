//! A transaction as a client describes it.

use crate::fields::{Fields, amount_text, currency, key};
use crate::json::{Node, Violation};
use crate::money::Money;
use crate::wishes::Wishes;
use serde::Serialize;
use std::fmt;

pub const MAX_DESCRIPTION_CHARS: usize = 500;

/// A valid transaction. Serialises as the fields that answers echo, the amount normalised.
#[derive(Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    pub amount: Money,
    pub currency: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(flatten)]
    pub wishes: Wishes,
}

/// What the client has written is for its answers alone.
impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}

impl Transaction {
    /// Checks every field and names every wrong one.
    pub fn parse(body: Node) -> Result<Self, Vec<Violation>> {
        let mut fields = Fields::of(body)?;
        let transaction_id = fields.optional_string("transactionId", key);
        let currency = fields.required("currency", currency);
        let amount = fields.required("amount", amount_text);
        let description = fields.optional_string("description", |text| match text.chars().count() {
            0..=MAX_DESCRIPTION_CHARS => Ok(text),
            _ => Err(format!("must have at most {MAX_DESCRIPTION_CHARS} characters")),
        });
        let wishes = Wishes::take_from(&mut fields);
        let amount = fields.money("amount", amount, currency);
        match (fields.finish(), amount) {
            (Ok(()), Some(amount)) => {
                let currency = amount.currency().code();
                Ok(Self { transaction_id, amount, currency, description, wishes })
            }
            (Err(violations), _) => Err(violations),
            (Ok(()), None) => unreachable!("a missing amount or currency is a violation"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn parse(body: &str) -> Result<Transaction, Vec<Violation>> {
        Transaction::parse(json::parse(body.as_bytes()).expect("JSON").root)
    }

    fn pointers(body: &str) -> Vec<String> {
        parse(body).expect_err("invalid").into_iter().map(|violation| violation.pointer).collect()
    }

    #[test]
    fn a_string_and_a_number_are_the_same_amount() {
        let text = parse(r#"{"amount": "12.5", "currency": "EUR"}"#).expect("valid");
        let number = parse(r#"{"amount": 12.50, "currency": "EUR", "description": null}"#).expect("valid");
        assert_eq!(text, number);
        assert_eq!(serde_json::to_string(&text).expect("serialises"), r#"{"amount":"12.50","currency":"EUR"}"#);
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let body = r#"{"transactionId": "", "amount": -1, "currency": "EUR", "description": 7, "metadata": [],
                       "callbackUrl": "ftp://x", "expiresAt": "soon", "amout": 1, "a/b": 2}"#;
        assert_eq!(
            pointers(body),
            ["/amount", "/amout", "/a~1b", "/callbackUrl", "/description", "/expiresAt", "/metadata", "/transactionId"]
        );
        assert_eq!(pointers("{}"), ["/amount", "/currency"]);
        assert_eq!(pointers("[]"), [""]);
        assert_eq!(pointers(r#"{"amount": "1e2", "currency": "eur"}"#), ["/amount", "/currency"]);
    }

    #[test]
    fn callback_urls_with_secrets_in_them_are_refused() {
        for url in [
            "http://user@host/",
            "https://:pw@host/",
            "https://host/#f",
            "/relative",
            "https://",
            "http://a*b/",
            "http://a'b/",
        ] {
            let body = format!(r#"{{"amount": 1, "currency": "EUR", "callbackUrl": "{url}"}}"#);
            assert_eq!(pointers(&body), ["/callbackUrl"], "{url}");
        }
    }
}
