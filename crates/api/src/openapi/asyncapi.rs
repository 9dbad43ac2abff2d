//! The events as an AsyncAPI 3.0 document, committed as `docs/asyncapi.yaml`: built from the types that make them.

use super::events::{schema, types};
use super::{sorted, yaml};
use holdfast_domain::Kind;
use holdfast_domain::cloud_event::CONTENT_TYPE;
use holdfast_domain::event::schema as path;
use serde_json::{Value, json};

/// As it is committed, and printed by `holdfast-api asyncapi`.
pub fn yaml() -> String {
    yaml::write(&sorted(document()))
}

fn document() -> Value {
    let messages: serde_json::Map<_, _> =
        Kind::ALL.into_iter().map(|kind| (kind.name().to_owned(), message(kind))).collect();
    let references: serde_json::Map<_, _> = Kind::ALL
        .into_iter()
        .map(|kind| (kind.name().to_owned(), json!({ "$ref": format!("#/components/messages/{kind}") })))
        .collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Holdfast events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": include_str!("asyncapi.md").trim_end(),
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            "events": {
                "address": null,
                "description": "A sink of the operator's: a queue of SQS, a stream of Redis, or an HTTP endpoint",
                "messages": references,
            },
        },
        "operations": {
            "publish": {
                "action": "send",
                "channel": { "$ref": "#/channels/events" },
                "summary": "Holdfast tells every state change of every command, at least once",
            },
        },
        "components": { "messages": messages },
    })
}

fn message(kind: Kind) -> Value {
    let types = types(kind);
    let means: Vec<String> = types.iter().map(|(name, meaning)| format!("- `{name}`: {meaning}")).collect();
    json!({
        "name": kind.name(),
        "title": format!("What happened to a command of the kind {kind}"),
        "description": means.join("\n"),
        "contentType": CONTENT_TYPE,
        "payload": envelope(kind, types.into_iter().map(|(name, _)| name).collect()),
    })
}

fn envelope(kind: Kind, types: Vec<String>) -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let fixed = |value: &str| json!({ "type": "string", "const": value });
    let properties = json!({
        "specversion": fixed("1.0"),
        "id": text("`subject/sequence`: the same however often the event comes, by which a consumer knows it"),
        "source": fixed("/holdfast"),
        "type": { "type": "string", "enum": types },
        "subject": { "type": "string", "format": "uuid", "description": "The id of the command" },
        "time": { "type": "string", "format": "date-time", "description": "When it was written down, by Postgres" },
        "sequence": { "type": "string", "pattern": "^[0-9]+$", "description": "0, 1, 2 … without a gap for each subject" },
        "datacontenttype": fixed("application/json"),
        "dataschema": fixed(&path(kind)),
        "traceparent": text("W3C trace context of the request that was accepted, if it had one"),
        "partitionkey": text("The subject: events with the same one belong in one order"),
        "data": schema(kind),
    });
    let required = [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "sequence",
        "datacontenttype",
        "dataschema",
        "partitionkey",
        "data",
    ];
    json!({ "type": "object", "properties": properties, "required": required })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo run --package holdfast-api -- asyncapi >docs/asyncapi.yaml` renews it.
    #[test]
    fn the_committed_document_is_this_one() {
        assert!(yaml() == include_str!("../../../../docs/asyncapi.yaml"), "docs/asyncapi.yaml is not up to date");
    }

    #[test]
    fn a_schema_stands_alone_and_tells_no_secret() {
        for kind in Kind::ALL {
            let text = schema(kind).to_string();
            assert!(!text.contains("$ref") && !text.contains("callbackUrl"), "{text}");
            let properties = schema(kind)["properties"].as_object().expect("an object").len();
            assert!(properties > 12, "{properties} of {kind}");
        }
    }
}
