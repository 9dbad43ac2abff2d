//! What a source delivers: a CloudEvent 1.0 in structured JSON mode. Read leniently: what is not known here is ignored.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use std::fmt;

/// Longer subjects are none of Holdfast's, and would not fit into an index.
const LONGEST_SUBJECT: usize = 255;

/// Something has happened to a command.
#[derive(Clone, PartialEq)]
pub struct Event {
    /// `<command>/<sequence>`: the same each time that the event is delivered.
    pub id: String,
    pub source: String,
    /// `order.accepted`, `order.completed`, `refund.progressed`, `request.rejected`, … There may be others one day.
    pub kind: String,
    /// The id of the command.
    pub subject: String,
    /// 0 for the first event of a subject, then one more for each.
    pub sequence: i64,
    /// When it happened.
    pub time: Option<DateTime<Utc>>,
    /// Names the version of `data`.
    pub dataschema: Option<String>,
    /// W3C trace context of the request that the command came with.
    pub traceparent: Option<String>,
    /// The command: `client`, `kind`, `status`, the key that its client gave it, amount and currency, …
    pub data: Value,
}

/// Why something is no event. Never says what stands in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("no CloudEvent in JSON (line {line}, column {column})")]
    Json { line: usize, column: usize },
    #[error("not of CloudEvents 1.x")]
    Version,
    #[error("the subject is missing, too long, or has control characters")]
    Subject,
    #[error("the sequence is no whole number")]
    Sequence,
}

#[derive(Deserialize)]
struct Envelope {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    sequence: String,
    time: Option<Value>,
    dataschema: Option<String>,
    traceparent: Option<String>,
    #[serde(default)]
    data: Value,
}

impl Event {
    /// Reads one.
    ///
    /// ```
    /// let text = r#"{"specversion":"1.0","id":"0191/2","source":"/holdfast","type":"order.completed","subject":"0191",
    ///                "sequence":"2","data":{"status":"completed","totalPrice":"249.00"}}"#;
    /// let event = holdfast_consumer::Event::parse(text)?;
    /// assert_eq!((event.subject.as_str(), event.sequence), ("0191", 2));
    /// assert_eq!(event.data["totalPrice"], "249.00");
    /// # Ok::<(), holdfast_consumer::Unreadable>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let place = |error: serde_json::Error| Unreadable::Json { line: error.line(), column: error.column() };
        let read: Envelope = serde_json::from_str(text).map_err(place)?;
        if !read.specversion.starts_with("1.") {
            return Err(Unreadable::Version);
        }
        // Postgres, which keeps subjects, takes no NUL.
        let fits = (1..=LONGEST_SUBJECT).contains(&read.subject.len()) && !read.subject.contains(char::is_control);
        if !fits {
            return Err(Unreadable::Subject);
        }
        Ok(Self {
            sequence: sequence(&read.sequence).ok_or(Unreadable::Sequence)?,
            // Nothing depends on it.
            time: read.time.as_ref().and_then(Value::as_str).and_then(|time| time.parse().ok()),
            id: read.id,
            source: read.source,
            kind: read.kind,
            subject: read.subject,
            dataschema: read.dataschema,
            traceparent: read.traceparent,
            data: read.data,
        })
    }
}

/// Digits, and no more of them than a `bigint` holds.
fn sequence(text: &str) -> Option<i64> {
    text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Without what it carries.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event() -> Value {
        json!({
            "specversion": "1.0", "id": "a/0", "source": "/holdfast", "type": "order.accepted", "subject": "a",
            "sequence": "0", "time": "2026-11-01T12:00:00.123Z", "datacontenttype": "application/json",
            "data": { "status": "accepted", "unheardOf": [1, 2] }, "tomorrow": { "deep": true },
        })
    }

    fn with(name: &str, value: Value) -> Result<Event, Unreadable> {
        let mut event = event();
        event[name] = value;
        Event::parse(&event.to_string())
    }

    #[test]
    fn what_is_not_known_is_ignored() {
        let event = Event::parse(&event().to_string()).expect("an event");
        assert_eq!((event.kind.as_str(), event.sequence), ("order.accepted", 0));
        assert_eq!(event.data["unheardOf"], json!([1, 2]));
        assert_eq!(event.time.expect("a time").timestamp_subsec_millis(), 123);
    }

    #[test]
    fn a_time_that_cannot_be_read_is_none() {
        assert_eq!(with("time", json!("yesterday")).expect("an event").time, None);
        assert_eq!(with("time", json!(12)).expect("an event").time, None);
    }

    #[test]
    fn what_cannot_be_put_in_order_is_no_event() {
        for wrong in ["", "-1", "+1", "1.0", "two", "9223372036854775808"] {
            assert_eq!(with("sequence", json!(wrong)), Err(Unreadable::Sequence), "{wrong}");
        }
        assert_eq!(with("sequence", json!("9223372036854775807")).expect("an event").sequence, i64::MAX);
        for wrong in [String::new(), "a\u{0}b".to_owned(), "x".repeat(256)] {
            assert_eq!(with("subject", json!(wrong)), Err(Unreadable::Subject));
        }
    }

    #[test]
    fn another_version_is_refused_and_nothing_is_repeated() {
        assert_eq!(with("specversion", json!("2.0")), Err(Unreadable::Version));
        let error = Event::parse("{\"id\": 4111111111111111").expect_err("no JSON");
        assert!(!error.to_string().contains("4111"), "{error}");
    }
}
