//! A transaction as a client describes it.

use crate::command::is_key;
use crate::json::{Node, Violation};
use crate::money::{Currency, Money};
use serde::Serialize;
use url::Url;

const MAX_DESCRIPTION_CHARS: usize = 500;
const MAX_CALLBACK_URL_LEN: usize = 2048;

/// A valid transaction. Serialises as the fields that answers echo, the amount normalised.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    pub amount: Money,
    pub currency: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The client's own JSON object, carried and echoed, never interpreted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Node>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
}

impl Transaction {
    /// Checks every field and names every wrong one.
    pub fn parse(body: Node) -> Result<Self, Vec<Violation>> {
        let mut fields = Fields::of(body)?;
        let transaction_id = fields.optional_string("transactionId", |text| match is_key(&text) {
            true => Ok(text),
            false => Err("must be 1 to 255 visible ASCII characters".to_owned()),
        });
        let currency = fields.required("currency", currency);
        let amount = fields.required("amount", amount_text);
        let description = fields.optional_string("description", |text| match text.chars().count() {
            0..=MAX_DESCRIPTION_CHARS => Ok(text),
            _ => Err(format!("must have at most {MAX_DESCRIPTION_CHARS} characters")),
        });
        let metadata = fields.optional("metadata", |node| match node {
            Node::Object(_) => Ok(node),
            _ => Err("must be an object".to_owned()),
        });
        let callback_url = fields.optional_string("callbackUrl", callback_url);
        let amount = match (amount, currency) {
            (Some(text), Some(currency)) => Money::parse(&text, currency)
                .map_err(|error| fields.violations.push(Violation::new("/amount", error.to_string())))
                .ok(),
            _ => None,
        };
        match (fields.finish(), amount) {
            (Ok(()), Some(amount)) => {
                let currency = amount.currency().code();
                Ok(Self { transaction_id, amount, currency, description, metadata, callback_url })
            }
            (Err(violations), _) => Err(violations),
            (Ok(()), None) => unreachable!("a missing amount or currency is a violation"),
        }
    }
}

fn currency(node: Node) -> Result<Currency, String> {
    let Node::String(code) = node else { return Err("must be a string".to_owned()) };
    Currency::parse(&code).ok_or_else(|| "must be an ISO 4217 code in capital letters, such as EUR".to_owned())
}

/// The text of the amount; what it is worth depends on the currency.
fn amount_text(node: Node) -> Result<String, String> {
    match node {
        Node::Number(text) => Ok(text),
        // A JSON number may have an exponent, a decimal string may not.
        Node::String(text) if !text.contains(['e', 'E']) => Ok(text),
        Node::String(_) => Err("must be a decimal number such as \"12.50\"".to_owned()),
        _ => Err("must be a decimal string or a number".to_owned()),
    }
}

fn callback_url(text: String) -> Result<String, String> {
    let url = Url::parse(&text).map_err(|_| "must be an absolute URL")?;
    let well_formed = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none()
        && text.len() <= MAX_CALLBACK_URL_LEN;
    match well_formed {
        true => Ok(text),
        false => {
            Err("must be an http or https URL without user information or fragment, at most 2048 characters".into())
        }
    }
}

/// Takes fields out of an object one by one and remembers what was wrong. What is left at the end is unknown.
pub(crate) struct Fields {
    members: Vec<(String, Node)>,
    violations: Vec<Violation>,
}

impl Fields {
    pub(crate) fn of(body: Node) -> Result<Self, Vec<Violation>> {
        match body {
            Node::Object(members) => Ok(Self { members, violations: Vec::new() }),
            _ => Err(vec![Violation::new("", "must be an object")]),
        }
    }

    pub(crate) fn required<T>(&mut self, name: &str, read: impl FnOnce(Node) -> Result<T, String>) -> Option<T> {
        let value = self.optional(name, Ok);
        match value {
            Some(node) => self.read(name, node, read),
            None => {
                self.violations.push(Violation::new(format!("/{name}"), "is required"));
                None
            }
        }
    }

    /// An explicit `null` counts as absent.
    pub(crate) fn optional<T>(&mut self, name: &str, read: impl FnOnce(Node) -> Result<T, String>) -> Option<T> {
        let at = self.members.iter().position(|(known, _)| known == name)?;
        match self.members.swap_remove(at).1 {
            Node::Null => None,
            node => self.read(name, node, read),
        }
    }

    pub(crate) fn optional_string<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(String) -> Result<T, String>,
    ) -> Option<T> {
        self.optional(name, |node| match node {
            Node::String(text) => read(text),
            _ => Err("must be a string".to_owned()),
        })
    }

    fn read<T>(&mut self, name: &str, node: Node, read: impl FnOnce(Node) -> Result<T, String>) -> Option<T> {
        read(node).map_err(|detail| self.violations.push(Violation::new(format!("/{name}"), detail))).ok()
    }

    pub(crate) fn finish(mut self) -> Result<(), Vec<Violation>> {
        for (name, _) in &self.members {
            let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            self.violations.push(Violation::new(pointer, "is not a known field"));
        }
        self.violations.sort_by(|a, b| a.pointer.cmp(&b.pointer));
        if self.violations.is_empty() { Ok(()) } else { Err(self.violations) }
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
                       "callbackUrl": "ftp://x", "amout": 1, "a/b": 2}"#;
        assert_eq!(
            pointers(body),
            ["/amount", "/amout", "/a~1b", "/callbackUrl", "/description", "/metadata", "/transactionId"]
        );
        assert_eq!(pointers("{}"), ["/amount", "/currency"]);
        assert_eq!(pointers("[]"), [""]);
        assert_eq!(pointers(r#"{"amount": "1e2", "currency": "eur"}"#), ["/amount", "/currency"]);
    }

    #[test]
    fn callback_urls_with_secrets_in_them_are_refused() {
        for url in ["http://user@host/", "https://:pw@host/", "https://host/#f", "/relative", "https://"] {
            let body = format!(r#"{{"amount": 1, "currency": "EUR", "callbackUrl": "{url}"}}"#);
            assert_eq!(pointers(&body), ["/callbackUrl"], "{url}");
        }
    }
}
