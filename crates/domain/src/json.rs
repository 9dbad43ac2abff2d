//! Strict JSON: exact numbers, no duplicate names, no characters that SQS or `jsonb` refuse.
//!
//! `serde_json` checks the grammar; this module keeps what its `Value` would lose (the text of a number, a repeated
//! name) and says *where* the content is wrong. It must never turn a number into binary floating point.

mod place;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::fmt;

pub use place::MAX_VIOLATIONS;
pub(crate) use place::{Place, note};

/// Deep nesting has no use in a command and makes every later reader pay.
const MAX_DEPTH: usize = 16;

/// One JSON value, names in the order in which they were sent.
#[derive(Clone, PartialEq)]
pub enum Node {
    Null,
    Bool(bool),
    /// The number's own text.
    Number(String),
    String(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// What kind of value it is. What it says is the client's own.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(_) => f.write_str("bool"),
            Self::Number(_) => f.write_str("number"),
            Self::String(_) => f.write_str("string"),
            Self::Array(items) => f.debug_list().entries(items).finish(),
            Self::Object(members) => write!(f, "object of {}", members.len()),
        }
    }
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// JSON pointer (RFC 6901) to the field; empty for the whole document. A very long one ends in `/…`.
    pub pointer: String,
    /// One sentence without a full stop.
    pub detail: String,
}

impl Violation {
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// A document, and what in it cannot be carried. Each bad value is replaced by `null`.
#[derive(Clone, Debug)]
pub struct Document {
    pub root: Node,
    pub violations: Vec<Violation>,
}

/// Not JSON at all.
#[derive(Debug, thiserror::Error)]
#[error("body is not valid JSON: {0}")]
pub struct SyntaxError(String);

/// Parses a whole document. Every bad string and name is listed, not only the first, up to [`MAX_VIOLATIONS`].
pub fn parse(body: &[u8]) -> Result<Document, SyntaxError> {
    let raw: &RawValue = serde_json::from_slice(body).map_err(|error| SyntaxError(error.to_string()))?;
    let mut violations = Vec::new();
    let root = node(raw.get(), Place::Root, 0, &mut violations);
    Ok(Document { root, violations })
}

/// `raw` is known to be grammatical. What fails here fails on content: the lone surrogate, which the grammar allows.
fn node(raw: &str, at: Place<'_>, depth: usize, violations: &mut Vec<Violation>) -> Node {
    let mut refuse = |detail: &str| {
        note(violations, at, detail);
        Node::Null
    };
    match raw.as_bytes().first() {
        Some(b'{' | b'[') if depth == MAX_DEPTH => refuse("is nested too deeply"),
        Some(b'{') => match serde_json::from_str::<Members<'_>>(raw) {
            Ok(members) => object(members, at, depth, violations),
            Err(_) => refuse("has a name with a lone surrogate"),
        },
        Some(b'[') => match serde_json::from_str::<Vec<&RawValue>>(raw) {
            Ok(items) => Node::Array(
                (0..)
                    .zip(items)
                    .map(|(i, item)| node(item.get(), Place::Item(&at, i), depth + 1, violations))
                    .collect(),
            ),
            Err(_) => refuse("cannot be read"),
        },
        Some(b'"') => match serde_json::from_str::<String>(raw) {
            Ok(text) if text.contains(refused) => refuse("contains a control character or a noncharacter"),
            Ok(text) => Node::String(text),
            Err(_) => refuse("contains a lone surrogate"),
        },
        Some(b't') => Node::Bool(true),
        Some(b'f') => Node::Bool(false),
        Some(b'n') | None => Node::Null,
        Some(_) => Node::Number(raw.to_owned()),
    }
}

fn object(members: Members<'_>, at: Place<'_>, depth: usize, violations: &mut Vec<Violation>) -> Node {
    let mut object: Vec<(String, Node)> = Vec::with_capacity(members.0.len());
    let repeated = repeated(&members.0);
    for ((name, raw), repeated) in members.0.into_iter().zip(repeated) {
        let here = Place::Member(&at, &name);
        if name.contains(refused) {
            note(violations, here, "has a name with a control character or a noncharacter");
            continue;
        }
        if repeated {
            note(violations, here, "appears more than once");
            continue;
        }
        let value = node(raw.get(), here, depth + 1, violations);
        object.push((name, value));
    }
    Node::Object(object)
}

/// Which names stood there before. Sorted, not compared each with each: there can be thousands.
fn repeated(members: &[(String, &RawValue)]) -> Vec<bool> {
    let mut by_name: Vec<usize> = (0..members.len()).collect();
    by_name.sort_by_key(|at| members[*at].0.as_str());
    let mut repeated = vec![false; members.len()];
    for pair in by_name.windows(2) {
        repeated[pair[1]] = members[pair[0]].0 == members[pair[1]].0;
    }
    repeated
}

