//! What a client asked for, by kind: the one place where bodies become nouns.

use crate::Kind;
use crate::card_number::{self, KEY_DETAIL};
use crate::json::{Document, MAX_VIOLATIONS, Node, Violation};
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

/// Whether this is the fingerprint of what a client sent of which this body came: a currency that was filled in is in none.
pub fn is_fingerprint(kind: Kind, mut body: Node, fingerprint: &[u8]) -> bool {
    if body.fingerprint() == fingerprint {
        return true;
    }
    let (Kind::Order, Node::Object(members)) = (kind, &mut body) else { return false };
    // Where it was filled in it is the last, and what was sent had none, or `null`.
    if members.pop_if(|(name, _)| name == "currency").is_none() {
        return false;
    }
    if body.fingerprint() == fingerprint {
        return true;
    }
    let Node::Object(members) = &mut body else { return false };
    members.push(("currency".to_owned(), Node::Null));
    body.fingerprint() == fingerprint
}

/// Where a body says that its callbacks go, whatever else it says.
pub fn callback_url(body: &Node) -> Option<&str> {
    let Node::Object(members) = body else { return None };
    members.iter().find_map(|(name, node)| match node {
        Node::String(url) if name == CALLBACK_URL => Some(url.as_str()),
        _ => None,
    })
}

/// What a client sends now.
#[derive(Clone, Debug)]
pub struct Sent {
    pub content: Content,
    /// What in it is not accepted any more, though it was before there was a rule against it: a repetition of what was
    /// accepted then is still one.
    pub refused: Vec<Violation>,
}

impl Content {
    /// Reads what a client sends now, with the `Idempotency-Key` of its header: nothing in it may look like a card number.
    pub fn take(kind: Kind, body: Document, header_key: Option<&str>) -> Result<Sent, Vec<Violation>> {
        let mut cards = card_number::found_in(&body.root);
        if header_key.is_some_and(card_number::is) {
            cards.insert(0, Violation::new("", KEY_DETAIL));
        }
        match Self::parse(kind, body) {
            Ok(content) => Ok(Sent { content, refused: cards }),
            Err(others) if cards.is_empty() => Err(others),
            Err(others) => {
                // Such a name must not come back in a pointer.
                cards.extend(others.into_iter().filter(|other| !card_number::is_in(&other.pointer)));
                cards.truncate(MAX_VIOLATIONS);
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
                violations.truncate(MAX_VIOLATIONS);
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
            let violations = match Content::take(Kind::Transaction, document(body), key) {
                Ok(sent) => sent.refused,
                Err(violations) => violations,
            };
            violations.into_iter().map(|violation| violation.pointer).collect()
        };
        let valid = r#"{"amount": 1, "currency": "EUR", "description": "by 4111 1111 1111 1111"}"#;
        assert_eq!(pointers(valid, None), ["/description"]);
        assert!(Content::parse(Kind::Transaction, document(valid)).is_ok());
        assert_eq!(pointers(r#"{"amount": 1, "currency": "EUR"}"#, Some("4111111111111111")), [""]);
        assert_eq!(pointers(r#"{"amount": 1, "currency": 1, "4111111111111111": 1}"#, None), ["", "/currency"]);
        assert!(pointers(r#"{"amount": 1, "currency": "EUR"}"#, Some("k-1")).is_empty());
    }

    #[test]
    fn what_is_wrong_in_every_way_at_once_is_listed_up_to_a_limit() {
        let wrong = |what: &str, value: &str| -> String {
            (0..200).map(|n| format!(r#""{what}{n}{}": {value}, "#, "/".repeat(60))).collect()
        };
        let body = format!(r#"{{{}{}"a": 1}}"#, wrong("c", "378282246310005"), wrong("s", r#""\ud800""#));
        let document = json::parse(body.as_bytes()).expect("JSON");
        for key in [None, Some("4111111111111111")] {
            let violations = Content::take(Kind::Order, document.clone(), key).expect_err("refused");
            assert_eq!(violations.len(), MAX_VIOLATIONS);
            assert_eq!(key.is_some(), violations.iter().any(|violation| violation.detail == KEY_DETAIL));
        }
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

    #[test]
    fn what_was_filled_in_does_not_change_whose_fingerprint_it_is() {
        let euro = Currency::parse("EUR").expect("a currency");
        let root = |body: &str| json::parse(body.as_bytes()).expect("JSON").root;
        for sent in ["{}", r#"{"a":1}"#, r#"{"currency":null,"a":1}"#, r#"{"a":1,"currency":"USD"}"#] {
            let (fingerprint, mut body) = (root(sent).fingerprint(), root(sent));
            fill_in(Kind::Order, &mut body, euro);
            assert!(is_fingerprint(Kind::Order, body.clone(), &fingerprint), "{sent}");
            assert!(!is_fingerprint(Kind::Order, body, &root(r#"{"a":2}"#).fingerprint()), "{sent}");
        }
        let (fingerprint, body) = (root("{}").fingerprint(), root(r#"{"currency":"EUR"}"#));
        assert!(!is_fingerprint(Kind::Transaction, body, &fingerprint), "nothing is filled in there");
    }
}
