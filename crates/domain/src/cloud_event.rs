//! CloudEvents 1.0 in structured JSON mode: the envelope of queue messages and of callbacks.

use crate::{CommandId, Status};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;

/// Content type of a structured-mode event.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CloudEvent<T> {
    pub specversion: SpecVersion,
    pub id: String,
    pub source: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub subject: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<DateTime<Utc>>,
    /// The Sequence extension: a receiver that keeps the highest one never goes backwards.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sequence: Option<String>,
    pub datacontenttype: String,
    /// A path that names the version of what `data` looks like.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dataschema: Option<String>,
    /// The Distributed Tracing extension: the trace in which the command was accepted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub traceparent: Option<String>,
    /// The Partitioning extension: events with the same one belong in one order.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub partitionkey: Option<String>,
    pub data: T,
}

/// The only version there is. Another one fails to parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpecVersion {
    #[serde(rename = "1.0")]
    V1,
}

impl<T> CloudEvent<T> {
    pub fn new(id: String, kind: String, subject: String, data: T) -> Self {
        Self {
            specversion: SpecVersion::V1,
            id,
            source: "/holdfast".to_owned(),
            kind,
            subject,
            time: None,
            sequence: None,
            datacontenttype: "application/json".to_owned(),
            dataschema: None,
            traceparent: None,
            partitionkey: None,
            data,
        }
    }
}

/// For logs: where a message that cannot be read stops being one of ours. What stands there may be a client's text.
pub fn misread(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Io | Category::Syntax | Category::Eof => "no JSON",
        Category::Data => "no message of this version",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

/// The id of the callback that tells this state: the same on every retry, another for every state.
pub fn callback_id(command: CommandId, status: Status, sequence: i32) -> String {
    format!("evt_{}_{sequence}_{status}", command.0.simple())
}