/// NUL and the noncharacters are refused by `jsonb` or SQS; of the C0 controls SQS takes tab, line feed and return only.
fn refused(c: char) -> bool {
    matches!(c, '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// Numbers keep their text, through `RawValue`.
impl serde::Serialize for Node {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(text) => {
                RawValue::from_string(text.clone()).map_err(serde::ser::Error::custom)?.serialize(serializer)
            }
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(members) => serializer.collect_map(members.iter().map(|(name, value)| (name, value))),
        }
    }
}

impl Node {
    /// SHA-256 over the canonical form: names sorted, numbers by value, no white space. Two bodies that say the same
    /// have the same fingerprint, whatever their formatting.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut canonical = String::new();
        self.write_canonical(&mut canonical);
        Sha256::digest(canonical).into()
    }

    fn write_canonical(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(text) => out.push_str(&canonical_number(text)),
            Self::String(text) => write_string(text, out),
            Self::Array(items) => {
                out.push('[');
                for item in items {
                    item.write_canonical(out);
                    out.push(',');
                }
                out.push(']');
            }
            Self::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by(|a, b| a.0.cmp(&b.0));
                out.push('{');
                for (name, value) in members {
                    write_string(name, out);
                    out.push(':');
                    value.write_canonical(out);
                    out.push(',');
                }
                out.push('}');
            }
        }
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).expect("a string always serialises"));
}

/// `12.50`, `1.25e1` and `12.5` are one number. An exponent beyond `i64` keeps its text.
fn canonical_number(text: &str) -> String {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let Ok(exponent) = exponent.parse::<i64>() else { return text.to_owned() };
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let dropped = digits.len() - significant.len();
    match (significant.trim_start_matches('0'), exponent.checked_add(dropped as i64 - fraction.len() as i64)) {
        ("", _) => "0".to_owned(),
        (_, None) => text.to_owned(),
        (significant, Some(exponent)) => format!("{sign}{significant}e{exponent}"),
    }
}

#[cfg(test)]
mod formatting;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pointers(body: &str) -> Vec<String> {
        let document = parse(body.as_bytes()).expect("JSON");
        assert!(!document.violations.is_empty(), "{body}");
        document.violations.into_iter().map(|violation| violation.pointer).collect()
    }

    fn fingerprint(body: &str) -> [u8; 32] {
        parse(body.as_bytes()).expect("valid").root.fingerprint()
    }

    #[test]
    fn what_says_the_same_has_the_same_fingerprint() {
        assert_eq!(fingerprint(r#"{"a": 12.50, "b": "x"}"#), fingerprint(r#"{"b":"\u0078","a":1.25e1}"#));
        assert_ne!(fingerprint(r#"{"a": "12.50"}"#), fingerprint(r#"{"a": 12.50}"#));
        assert_ne!(fingerprint(r#"{"a": 9007199254740993}"#), fingerprint(r#"{"a": 9007199254740992}"#));
        assert_ne!(fingerprint(r#"{"a": -1}"#), fingerprint(r#"{"a": 1}"#));
        assert_ne!(fingerprint(r#"["1","2"]"#), fingerprint(r#"["1,2"]"#));
        assert_eq!(fingerprint("[0.0e7]"), fingerprint("[-0]"));
    }

    #[test]
    fn characters_that_cannot_be_carried_are_named() {
        assert_eq!(
            pointers(r#"{"a": "\u0000", "b": {"c/d": "\ud800"}, "e": ["ok", "\uffff", "\u0001"]}"#),
            ["/a", "/b/c~1d", "/e/1", "/e/2"]
        );
        assert_eq!(pointers(r#"{"a": {"\ud800": 1}}"#), ["/a"]);
        assert_eq!(pointers(r#"{"a\u0000": 1}"#), ["/a\u{0}"]);
        assert!(parse(br#"{"a": "tab\tand\nline"}"#).expect("JSON").violations.is_empty());
    }

    #[test]
    fn a_repeated_name_is_refused() {
        assert_eq!(pointers(r#"{"a": 1, "a": 2}"#), ["/a"]);
    }

    #[test]
    fn the_list_of_what_is_wrong_has_a_limit() {
        let thousands = format!(r#"{{"{}": {{{}"a": 1}}}}"#, "x".repeat(2000), r#""a": 1, "#.repeat(5000));
        let pointers = pointers(&thousands);
        assert_eq!((pointers.len(), pointers[0].as_str()), (MAX_VIOLATIONS, "/…"));
    }

    #[test]
    fn nesting_has_a_limit() {
        let deep = format!("{}{}", "[".repeat(17), "]".repeat(17));
        assert_eq!(pointers(&deep).len(), 1);
        assert!(parse("[".repeat(60_000).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _: Result<_, _> = parse(&bytes);
        }

        #[test]
        fn a_number_equals_itself_with_its_point_moved(digits in 1..i64::MAX, zeros in 0..9_usize) {
            let padded = format!("{digits}{}e-{zeros}", "0".repeat(zeros));
            prop_assert_eq!(canonical_number(&padded), canonical_number(&digits.to_string()));
        }
    }
}
