//! What the document shows as examples. Requests go through the parser and answers come out of the types that real ones
//! go through and come out of: an example that is wrong fails a test.

use chrono::{DateTime, Utc};
use holdfast_domain::cloud_event::{CloudEvent, callback_id};
use holdfast_domain::content::{self, Content};
use holdfast_domain::money::Currency;
use holdfast_domain::progress::PartnerState;
use holdfast_domain::resource::{Links, PartnerView, Resource};
use holdfast_domain::{CommandId, Kind, Status, Tombstone, json};
use serde_json::{Value, json};
use uuid::Uuid;

/// Bodies that would be accepted, each with its name.
pub(super) const fn bodies(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Transaction => &[
            (
                "simple",
                r#"{"transactionId": "order-1001", "amount": "12.50", "currency": "EUR", "description": "two tickets"}"#,
            ),
            (
                "everything",
                r#"{"transactionId": "order-1002", "amount": 12.5, "currency": "EUR", "description": "two tickets",
                    "metadata": {"cart": "c-7"}, "expiresAt": "2030-01-31T12:00:00Z",
                    "callbackUrl": "https://shop.example/callbacks"}"#,
            ),
        ],
        Kind::Refund => &[
            (
                "of a transaction of ours",
                r#"{"refundId": "r-1", "transactionId": "order-1001", "amount": "5.00", "currency": "EUR"}"#,
            ),
            (
                "of a sale that is not ours",
                r#"{"refundId": "r-2", "originalReference": "receipt 4711", "amount": "5.00", "currency": "EUR",
                    "reason": "one ticket was torn"}"#,
            ),
        ],
        Kind::Order => &[(
            "simple",
            r#"{"orderId": "o-1", "userId": "u-1", "productName": "tea", "quantity": 2, "totalPrice": "7.50",
                "items": [{"sku": "tea-250"}]}"#,
        )],
    }
}

pub(super) fn id() -> CommandId {
    CommandId(Uuid::from_u128(0x9a6d_12b7_6deb_8b42_8b75_d76a_4b1e_8cf1))
}

fn time(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_769_860_800_000 + millis).expect("a time within range")
}

/// A command of this kind that stands so.
pub(super) fn command(kind: Kind, status: Status) -> Resource {
    let (_, body) = bodies(kind).first().expect("each kind has an example");
    Resource {
        id: id(),
        kind,
        status,
        step: None,
        reason: None,
        conflicts_with: None,
        content: content(kind, body),
        partners: vec![PartnerView {
            partner: "processor".to_owned(),
            state: PartnerState::Completed,
            tries: 1,
            external_id: Some("p-4711".to_owned()),
            detail: None,
        }],
        created_at: time(0),
        finished_at: Some(time(180)),
        links: Links::of(kind, id()),
    }
}

fn content(kind: Kind, body: &str) -> Content {
    let mut document = json::parse(body.as_bytes()).expect("an example is JSON");
    content::fill_in(kind, &mut document.root, Currency::parse("EUR").expect("the euro is a currency"));
    Content::take(kind, document, None).expect("an example is valid").content
}

pub(super) fn accepted(kind: Kind) -> Value {
    json!({
        "id": id(),
        "status": Status::Accepted,
        "createdAt": "2026-01-31T12:00:00.000Z",
        "links": Links::of(kind, id()),
    })
}

/// What is left of one that ended 400 days before.
pub(super) fn tombstone() -> Tombstone {
    let archived_at = time(180 + 400 * 86_400_000);
    Tombstone { id: id(), kind: Kind::Transaction, status: Status::Completed, finished_at: time(180), archived_at }
}

/// What tells that a command of this kind has ended.
pub(super) fn event(kind: Kind) -> Value {
    let (resource, sequence) = (command(kind, Status::Completed), 3);
    let name = callback_id(resource.id, resource.status, sequence);
    let (kind, subject) = (resource.event_type(), resource.id.to_string());
    let mut event = CloudEvent::new(name, kind, subject, resource);
    event.time = event.data.finished_at;
    event.sequence = Some(sequence.to_string());
    json!(event)
}

/// One that was told at once.
pub(super) fn callback(kind: Kind) -> Value {
    json!({
        "id": callback_id(id(), Status::Completed, 3),
        "type": format!("{kind}.{}", Status::Completed),
        "sequence": 3,
        "state": "delivered",
        "attempts": [{
            "attempt": 1, "at": "2026-01-31T12:00:00.195Z", "outcome": "delivered", "httpStatus": 204, "tookMs": 12,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_valid() {
        for kind in Kind::ALL {
            for (_, body) in bodies(kind) {
                assert!(content(kind, body).own_id().is_some(), "{body}");
            }
        }
    }
}
