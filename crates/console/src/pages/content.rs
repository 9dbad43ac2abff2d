//! What a client has sent, without what nobody should read over a shoulder.

use holdfast_domain::content::Content;
use serde_json::Value;
use url::Url;

/// In a client's own metadata, whatever a name of it contains is not shown.
const SECRET: [&str; 12] = [
    "secret",
    "token",
    "password",
    "passwd",
    "authorization",
    "apikey",
    "api_key",
    "card",
    "cvv",
    "cvc",
    "iban",
    "pan",
];

const HIDDEN: &str = "•••";

/// Fields by name, in the order in which they are defined.
pub(super) fn fields(content: &Content) -> Vec<(String, String)> {
    let Ok(Value::Object(members)) = serde_json::to_value(content) else { return Vec::new() };
    members.into_iter().map(|(name, value)| (name.clone(), field(&name, value))).collect()
}

fn field(name: &str, value: Value) -> String {
    match value {
        Value::String(text) if name == "callbackUrl" => address(&text),
        Value::String(text) => text,
        Value::Object(_) | Value::Array(_) => {
            let mut value = value;
            hide(&mut value);
            serde_json::to_string_pretty(&value).unwrap_or_default()
        }
        other => other.to_string(),
    }
}

/// Without its query and its credentials: either may be a key.
pub(super) fn address(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return HIDDEN.to_owned() };
    let had_more = url.query().is_some() || !url.username().is_empty() || url.password().is_some();
    url.set_query(None);
    url.set_fragment(None);
    let is_bare = url.set_username("").is_ok() && url.set_password(None).is_ok();
    match (is_bare, had_more) {
        (false, _) => HIDDEN.to_owned(),
        (true, true) => format!("{url} {HIDDEN}"),
        (true, false) => url.to_string(),
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = name.to_lowercase();
                if SECRET.iter().any(|secret| name.contains(secret)) {
                    *value = HIDDEN.into();
                } else {
                    hide(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hide),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_domain::{Kind, json};

    #[test]
    fn what_may_be_a_key_is_hidden() {
        let body = br#"{"amount": "1.00", "currency": "EUR", "callbackUrl": "https://a.example/x?key=1",
                        "metadata": {"cardNumber": "4111", "list": [{"accessToken": "t", "note": "n"}]}}"#;
        let content = Content::parse(Kind::Transaction, json::parse(body).expect("JSON")).expect("valid");
        let shown = format!("{:?}", fields(&content));
        assert!(["4111", "key=1", "\\\"t\\\""].into_iter().all(|secret| !shown.contains(secret)), "{shown}");
        assert!(
            ["1.00", "EUR", "https://a.example/x", "note"].into_iter().all(|known| shown.contains(known)),
            "{shown}"
        );
        assert_eq!(address("https://u:p@a.example/x"), format!("https://a.example/x {HIDDEN}"));
    }
}
