//! One content in any way in which it can be written has one fingerprint, and another content has another one: a client's
//! JSON library may change between a request and its repetition.

use super::{Node, parse};
use proptest::prelude::*;
use std::fmt::Write as _;
use std::iter::Cycle;
use std::slice::Iter;

/// What a client could send. Numbers are `digits e exponent`, so that they can be written in several ways.
fn content() -> impl Strategy<Value = Node> {
    // A zero must not have another digit behind it.
    let digits = any::<i32>().prop_filter("not zero", |digits| *digits != 0);
    let number = (digits, -4..5_i32).prop_map(|(digits, exponent)| Node::Number(format!("{digits}e{exponent}")));
    let leaf =
        prop_oneof![Just(Node::Null), any::<bool>().prop_map(Node::Bool), number, text().prop_map(Node::String),];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let members = prop::collection::btree_map(text(), inner.clone(), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Node::Array),
            members.prop_map(|members| Node::Object(members.into_iter().collect())),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    let characters = vec!['a', 'b', '"', '\\', '/', ',', '\t', 'é', '\u{7f}', '😀'];
    prop::collection::vec(prop::sample::select(characters), 0..5).prop_map(String::from_iter)
}

/// How something is written: a choice wherever JSON leaves one.
struct Style<'a>(Cycle<Iter<'a, u8>>);

impl<'a> Style<'a> {
    fn of(choices: &'a [u8; 32]) -> Self {
        Self(choices.iter().cycle())
    }

    fn choose(&mut self, among: usize) -> usize {
        usize::from(*self.0.next().expect("it goes round")) % among
    }

    fn write(mut self, node: &Node) -> String {
        let mut out = String::new();
        self.value(node, &mut out);
        out
    }

    fn value(&mut self, node: &Node, out: &mut String) {
        self.blank(out);
        match node {
            Node::Null => out.push_str("null"),
            Node::Bool(value) => write!(out, "{value}").expect("a string takes it"),
            Node::Number(text) => self.number(text, out),
            Node::String(text) => self.text(text, out),
            Node::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    self.value(item, out);
                }
                out.push(']');
            }
            Node::Object(members) => {
                out.push('{');
                let first = self.choose(members.len().max(1));
                for (at, (name, value)) in members.iter().cycle().skip(first).take(members.len()).enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    self.blank(out);
                    self.text(name, out);
                    self.blank(out);
                    out.push(':');
                    self.value(value, out);
                }
                out.push('}');
            }
        }
        self.blank(out);
    }

    fn blank(&mut self, out: &mut String) {
        out.push_str(["", "", " ", "\t", "\r\n"][self.choose(5)]);
    }

    fn number(&mut self, text: &str, out: &mut String) {
        let (digits, exponent) = text.split_once('e').expect("it has an exponent");
        let exponent: i32 = exponent.parse().expect("a number");
        let written = match self.choose(5) {
            0 => text.to_owned(),
            1 => format!("{digits}E{exponent:+}"),
            2 => format!("{digits}.000e{exponent}"),
            3 => format!("{digits}00e{}", exponent - 2),
            _ => match usize::try_from(exponent) {
                Ok(zeros) => format!("{digits}{}", "0".repeat(zeros)),
                Err(_) => with_point(digits, exponent.unsigned_abs() as usize),
            },
        };
        out.push_str(&written);
    }

    fn text(&mut self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            match (self.choose(3), c) {
                (0, _) => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                    write!(out, "\\u{unit:04x}").expect("a string takes it");
                }),
                (_, '\t') => out.push_str("\\t"),
                (_, '"' | '\\') | (1, '/') => out.extend(['\\', c]),
                _ => out.push(c),
            }
        }
        out.push('"');
    }
}

/// `-12` with one decimal is `-1.2`.
fn with_point(digits: &str, decimals: usize) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let padded = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, fraction) = padded.split_at(padded.len() - decimals);
    format!("{sign}{whole}.{fraction}")
}

/// Changes the value that is met as the `at`th. Answers how many were met.
fn change(node: &mut Node, at: usize) -> usize {
    let here = at == 0;
    let mut met = 1;
    match node {
        Node::Array(items) => {
            for item in items.iter_mut() {
                met += change(item, at.wrapping_sub(met));
            }
            if here {
                items.push(Node::Null);
            }
        }
        Node::Object(members) => {
            for (_, value) in members.iter_mut() {
                met += change(value, at.wrapping_sub(met));
            }
            if here {
                members.push(("one more".to_owned(), Node::Null));
            }
        }
        _ if !here => {}
        Node::Null => *node = Node::Bool(false),
        Node::Bool(value) => *value = !*value,
        Node::Number(text) => text.insert(usize::from(text.starts_with('-')), '1'),
        Node::String(text) => text.push(' '),
    }
    met
}

fn fingerprint(text: &str) -> [u8; 32] {
    let document = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(document.violations.is_empty(), "{text}: {:?}", document.violations);
    document.root.fingerprint()
}

proptest! {
    #[test]
    fn how_it_is_written_does_not_matter(content in content(), one: [u8; 32], other: [u8; 32]) {
        let (one, other) = (Style::of(&one).write(&content), Style::of(&other).write(&content));
        prop_assert_eq!(fingerprint(&one), fingerprint(&other), "{} and {}", one, other);
        prop_assert_eq!(fingerprint(&one), content.fingerprint());
    }

    #[test]
    fn whatever_is_changed_matters(content in content(), at: usize, style: [u8; 32]) {
        let mut other = content.clone();
        let values = change(&mut other.clone(), usize::MAX);
        change(&mut other, at % values);
        prop_assert_ne!(fingerprint(&Style::of(&style).write(&content)), fingerprint(&Style::of(&style).write(&other)));
    }

    #[test]
    fn what_is_written_again_reads_as_the_same(content in content(), style: [u8; 32]) {
        let read = parse(Style::of(&style).write(&content).as_bytes()).expect("JSON").root;
        let again = serde_json::to_string(&read).expect("it serialises");
        prop_assert_eq!(parse(again.as_bytes()).expect("JSON").root, read);
    }
}
