//! Does a text hold what looks like the number of a payment card? Such a number must not get in: what is accepted lies in
//! Postgres, in queues, in backups and at partners, and whoever stores card numbers has all of that to protect.
//!
//! A rule that refuses must not refuse what is none, because that refuses a sale. So a card number is what passes Luhn's
//! check, begins as a scheme's cards do, has as many digits as those have, and stands alone: digits that touch a letter
//! are a part of something else, and so are those of a UUID, an IBAN or a phone number with a `+`. It may be written in
//! groups, with blanks, dots or hyphens between them, one kind of these throughout: dates beside one another are then
//! none, and neither is a number with a decimal point. Digits of other scripts are digits.
//!
//! - **13 digits** count only in the groups 4-3-3-3 of the cards that had so many: written together they are an article's
//!   number, a mobile phone or a time in milliseconds.
//! - **14 to 16 digits** count however they are written.
//! - **17 to 19 digits** count where they are written in groups, or begin like UnionPay's. Written together they are mostly
//!   the 64-bit id of some program.
//!
//! Ids that a client gives ([`is`]) are refused only if all of one is such a number of 15 or 16 digits: programs count
//! them. The same goes for the parts of a callback URL's path and query, and for what is mostly an id but may be any text
//! (`userId`, `originalReference`), which is searched like a text where it has blanks. One that counts with 16 digits from 4… on would be refused every tenth time, because that is how often Luhn's
//! check holds by chance; of random ids of 16 digits it is one in fifty. A letter in front avoids it. Times in milli-,
//! micro- and nanoseconds begin with a 1, as no card does.

mod scheme;
mod script;

use crate::json::{Node, Place, Violation, note};
use scheme::is_issued;
use script::{Group, Joint, groups, is_digit};

/// The longest number of any scheme.
const LONGEST: usize = 19;

/// Of ids.
const OF_AN_ID: std::ops::RangeInclusive<usize> = 15..=16;

/// A phone number with its country's code has no more (E.164).
const OF_A_PHONE: usize = 15;

const DETAIL: &str = "looks like a card number: never send card data";
const NAME_DETAIL: &str = "has a member whose name looks like a card number: never send card data";
pub(crate) const KEY_DETAIL: &str = "the Idempotency-Key looks like a card number: never send card data";

/// Whether some part of this text looks like a card number.
pub fn is_in(text: &str) -> bool {
    let groups = groups(text);
    (0..groups.len()).any(|first| begins_at(&groups[first..]))
}

/// Whether all of this id does.
pub fn is(id: &str) -> bool {
    let groups = groups(id);
    let others = || id.chars().filter(|c| !is_digit(*c));
    let is_plain = others().all(|c| c == '-') || others().all(|c| c == '.');
    is_plain && OF_AN_ID.contains(&count(&groups)) && is_number(&groups)
}

/// The same of what is mostly an id, and may be any text: of a part of it too that other marks set apart from the rest, and
/// where it has blanks, which no id has, wherever in it that is.
fn is_in_id(text: &str) -> bool {
    let sets_apart = |c: char| !c.is_alphanumeric() && !matches!(c, '-' | '.' | '_');
    text.split(sets_apart).any(is) || (text.contains(char::is_whitespace) && is_in(text))
}

/// Path, query and fragment.
fn behind_the_host(url: &str) -> &str {
    url.splitn(4, '/').nth(3).unwrap_or_default()
}

/// Whether one begins with the first of these groups, and ends with that or a later one.
fn begins_at(groups: &[Group]) -> bool {
    let joint = groups.get(1).and_then(|second| second.joint);
    for (at, group) in groups.iter().enumerate() {
        let is_joined = at == 0 || (joint.is_some() && group.joint == joint);
        let groups = &groups[..=at];
        if !is_joined || group.is_part || count(groups) > LONGEST {
            return false;
        }
        let is_phone = groups[0].follows_plus && count(groups) <= OF_A_PHONE;
        if !is_phone && is_number(groups) {
            return true;
        }
    }
    false
}

/// Of digits.
fn count(groups: &[Group]) -> usize {
    groups.iter().map(|group| group.digits.len()).sum()
}

fn is_number(groups: &[Group]) -> bool {
    let digits: Vec<u8> = groups.iter().flat_map(|group| group.digits.iter().copied()).collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.digits.len()).collect();
    // Nobody groups with a single dot: degrees and ratios have as many digits.
    let is_decimal = matches!(groups, [_, fraction] if fraction.joint == Some(Joint::Dot));
    !is_decimal && is_issued(&digits, &lengths) && passes_luhn(&digits)
}

/// ISO/IEC 7812-1, annex B.
fn passes_luhn(digits: &[u8]) -> bool {
    let twice = |digit: u8| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let value = |(at, digit): (usize, &u8)| u32::from(if at % 2 == 1 { twice(*digit) } else { *digit });
    digits.iter().rev().enumerate().map(value).sum::<u32>().is_multiple_of(10)
}

/// What in the body of a request looks like one, up to [`MAX_VIOLATIONS`](crate::json::MAX_VIOLATIONS). Nothing of it is
/// repeated: a pointer to a member with such a name ends at the object.
pub fn found_in(body: &Node) -> Vec<Violation> {
    let mut found = Vec::new();
    let Node::Object(members) = body else { return found };
    look_at_names(members, Place::Root, &mut found);
    for (name, node) in members.iter().filter(|(name, _)| !is_in(name)) {
        let at = Place::Member(&Place::Root, name);
        match (name.as_str(), node) {
            // Amounts and times have a form of their own.
            ("amount" | "totalPrice" | "quantity" | "currency" | "timestamp" | "expiresAt", _) => {}
            ("transactionId" | "refundId" | "orderId", Node::String(id)) if !is(id) => {}
            ("userId" | "originalReference", Node::String(id)) if !is_in_id(id) => {}
            ("callbackUrl", Node::String(url)) if !is_in_id(behind_the_host(url)) => {}
            (
                "transactionId" | "refundId" | "orderId" | "userId" | "originalReference" | "callbackUrl",
                Node::String(_),
            ) => {
                note(&mut found, at, DETAIL);
            }
            _ => look_at(node, at, &mut found),
        }
    }
    found
}

fn look_at(node: &Node, at: Place<'_>, found: &mut Vec<Violation>) {
    match node {
        Node::Null | Node::Bool(_) => {}
        // Programs write ids so, and measures with a dot.
        Node::Number(text) if is(text) && !text.contains('.') => note(found, at, DETAIL),
        Node::String(text) if is_in(text) => note(found, at, DETAIL),
        Node::Number(_) | Node::String(_) => {}
        Node::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| look_at(item, Place::Item(&at, i), found));
        }
        Node::Object(members) => {
            look_at_names(members, at, found);
            let members = members.iter().filter(|(name, _)| !is_in(name));
            members.for_each(|(name, member)| look_at(member, Place::Member(&at, name), found));
        }
    }
}

fn look_at_names(members: &[(String, Node)], at: Place<'_>, found: &mut Vec<Violation>) {
    if members.iter().any(|(name, _)| is_in(name)) {
        note(found, at, NAME_DETAIL);
    }
}

#[cfg(test)]
mod tests;
