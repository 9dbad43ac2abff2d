//! What an event looks like, and which type it has.

use super::*;
use crate::WorkerId;
use crate::json;
use serde_json::{Value, json};
use uuid::Uuid;

fn at() -> DateTime<Utc> {
    "2026-01-31T12:00:00.123456Z".parse().expect("a time")
}

fn subject(kind: Kind, body: &str) -> Subject {
    let body = json::parse(body.as_bytes()).expect("JSON");
    Subject {
        id: CommandId(Uuid::from_u128(7)),
        client: "shop".to_owned(),
        kind,
        key: "k".to_owned(),
        content: Some(Content::parse(kind, body).expect("valid")),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        accepted_at: at(),
    }
}

fn transaction() -> Subject {
    let body =
        r#"{"transactionId": "k", "amount": 1.5, "currency": "EUR", "callbackUrl": "https://shop.example/hook"}"#;
    subject(Kind::Transaction, body)
}

fn entry(what: Happening) -> Entry {
    Entry::new(at(), what)
}

fn stated(state: Status) -> Entry {
    Entry { state: Some(state), ..entry(Happening::Recorded) }
}

fn write<'a>(sequence: i32, entries: &'a [Entry], before: Option<&'a [Entry]>) -> Write<'a> {
    Write { sequence, at: at(), entries, before, amount: None }
}

fn kind(entries: &[Entry], before: Option<&[Entry]>) -> String {
    changed(transaction(), write(2, entries, before)).kind
}

#[test]
fn an_acceptance_tells_what_the_client_wants_and_not_where_it_is_told() {
    let expected = json!({
        "specversion": "1.0",
        "id": "00000000-0000-0000-0000-000000000007/0",
        "source": "/holdfast",
        "type": "transaction.accepted",
        "subject": "00000000-0000-0000-0000-000000000007",
        "time": "2026-01-31T12:00:00.123456Z",
        "sequence": "0",
        "datacontenttype": "application/json",
        "dataschema": "/schemas/events/1/transaction.json",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "partitionkey": "00000000-0000-0000-0000-000000000007",
        "data": {
            "client": "shop", "kind": "transaction", "status": "accepted", "key": "k",
            "transactionId": "k", "amount": "1.50", "currency": "EUR",
            "createdAt": "2026-01-31T12:00:00.123Z", "happened": [],
        },
    });
    assert_eq!(serde_json::to_value(accepted(transaction())).expect("serialises"), expected);
}

#[test]
fn a_write_that_changes_the_state_is_told_as_that_state_and_any_other_as_progress() {
    let processing = [entry(Happening::Recorded)];
    assert_eq!(kind(&processing, None), "transaction.processing", "it was accepted before");
    assert_eq!(kind(&processing, Some(&processing)), "transaction.progressed");
    let pending = [stated(Status::Pending)];
    assert_eq!(kind(&pending, Some(&processing)), "transaction.pending");
    assert_eq!(kind(&[stated(Status::Processing)], Some(&pending)), "transaction.processing");
    let finished = |status| [entry(Happening::Recorded), entry(Happening::Finished { status, reason: None })];
    assert_eq!(kind(&finished(Status::Completed), None), "transaction.completed");
    assert_eq!(kind(&finished(Status::NeedsAttention), Some(&pending)), "transaction.needs_attention");
    let (by, why) = ("ann".to_owned(), "asked".to_owned());
    let retried = [entry(Happening::Retried { by: by.clone(), why: why.clone() })];
    assert_eq!(kind(&retried, Some(&finished(Status::NeedsAttention))), "transaction.processing");
    let resolved = [entry(Happening::Resolved { status: Status::Failed, by, why })];
    assert_eq!(kind(&resolved, Some(&finished(Status::NeedsAttention))), "transaction.failed");
    assert_eq!(kind(&[entry(Happening::Cancelled)], None), "transaction.cancelled");
    let conflicts_with = CommandId(Uuid::from_u128(8));
    assert_eq!(kind(&[entry(Happening::Rejected { conflicts_with })], None), "request.rejected");
}

#[test]
fn an_end_says_why_and_who_took_part_but_not_in_whose_hands_it_was() {
    let answer = crate::trail::Answer {
        outcome: "rejected".to_owned(),
        http_status: Some(422),
        detail: Some("a text from outside".to_owned()),
        took_ms: 3,
    };
    let entries = [
        entry(Happening::Claimed { worker: WorkerId(1), taken_over: false }),
        entry(Happening::Created { partner: "processor".to_owned(), attempt: 1, answer }),
        entry(Happening::Finished {
            status: Status::Failed,
            reason: Some(Reason::new("rejected_by_partner", "no money")),
        }),
    ];
    let event = serde_json::to_value(changed(transaction(), write(1, &entries, None))).expect("serialises");
    let data = &event["data"];
    assert_eq!(data["reason"], json!({ "code": "rejected_by_partner", "detail": "no money" }));
    assert_eq!(data["finishedAt"], "2026-01-31T12:00:00.123Z");
    let happened = json!([{ "at": "2026-01-31T12:00:00.123456Z", "type": "created", "partner": "processor", "outcome": "rejected" }]);
    assert_eq!(data["happened"], happened);
    let expected = ["amount", "client", "createdAt", "currency", "finishedAt", "happened", "key", "kind", "reason"];
    let mut names: Vec<_> = data.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, [&expected[..], &["status", "transactionId"]].concat());
}

#[test]
fn a_refund_of_all_that_is_left_says_how_much_that_was_once_it_is_known() {
    let refund = || subject(Kind::Refund, r#"{"refundId": "k", "transactionId": "t"}"#);
    let amount = Money::from_minor(1_250, crate::money::Currency::parse("EUR").expect("a currency"));
    let told = |status| -> Value {
        let entries = [entry(Happening::Finished { status, reason: None })];
        let write = Write { amount, ..write(1, &entries, None) };
        serde_json::to_value(changed(refund(), write)).expect("serialises")["data"]["amount"].clone()
    };
    assert_eq!(told(Status::Completed), "12.50");
    assert_eq!(told(Status::Failed), Value::Null, "it may not have come so far");
    assert_eq!(serde_json::to_value(accepted(refund())).expect("serialises")["data"]["amount"], Value::Null);
}

#[test]
fn what_an_operator_wrote_down_is_not_told() {
    let entries =
        [entry(Happening::Resolved { status: Status::Failed, by: "ann".to_owned(), why: "a note".to_owned() })];
    let text = serde_json::to_string(&changed(transaction(), write(3, &entries, None))).expect("serialises");
    assert!(!text.contains("ann") && !text.contains("a note"), "{text}");
}

#[test]
fn a_row_of_an_earlier_release_reads_back() {
    let row = r#"[{"at": "2026-01-31T12:00:00Z", "type": "finished", "status": "completed"}]"#;
    let entries: Vec<Entry> = serde_json::from_str(row).expect("parses");
    assert_eq!(status_after(&entries), Status::Completed);
    assert_eq!(serde_json::to_value(&entries).expect("serialises"), serde_json::from_str::<Value>(row).expect("JSON"));
}
