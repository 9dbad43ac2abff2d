//! What a client has sent, without what nobody should read over a shoulder.

use holdfast_domain::content::Content;
use holdfast_domain::json::{self, Document, Node};
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

/// Fields by name, in the order in which they are defined. Numbers as they were sent: none goes through binary floating
/// point, which has no room for all of them.
pub(crate) fn fields(content: &Content) -> Vec<(String, String)> {
    let written = serde_json::to_vec(content).expect("content always serialises");
    let Ok(Document { root: Node::Object(members), .. }) = json::parse(&written) else { return Vec::new() };
    members.into_iter().map(|(name, value)| (name.clone(), field(&name, value))).collect()
}

fn field(name: &str, value: Node) -> String {
    match value {
        Node::String(text) if name == "callbackUrl" => address(&text),
        Node::String(text) => text,
        Node::Object(_) | Node::Array(_) => {
            let mut value = value;
            hide(&mut value);
            serde_json::to_string_pretty(&value).unwrap_or_default()
        }
        other => serde_json::to_string(&other).unwrap_or_default(),
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

fn hide(value: &mut Node) {
    match value {
        Node::Object(members) => {
            for (name, value) in members {
                let name = name.to_lowercase();
                if SECRET.iter().any(|secret| name.contains(secret)) {
                    *value = Node::String(HIDDEN.to_owned());
                } else {
                    hide(value);
                }
            }
        }
        Node::Array(values) => values.iter_mut().for_each(hide),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_domain::Kind;

    #[test]
    fn a_number_is_shown_as_it_was_sent() {
        let body = br#"{"amount": "1.00", "currency": "EUR", "metadata": {"huge": 1e999, "exact": 1.10}}"#;
        let content = Content::parse(Kind::Transaction, json::parse(body).expect("JSON")).expect("valid");
        let shown = format!("{:?}", fields(&content));
        assert!(["1e999", "1.10", "EUR"].into_iter().all(|known| shown.contains(known)), "{shown}");
    }

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
