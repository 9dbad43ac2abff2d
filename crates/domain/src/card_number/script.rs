//! The digits of a text, group by group, and what stands between and around them.

use std::ops::{Range, RangeInclusive};
use uuid::Uuid;

/// Digits that stand together.
pub(super) struct Group {
    pub(super) digits: Vec<u8>,
    /// What joins it to the group before. `None`: something else stands between them.
    pub(super) joint: Option<Joint>,
    /// Of a word, or of an IBAN.
    pub(super) is_part: bool,
    pub(super) follows_plus: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joint {
    Blank,
    Dot,
    Hyphen,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Digit(u8),
    /// In capitals.
    Letter(u8),
    Joint(Joint),
    Plus,
    Other,
}

/// Between two groups: `4111 - 1111`.
const LONGEST_JOINT: usize = 3;

/// The zeros of other scripts, each followed by its nine other digits (Unicode's category Nd).
const ZEROS: [u32; 19] = [
    0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0e50, 0x0ed0,
    0x0f20, 0x1040, 0x17e0, 0x1810, 0xff10,
];

/// Ten bold ones, ten double-struck ones, and so on.
const MATHEMATICAL: RangeInclusive<u32> = 0x1d7ce..=0x1d7ff;

/// Of an IBAN behind its country.
const OF_AN_IBAN: RangeInclusive<usize> = 13..=32;

pub(super) fn groups(text: &str) -> Vec<Group> {
    let signs = signs(text);
    let spans = spans(&signs);
    let mut groups: Vec<Group> = Vec::with_capacity(spans.len());
    let mut end = None;
    for span in &spans {
        let before = span.start.checked_sub(1).map(|at| signs[at]);
        let touches = [before, signs.get(span.end).copied()];
        groups.push(Group {
            digits: signs[span.clone()].iter().filter_map(|sign| sign.digit()).collect(),
            joint: end.and_then(|end| joint(&signs[end..span.start])),
            is_part: touches.iter().any(|sign| matches!(sign, Some(Sign::Letter(_)))),
            follows_plus: before == Some(Sign::Plus),
        });
        end = Some(span.end);
    }
    for (at, span) in spans.iter().enumerate() {
        if let Some(country) = country(&signs[..span.start]) {
            mark_iban(country, &mut groups[at..]);
        }
    }
    groups
}

pub(super) fn is_digit(c: char) -> bool {
    Sign::of(c).digit().is_some()
}

impl Sign {
    fn of(c: char) -> Self {
        match c {
            '0'..='9' => Self::Digit(c as u8 - b'0'),
            'a'..='z' | 'A'..='Z' => Self::Letter(c.to_ascii_uppercase() as u8),
            '.' | '\u{b7}' | '\u{ff0e}' => Self::Joint(Joint::Dot),
            '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' => Self::Joint(Joint::Hyphen),
            '+' | '\u{ff0b}' => Self::Plus,
            // A line or a column that ends is no blank.
            c if c.is_whitespace() && !c.is_control() => Self::Joint(Joint::Blank),
            c => foreign_digit(c).map_or(Self::Other, Self::Digit),
        }
    }

    const fn digit(self) -> Option<u8> {
        if let Self::Digit(digit) = self { Some(digit) } else { None }
    }
}

fn foreign_digit(c: char) -> Option<u8> {
    let code = u32::from(c);
    let of_script = ZEROS.iter().map(|zero| code.wrapping_sub(*zero)).find(|digit| *digit < 10);
    let mathematical = MATHEMATICAL.contains(&code).then(|| (code - MATHEMATICAL.start()) % 10);
    of_script.or(mathematical).and_then(|digit| u8::try_from(digit).ok())
}

fn signs(text: &str) -> Vec<Sign> {
    let mut signs = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (sign, behind) = match behind_uuid(rest) {
            Some(behind) => (Sign::Other, behind),
            None => (Sign::of(c), &rest[c.len_utf8()..]),
        };
        signs.push(sign);
        rest = behind;
    }
    signs
}

/// What follows the UUID that this text begins with, if it does.
fn behind_uuid(text: &str) -> Option<&str> {
    let (uuid, behind) = text.split_at_checked(36)?;
    let is_one = uuid.as_bytes()[8] == b'-' && Uuid::try_parse(uuid).is_ok();
    is_one.then_some(behind)
}

fn spans(signs: &[Sign]) -> Vec<Range<usize>> {
    let is_digit = |at: usize| signs.get(at).is_some_and(|sign| sign.digit().is_some());
    let starts = (0..signs.len()).filter(|at| is_digit(*at) && !(*at > 0 && is_digit(at - 1)));
    starts.map(|start| start..(start..).find(|at| !is_digit(*at)).unwrap_or(start)).collect()
}

/// Of some blanks, or with one kind of other signs among them.
fn joint(between: &[Sign]) -> Option<Joint> {
    let mut kind = Joint::Blank;
    for sign in between {
        match sign {
            Sign::Joint(Joint::Blank) => {}
            Sign::Joint(joint) if kind == Joint::Blank || kind == *joint => kind = *joint,
            _ => return None,
        }
    }
    (between.len() <= LONGEST_JOINT).then_some(kind)
}

/// The two letters before the check digits of what may be an IBAN.
fn country(before: &[Sign]) -> Option<[u8; 2]> {
    let (rest, [Sign::Letter(first), Sign::Letter(second)]) = before.split_last_chunk()? else { return None };
    let is_word = matches!(rest.last(), Some(Sign::Letter(_) | Sign::Digit(_)));
    (!is_word).then_some([*first, *second])
}

/// Marks the groups of an IBAN of digits alone, if that is what begins here. Others have letters that tell.
fn mark_iban(country: [u8; 2], groups: &mut [Group]) {
    let mut digits = Vec::new();
    let mut last = None;
    for (at, group) in groups.iter().enumerate() {
        if at > 0 && group.joint != Some(Joint::Blank) {
            break;
        }
        digits.extend(&group.digits);
        if OF_AN_IBAN.contains(&digits.len()) && is_iban(country, &digits) {
            last = Some(at);
        }
    }
    if let Some(last) = last {
        groups[..=last].iter_mut().for_each(|group| group.is_part = true);
    }
}

/// ISO 13616: country and check digits go to the end, letters count from 10 on, and 97 leaves 1.
fn is_iban(country: [u8; 2], digits: &[u8]) -> bool {
    let (check, account) = digits.split_at(2);
    let letters = country.into_iter().flat_map(|letter| [(letter - b'A' + 10) / 10, (letter - b'A' + 10) % 10]);
    let all = account.iter().copied().chain(letters).chain(check.iter().copied());
    all.fold(0, |left, digit| (left * 10 + u32::from(digit)) % 97) == 1
}
