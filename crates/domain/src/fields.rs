//! Reading the fields of a body: one by one, remembering everything that is wrong.

use crate::command::is_key;
use crate::json::{MAX_VIOLATIONS, Node, Place, Violation};
use crate::money::{Currency, Money};
use chrono::{DateTime, FixedOffset};
use url::Url;

pub const MAX_CALLBACK_URL_LEN: usize = 2048;

/// Takes fields out of an object one by one and remembers what was wrong. What is left at the end is unknown.
pub(crate) struct Fields {
    members: Vec<(String, Node)>,
    violations: Vec<Violation>,
}

impl Fields {
    pub(crate) fn of(body: Node) -> Result<Self, Vec<Violation>> {
        match body {
            Node::Object(members) => Ok(Self { members, violations: Vec::new() }),
            _ => Err(vec![Violation::new("", "must be an object")]),
        }
    }

    pub(crate) fn required<T>(&mut self, name: &str, read: impl FnOnce(Node) -> Result<T, String>) -> Option<T> {
        let value = self.optional(name, Ok);
        match value {
            Some(node) => self.read(name, node, read),
            None => {
                self.violate(name, "is required");
                None
            }
        }
    }

    /// An explicit `null` counts as absent.
    pub(crate) fn optional<T>(&mut self, name: &str, read: impl FnOnce(Node) -> Result<T, String>) -> Option<T> {
        let at = self.members.iter().position(|(known, _)| known == name)?;
        match self.members.swap_remove(at).1 {
            Node::Null => None,
            node => self.read(name, node, read),
        }
    }

    pub(crate) fn optional_string<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(String) -> Result<T, String>,
    ) -> Option<T> {
        self.optional(name, |node| match node {
            Node::String(text) => read(text),
            _ => Err("must be a string".to_owned()),
        })
    }

    fn read<T>(&mut self, name: &str, node: Node, read: impl FnOnce(Node) -> Result<T, String>) -> Option<T> {
        read(node).map_err(|detail| self.violate(name, detail)).ok()
    }

    pub(crate) fn required_string<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(String) -> Result<T, String>,
    ) -> Option<T> {
        self.required(name, |node| match node {
            Node::String(text) => read(text),
            _ => Err("must be a string".to_owned()),
        })
    }

    /// An amount that must be valid in this currency. `None` if either is wrong, which is then a violation.
    pub(crate) fn money(&mut self, name: &str, text: Option<String>, currency: Option<Currency>) -> Option<Money> {
        let (text, currency) = (text?, currency?);
        let money = Money::parse(&text, currency);
        money.map_err(|error| self.violate(name, error.to_string())).ok()
    }

    /// Something is missing, unless it is there and wrong, which has been said.
    pub(crate) fn require(&mut self, name: &str, detail: &str) {
        let pointer = format!("/{name}");
        if self.violations.iter().all(|violation| violation.pointer != pointer) {
            self.violations.push(Violation::new(pointer, detail));
        }
    }

    pub(crate) fn violate(&mut self, name: &str, detail: impl Into<String>) {
        self.violations.push(Violation::new(format!("/{name}"), detail));
    }

    pub(crate) fn finish(mut self) -> Result<(), Vec<Violation>> {
        for (name, _) in &self.members {
            let pointer = Place::Member(&Place::Root, name).pointer();
            self.violations.push(Violation::new(pointer, "is not a known field"));
        }
        self.violations.sort_by(|a, b| a.pointer.cmp(&b.pointer));
        self.violations.truncate(MAX_VIOLATIONS);
        if self.violations.is_empty() { Ok(()) } else { Err(self.violations) }
    }
}

pub(crate) fn currency(node: Node) -> Result<Currency, String> {
    let Node::String(code) = node else { return Err("must be a string".to_owned()) };
    Currency::parse(&code).ok_or_else(|| "must be an ISO 4217 code in capital letters, such as EUR".to_owned())
}

/// The text of the amount; what it is worth depends on the currency.
pub(crate) fn amount_text(node: Node) -> Result<String, String> {
    match node {
        Node::Number(text) => Ok(text),
        // A JSON number may have an exponent, a decimal string may not.
        Node::String(text) if !text.contains(['e', 'E']) => Ok(text),
        Node::String(_) => Err("must be a decimal number such as \"12.50\"".to_owned()),
        _ => Err("must be a decimal string or a number".to_owned()),
    }
}

pub(crate) fn callback_url(text: String) -> Result<String, String> {
    let url = Url::parse(&text).map_err(|_| "must be an absolute URL")?;
    // The parser would drop blanks and line ends, and take `http:host` too: others who read the text might not.
    let is_plain = !text.contains(|c: char| c.is_whitespace() || c.is_control());
    // What neither DNS nor an HTTP client would take. Names of other scripts have been written in ASCII by the parser.
    let is_host = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    let has_authority = text.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(url.scheme()));
    let well_formed = matches!(url.scheme(), "http" | "https")
        && is_plain
        && has_authority
        && url.host_str().is_some_and(is_host)
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none()
        && text.len() <= MAX_CALLBACK_URL_LEN;
    match well_formed {
        true => Ok(text),
        false => {
            Err("must be an http or https URL without user information or fragment, at most 2048 characters".into())
        }
    }
}

pub(crate) fn time(text: String) -> Result<DateTime<FixedOffset>, String> {
    let time = DateTime::parse_from_rfc3339(&text);
    time.map_err(|_| "must be an RFC 3339 time such as 2026-01-31T12:00:00Z".to_owned())
}

/// An object of the client's own, carried and echoed, never interpreted.
pub(crate) fn object(node: Node) -> Result<Node, String> {
    match node {
        Node::Object(_) => Ok(node),
        _ => Err("must be an object".to_owned()),
    }
}

/// An id that the client gave: it identifies, so it must survive headers and logs.
pub(crate) fn key(text: String) -> Result<String, String> {
    match is_key(&text) {
        true => Ok(text),
        false => Err("must be 1 to 255 visible ASCII characters".to_owned()),
    }
}

/// Text of the client's own, between `1` and `max` characters.
pub(crate) fn text(max: usize) -> impl Fn(String) -> Result<String, String> {
    move |text| match text.chars().count() {
        0 => Err("must not be empty".to_owned()),
        count if count <= max => Ok(text),
        _ => Err(format!("must have at most {max} characters")),
    }
}
