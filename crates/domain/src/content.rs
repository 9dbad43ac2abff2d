//! What a client asked for, by kind: the one place where bodies become nouns.

use crate::Kind;
use crate::card_number::{self, KEY_DETAIL};
use crate::json::{Document, Node, Violation};
use crate::money::{Currency, Money};
use crate::order::Order;
use crate::refund::Refund;
use crate::transaction::Transaction;
use crate::wishes::{CALLBACK_URL, Wishes};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// Valid content, normalised. Serialises as the fields that answers echo.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Content {
    Transaction(Transaction),
    Refund(Refund),
    Order(Order),
}

/// Writes into a body what our configuration says where the client said nothing, so that a later change of configuration
/// does not change what was accepted. Returns whether it wrote. The fingerprint is taken before.
pub fn fill_in(kind: Kind, body: &mut Node, currency: Currency) -> bool {
    match (kind, body) {
        (Kind::Transaction | Kind::Refund, _) => false,
        (Kind::Order, Node::Object(members)) => {
            let is_currency = |(name, node): &(String, Node)| name == "currency" && *node != Node::Null;
            if members.iter().any(is_currency) {
                return false;
            }
            members.retain(|(name, _)| name != "currency");
            members.push(("currency".to_owned(), Node::String(currency.code().to_owned())));
            true
        }
        (Kind::Order, _) => false,
    }
}

/// Where a body says that its callbacks go, whatever else it says.
pub fn callback_url(body: &Node) -> Option<&str> {
    let Node::Object(members) = body else { return None };
    members.iter().find_map(|(name, node)| match node {
        Node::String(url) if name == CALLBACK_URL => Some(url.as_str()),
        _ => None,
    })
}

impl Content {
    /// Reads what a client sends now, with the `Idempotency-Key` of its header: nothing in it may look like a card number.
    pub fn take(kind: Kind, body: Document, header_key: Option<&str>) -> Result<Self, Vec<Violation>> {
        let mut cards = card_number::found_in(&body.root);
        if header_key.is_some_and(card_number::is) {
            cards.push(Violation::new("", KEY_DETAIL));
        }
        match Self::parse(kind, body) {
            parsed if cards.is_empty() => parsed,
            Ok(_) => Err(cards),
            Err(others) => {
                // Such a name must not come back in a pointer.
                cards.extend(others.into_iter().filter(|other| !card_number::is_in(&other.pointer)));
                Err(cards)
            }
        }
    }

    /// The same for what was accepted, which stays readable whatever later versions refuse.
    ///
    /// Checks every field and names every wrong one, each once.
    pub fn parse(kind: Kind, body: Document) -> Result<Self, Vec<Violation>> {
        let Document { root, mut violations } = body;
        let content = match kind {
            Kind::Transaction => Transaction::parse(root).map(Self::Transaction),
            Kind::Refund => Refund::parse(root).map(Self::Refund),
            Kind::Order => Order::parse(root).map(Self::Order),
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
            Self::Refund(refund) => refund.refund_id.as_deref(),
            Self::Order(order) => order.order_id.as_deref(),
        }
    }

    /// Where this command's callbacks go, if it says so itself.
    pub fn callback_url(&self) -> Option<&str> {
        self.wishes().callback_url.as_deref()
    }

    /// What it says to others than its client: not where that is told.
    pub fn for_others(mut self) -> Self {
        match &mut self {
            Self::Transaction(transaction) => transaction.wishes.callback_url = None,
            Self::Refund(refund) => refund.wishes.callback_url = None,
            Self::Order(order) => order.wishes.callback_url = None,
        }
        self
    }

    /// From when on no partner may be asked to carry it out.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.wishes().expires_at.map(|at| at.to_utc())
    }

    const fn wishes(&self) -> &Wishes {
        match self {
            Self::Transaction(transaction) => &transaction.wishes,
            Self::Refund(refund) => &refund.wishes,
            Self::Order(order) => &order.wishes,
        }
    }

    /// What the run has found out about the amount, where the client left that open.
    pub fn decide_amount(&mut self, amount: Money) {
        match self {
            Self::Refund(refund) => refund.decide_amount(amount),
            Self::Transaction(_) | Self::Order(_) => {}
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

    #[test]
    fn what_looks_like_a_card_number_is_not_taken_and_stays_readable() {
        let document = |body: &str| json::parse(body.as_bytes()).expect("JSON");
        let pointers = |body: &str, key: Option<&str>| -> Vec<String> {
            let violations = Content::take(Kind::Transaction, document(body), key).expect_err("refused");
            violations.into_iter().map(|violation| violation.pointer).collect()
        };
        let valid = r#"{"amount": 1, "currency": "EUR", "description": "by 4111 1111 1111 1111"}"#;
        assert_eq!(pointers(valid, None), ["/description"]);
        assert!(Content::parse(Kind::Transaction, document(valid)).is_ok());
        assert_eq!(pointers(r#"{"amount": 1, "currency": "EUR"}"#, Some("4111111111111111")), [""]);
        assert_eq!(pointers(r#"{"amount": 1, "currency": 1, "4111111111111111": 1}"#, None), ["", "/currency"]);
        assert!(Content::take(Kind::Transaction, document(r#"{"amount": 1, "currency": "EUR"}"#), Some("k-1")).is_ok());
    }

    #[test]
    fn only_an_order_without_a_currency_gets_the_default() {
        let euro = Currency::parse("EUR").expect("a currency");
        let filled = |kind, body: &str| {
            let mut root = json::parse(body.as_bytes()).expect("JSON").root;
            fill_in(kind, &mut root, euro).then(|| serde_json::to_string(&root).expect("serialises"))
        };
        assert_eq!(filled(Kind::Order, "{}").as_deref(), Some(r#"{"currency":"EUR"}"#));
        assert_eq!(filled(Kind::Order, r#"{"currency":null,"a":1}"#).as_deref(), Some(r#"{"a":1,"currency":"EUR"}"#));
        assert_eq!(filled(Kind::Order, r#"{"currency":"USD"}"#), None);
        assert_eq!(filled(Kind::Transaction, "{}"), None);
    }
}
