//! An entry of a stream, whoever has written it: fields need not be text.

use redis::{FromRedisValue, ParsingError, Value};
use std::str;

/// The field that holds the event.
const EVENT: &[u8] = b"event";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// Empty where there is none.
    pub(super) fn event(&self) -> &str {
        let event = self.fields.iter().find(|(name, _)| name == EVENT);
        event.and_then(|(_, value)| str::from_utf8(value).ok()).unwrap_or_default()
    }

    /// Of what XREADGROUP answers for one stream. Nil: nothing came in time.
    pub(super) fn all_of_reading(answer: Value) -> Result<Vec<Self>, ParsingError> {
        match answer {
            Value::Nil => Ok(Vec::new()),
            answer => {
                let streams: Vec<(Value, Vec<Self>)> = redis::from_redis_value(answer)?;
                Ok(streams.into_iter().flat_map(|(_, entries)| entries).collect())
            }
        }
    }
}

impl FromRedisValue for Entry {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (id, fields): (String, Value) = redis::from_redis_value(value)?;
        // Nil: it was deleted while it was pending.
        let fields: Vec<Vec<u8>> = if fields == Value::Nil { Vec::new() } else { redis::from_redis_value(fields)? };
        let pairs = fields.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
        Ok(Self { id, fields: pairs.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &[u8]) -> Value {
        Value::BulkString(text.to_vec())
    }

    fn read(fields: Value) -> Vec<Entry> {
        let entry = Value::Array(vec![bulk(b"7-1"), fields]);
        let stream = Value::Array(vec![bulk(b"events"), Value::Array(vec![entry])]);
        Entry::all_of_reading(Value::Array(vec![stream])).expect("entries")
    }

    #[test]
    fn what_is_no_text_does_not_spoil_the_others() {
        let entries = read(Value::Array(vec![bulk(b"\xff"), bulk(b"\xfe"), bulk(b"event"), bulk(b"{}")]));
        assert_eq!((entries[0].id.as_str(), entries[0].event()), ("7-1", "{}"));
        assert_eq!(read(Value::Array(vec![bulk(b"event"), bulk(b"\xff")]))[0].event(), "");
        assert_eq!(read(Value::Array(vec![bulk(b"other"), bulk(b"{}")]))[0].event(), "");
    }

    #[test]
    fn nothing_and_what_was_deleted_can_be_read_too() {
        assert_eq!(Entry::all_of_reading(Value::Nil).expect("entries"), []);
        assert_eq!(read(Value::Nil)[0].event(), "");
    }
}
