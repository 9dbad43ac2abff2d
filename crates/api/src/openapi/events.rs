//! What others are told: the schema of the `data` of an event, by kind, made of what a GET answers. Served under the path that
//! every event names as its `dataschema`.

use super::document;
use crate::error::Problem;
use axum::response::IntoResponse;
use bytes::Bytes;
use holdfast_domain::event::{VERSION, schema as path};
use holdfast_domain::{Kind, Status};
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of a command as its client sees it, what is not told: it changes, or is nobody else's business.
const NOT_TOLD: [&str; 5] = ["id", "step", "partners", "links", "callbackUrl"];

pub(super) const CONTENT: &str = "application/schema+json";

/// The JSON Schema of this kind's data.
pub(crate) fn schema(kind: Kind) -> Value {
    let document = serde_json::to_value(document()).expect("the document serialises");
    let mut name = kind.name().to_owned();
    name[..1].make_ascii_uppercase();
    let mut properties = match document["components"]["schemas"][&name]["properties"].clone() {
        Value::Object(properties) => properties,
        _ => Map::new(),
    };
    properties.retain(|property, _| !NOT_TOLD.contains(&property.as_str()));
    properties.insert("client".to_owned(), text("The name of the client"));
    properties.insert("key".to_owned(), text("What identifies the command among those of its client and kind"));
    properties.insert("happened".to_owned(), happened());
    let properties = resolved(Value::Object(properties), &document);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": path(kind),
        "title": format!("What an event about a command of the kind {kind} tells, version {VERSION}"),
        "description": "Fields may be added: read what you know, and leave the rest",
        "type": "object",
        "properties": properties,
        "required": ["client", "kind", "status", "key", "createdAt", "happened"],
    })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn happened() -> Value {
    let at = json!({ "type": "string", "format": "date-time" });
    let what = ["recorded", "created", "looked_up", "polled", "notified", "waiting", "retried", "resolved"];
    let properties = json!({
        "at": at,
        "type": { "type": "string", "description": format!("One of {}; more may follow", what.join(", ")) },
        "partner": { "type": "string" },
        "outcome": { "type": "string" },
    });
    let item = json!({ "type": "object", "properties": properties, "required": ["at", "type"] });
    json!({ "type": "array", "items": item, "description": "Since the event before" })
}

/// Without references: the schema stands alone.
fn resolved(value: Value, document: &Value) -> Value {
    match value {
        Value::Object(members) => match members.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'))
        {
            Some(pointer) => resolved(document.pointer(pointer).cloned().unwrap_or_default(), document),
            None => members.into_iter().map(|(name, value)| (name, resolved(value, document))).collect(),
        },
        Value::Array(items) => items.into_iter().map(|item| resolved(item, document)).collect(),
        simple => simple,
    }
}

/// Every type of event of this kind, with when it comes.
pub(super) fn types(kind: Kind) -> Vec<(String, &'static str)> {
    let of_status = Status::ALL.map(|status| (format!("{kind}.{status}"), meaning(status)));
    let others = [
        (format!("{kind}.progressed"), "Something happened, and the status is what it was"),
        ("request.rejected".to_owned(), "It came too late: under its key stands `conflictsWith`, with other content"),
    ];
    of_status.into_iter().chain(others).collect()
}

const fn meaning(status: Status) -> &'static str {
    match status {
        Status::Accepted => "Its client has its 202. Always the first, with the sequence 0",
        Status::Processing => "It is being carried out, and was not done at once; or goes on after it was parked",
        Status::Pending => "A partner has it and has not decided yet",
        Status::Completed => "It was carried out",
        Status::Failed => "It was not, and `reason` says why",
        Status::Cancelled => "Its client has cancelled it, before anything was sent",
        Status::NeedsAttention => "It is parked: a person has to find out. Another event may follow, a day later too",
    }
}

/// What stands under `/schemas/events/1/order.json` and so on: made once.
pub(super) struct Files(BTreeMap<String, Bytes>);

impl Files {
    pub(super) fn make() -> Arc<Self> {
        let file = |kind: Kind| (path(kind), format!("{:#}\n", super::sorted(schema(kind))).into());
        Arc::new(Self(Kind::ALL.into_iter().map(file).collect()))
    }

    pub(super) fn serve(&self, version: &str, file: &str) -> Result<impl IntoResponse + use<>, Problem> {
        let found = self.0.get(&format!("/schemas/events/{version}/{file}")).cloned();
        Ok(([(CONTENT_TYPE, CONTENT)], found.ok_or(Problem::NotFound)?))
    }
}
