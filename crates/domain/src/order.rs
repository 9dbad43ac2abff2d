//! An order as a client describes it.

use crate::fields::{Fields, amount_text, currency, key, text, time};
use crate::json::{Node, Violation};
use crate::money::Money;
use crate::wishes::Wishes;
use chrono::{DateTime, FixedOffset};
use serde::Serialize;
use std::fmt;

pub const MAX_NAME_CHARS: usize = 500;
pub const MAX_USER_ID_CHARS: usize = 255;
pub const MAX_QUANTITY: i64 = 1_000_000_000;
pub const MAX_ITEMS: usize = 500;

/// A valid order. Serialises as the fields that answers echo, the price normalised.
#[derive(Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    pub user_id: String,
    pub product_name: String,
    pub quantity: i64,
    pub total_price: Money,
    pub currency: &'static str,
    /// When the client says it was placed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<DateTime<FixedOffset>>,
    /// Objects of the client's own, carried and echoed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Node>,
    #[serde(flatten)]
    pub wishes: Wishes,
}

/// What the client has written is for its answers alone.
impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order").finish_non_exhaustive()
    }
}

impl Order {
    /// Checks every field and names every wrong one. Where a body may lack the currency, its default was filled in
    /// before (`content::fill_in`).
    pub fn parse(body: Node) -> Result<Self, Vec<Violation>> {
        let mut fields = Fields::of(body)?;
        let order_id = fields.optional_string("orderId", key);
        let user_id = fields.required_string("userId", text(MAX_USER_ID_CHARS));
        let product_name = fields.required_string("productName", text(MAX_NAME_CHARS));
        let quantity = fields.required("quantity", quantity);
        let total_price = fields.required("totalPrice", amount_text);
        let currency = fields.required("currency", currency);
        let timestamp = fields.optional_string("timestamp", time);
        let items = fields.optional("items", items);
        let wishes = Wishes::take_from(&mut fields);
        let total_price = fields.money("totalPrice", total_price, currency);
        fields.finish()?;
        let (Some(user_id), Some(product_name), Some(quantity), Some(total_price)) =
            (user_id, product_name, quantity, total_price)
        else {
            unreachable!("what is missing is a violation")
        };
        let currency = total_price.currency().code();
        Ok(Self { order_id, user_id, product_name, quantity, total_price, currency, timestamp, items, wishes })
    }
}

fn quantity(node: Node) -> Result<i64, String> {
    let Node::Number(text) = node else { return Err("must be a number".to_owned()) };
    // 2.0 is a whole number too, for JSON Schema.
    let whole = text.split_once('.').filter(|(_, rest)| rest.bytes().all(|digit| digit == b'0'));
    match whole.map_or(&*text, |(whole, _)| whole).parse::<i64>() {
        Ok(quantity @ 1..=MAX_QUANTITY) => Ok(quantity),
        _ => Err(format!("must be a whole number from 1 to {MAX_QUANTITY}")),
    }
}

fn items(node: Node) -> Result<Node, String> {
    match &node {
        Node::Array(items) if items.len() > MAX_ITEMS => Err(format!("must have at most {MAX_ITEMS} entries")),
        Node::Array(items) if items.iter().all(|item| matches!(item, Node::Object(_))) => Ok(node),
        _ => Err("must be a list of objects".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn parse(body: &str) -> Result<Order, Vec<Violation>> {
        Order::parse(json::parse(body.as_bytes()).expect("JSON").root)
    }

    #[test]
    fn a_valid_order_is_echoed_normalised() {
        let body = r#"{"userId": "u1", "productName": "tea", "quantity": 2, "totalPrice": 7.5, "currency": "EUR",
                       "timestamp": "2026-01-31T12:00:00+01:00", "items": [{"sku": "t"}]}"#;
        let echo = serde_json::to_value(parse(body).expect("valid")).expect("serialises");
        let expected = serde_json::json!({
            "userId": "u1", "productName": "tea", "quantity": 2, "totalPrice": "7.50", "currency": "EUR",
            "timestamp": "2026-01-31T12:00:00+01:00", "items": [{"sku": "t"}],
        });
        assert_eq!(echo, expected);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let body = r#"{"userId": "", "productName": 1, "quantity": 1.5, "totalPrice": "0", "currency": "EUR",
                       "timestamp": "yesterday", "items": [1], "colour": "red"}"#;
        let violations = parse(body).expect_err("invalid");
        let pointers: Vec<_> = violations.iter().map(|violation| violation.pointer.as_str()).collect();
        let expected = ["/colour", "/items", "/productName", "/quantity", "/timestamp", "/totalPrice", "/userId"];
        assert_eq!(pointers, expected);
    }

    #[test]
    fn a_quantity_is_a_whole_number_however_it_is_written() {
        let read = |text: &str| quantity(Node::Number(text.to_owned()));
        assert_eq!([read("2"), read("2.0"), read("1000000000.00")], [Ok(2), Ok(2), Ok(MAX_QUANTITY)]);
        for text in ["2.5", "0.0", "-1.0", "1000000001.0", "2.01"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
