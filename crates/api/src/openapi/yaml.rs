//! JSON as YAML 1.2, for documents that people read: block style, texts in double quotes where they need any.

use serde_json::Value;

/// Ends with a line feed.
pub(super) fn write(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// What begins on a line of its own, or behind a dash.
fn block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(members) => {
            for (at, (name, value)) in members.iter().enumerate() {
                if at > 0 {
                    text.push_str(&" ".repeat(indent));
                }
                text.push_str(&scalar(name));
                text.push(':');
                behind(value, indent, text);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push_str(&" ".repeat(indent));
                }
                text.push_str("- ");
                if is_flat(item) { flat(item, text) } else { block(item, indent + 2, text) }
            }
        }
        simple => flat(simple, text),
    }
}

/// What follows a name and its colon.
fn behind(value: &Value, indent: usize, text: &mut String) {
    if is_flat(value) {
        text.push(' ');
        flat(value, text);
    } else {
        text.push('\n');
        text.push_str(&" ".repeat(indent + 2));
        block(value, indent + 2, text);
    }
}

fn is_flat(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

fn flat(value: &Value, text: &mut String) {
    match value {
        Value::String(content) => text.push_str(&scalar(content)),
        other => text.push_str(&other.to_string()),
    }
    text.push('\n');
}

/// Plain where nothing could take it for something else. JSON's quoting is YAML's too.
fn scalar(content: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_/".contains(c);
    let begins_well = content.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let is_word =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&content.to_lowercase().as_str());
    match begins_well && content.chars().all(is_plain) && !is_word {
        true => content.to_owned(),
        false => Value::String(content.to_owned()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_and_objects_nest_and_what_could_be_misread_is_quoted() {
        let value = json!({
            "a": [{ "b": 1, "c": [] }, "x: y", [true, null]],
            "no": "1.0",
            "z": {},
        });
        let expected = "a:\n  - b: 1\n    c: []\n  - \"x: y\"\n  - - true\n    - null\n\"no\": \"1.0\"\nz: {}\n";
        assert_eq!(write(&value), expected);
    }
}
