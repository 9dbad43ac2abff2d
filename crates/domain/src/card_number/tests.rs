//! What is one, and what only looks so.

use super::*;
use crate::json::{MAX_VIOLATIONS, parse};
use proptest::prelude::*;

/// Published by the schemes for tests.
const CARDS: [&str; 14] = [
    "4111111111111111",
    "4242 4242 4242 4242",
    "4222 222 222 222",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "3714 496353 98431",
    "6011111111111117",
    "3530111333300000",
    "30569309025904",
    "36227206271667",
    "6200000000000005",
    "6205500000000000004",
    "6759649826438453",
];

#[test]
fn cards_of_every_scheme_are_found_where_they_stand_alone() {
    for card in CARDS {
        assert!(is_in(card), "{card}");
        for text in ["paid with {} by phone", "card:{}", "({})", "カード{}です", "no. 12 {}, 12/27 123", "x={}\n{}"]
        {
            assert!(is_in(&text.replace("{}", card)), "{text} {card}");
        }
    }
}

#[test]
fn what_is_mostly_an_id_may_be_any_text() {
    for text in ["4111111111111111", "4111 1111 1111 1111", "sale 7, by 4111-1111-1111-1111", "ref:4111111111111111"] {
        assert!(is_in_id(text), "{text}");
    }
    for text in ["user-4111111111111111", "u_4111111111111111", "4111111111111111-1", "sale 4711", "user@shop.example"]
    {
        assert!(!is_in_id(text), "{text}");
    }
    let hidden = |url| is_in_id(behind_the_host(url));
    assert!(
        hidden("https://x.example/cards/4111111111111111") && hidden("https://x.example/?a=1&pan=4111111111111111")
    );
    assert!(!hidden("https://4111111111111111.example/a/41111111-1111-4111-8111-111111111111"));
    assert!(!hidden("https://x.example") && !hidden("not a url"));
}

#[test]
fn digits_of_other_scripts_are_digits() {
    for text in ["４１１１ １１１１ １１１１ １１１１", "٤١١١١١١١١١١١١١١١", "4111\u{2013}1111\u{2013}1111\u{2013}1111"]
    {
        assert!(is_in(text) && is(text) != text.contains([' ', '\u{2013}']), "{text}");
    }
}

#[test]
fn what_only_looks_so_is_none() {
    for text in [
        // Luhn does not hold; no scheme; too many digits.
        "4111111111111112",
        "1111111111111117",
        "94111111111111111",
        // Part of something else.
        "a4111111111111111",
        "4111111111111111f",
        "41111111-1111-4111-8111-111111111111",
        "id/00004111-1111-1111-1111-000000000000",
        // An article's number, a mobile phone, a time; a phone with its country's code.
        "4006381000093",
        "4915112345678",
        "1763780000000",
        "+36 30 1234 567 899",
        // Dates, of which 2320 and so on would be a Mastercard's.
        "2026-11-23 2026-11-24 2026-11-25",
        "2026-11-22T10:30:00.123456Z",
        // IBANs: behind the country, the second has a number that would be a card's.
        "DE89 3704 0044 0532 0130 00",
        "pay to DE04 5105 1051 0510 5100 00, thanks",
        // The id of a program.
        "4000000000000000006",
        // Measures.
        "1,234,567,890,123.45 EUR",
        "51.05105105105100 N",
    ] {
        assert!(!is_in(text), "{text}");
    }
    assert!(is_in("XX12 5105 1051 0510 5100 00"), "no IBAN");
    assert!(is_in("4000 0000 0000 0000 006"), "somebody has written that one down");
}

#[test]
fn an_id_is_refused_only_if_all_of_it_is_one() {
    for id in ["4111111111111111", "4111-1111-1111-1111", "378282246310005", "3782.822463.10005"] {
        assert!(is(id), "{id}");
    }
    for id in ["order-4111111111111111", "4111111111111111-1", "30569309025904", "6205500000000000004", "4111", ""] {
        assert!(!is(id), "{id}");
    }
}

fn pointers(body: &str) -> Vec<(String, String)> {
    let found = found_in(&parse(body.as_bytes()).expect("JSON").root);
    found.into_iter().map(|violation| (violation.pointer, violation.detail)).collect()
}

#[test]
fn a_body_is_searched_at_every_depth_and_nothing_is_repeated() {
    let body = r#"{
        "transactionId": "4111111111111111", "userId": "o-4111111111111111", "amount": "4111111111111111",
        "description": "4111 1111 1111 1111", "callbackUrl": "https://x/4111111111111111",
        "metadata": {"a": [{"b/c": 4111111111111111, "d": 41111111111111110}], "4111111111111111": "4111111111111111",
                     "e": {"pan 4111-1111-1111-1111": 1}}
    }"#;
    let found = pointers(body);
    let at: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(
        at,
        ["/transactionId", "/description", "/callbackUrl", "/metadata", "/metadata/a/0/b~1c", "/metadata/e"]
    );
    assert!(found.iter().all(|(pointer, detail)| !pointer.contains("1111") && !detail.contains("1111")));
    assert_eq!(pointers(r#"{"4111111111111111": 1}"#), [(String::new(), NAME_DETAIL.to_owned())]);
    assert!(pointers(r#"[{"description": "4111111111111111"}]"#).is_empty(), "it is refused for what it is");
}

/// One long name above thousands of numbers: neither is its pointer written for each of them, nor are all of them listed.
#[test]
fn what_is_found_has_a_limit_whatever_its_names() {
    let name = "/".repeat(32 * 1024);
    for body in ["378282246310005,".repeat(2_000), "\"4111 1111 1111 1111\",".repeat(1_400)] {
        for object in [format!(r#"{{"{name}": [{body}1]}}"#), format!(r#"{{"metadata": {{"{name}": [{body}1]}}}}"#)] {
            let found = pointers(&object);
            let size: usize = found.iter().map(|(pointer, detail)| pointer.len() + detail.len()).sum();
            assert_eq!(found.len(), MAX_VIOLATIONS);
            assert!(size < 64 * 1024 && found[0].0.ends_with("/…"), "{size}");
        }
    }
}

/// The digit that makes Luhn's check hold.
fn with_check(mut digits: Vec<u8>) -> Vec<u8> {
    digits.push(0);
    let last = digits.len() - 1;
    digits[last] = (0..10).find(|check| passes_luhn(&[&digits[..last], &[*check]].concat())).expect("one of ten");
    digits
}

fn cards() -> impl Strategy<Value = Vec<u8>> {
    let begins = [("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16), ("34", 15), ("37", 15), ("6011", 16)];
    let more =
        [("65", 16), ("644", 16), ("622126", 16), ("62", 19), ("3528", 16), ("3589", 16), ("36", 14), ("305", 14)];
    let begin = prop::sample::select([begins, more].concat());
    (begin, prop::collection::vec(0_u8..10, 19)).prop_map(|((begin, length), random)| {
        let digits: Vec<u8> = begin.bytes().map(|byte| byte - b'0').chain(random).take(length - 1).collect();
        with_check(digits)
    })
}

fn text(digits: &[u8]) -> String {
    digits.iter().map(|digit| char::from(b'0' + digit)).collect()
}

proptest! {
    #[test]
    fn a_card_is_found_in_any_grouping(
        card in cards(),
        cuts in prop::collection::btree_set(1_usize..14, 0..8),
        joint in prop::sample::select(vec![" ", "-", ".", " - ", "\u{a0}"]),
        around in prop::sample::select(vec![("", ""), ("card ", " exp 12/27"), ("No.", "."), ("7 ", ""), ("(", ")")]),
    ) {
        prop_assume!(joint != "." || cuts.len() != 1);
        let mut written = text(&card);
        cuts.iter().rev().for_each(|at| written.insert_str(*at, joint));
        let (before, after) = around;
        let text = format!("{before}{written}{after}");
        prop_assert!(is_in(&text), "{}", text);
    }

    #[test]
    fn a_card_with_one_wrong_digit_is_none(card in cards(), at in 6_usize..14, by in 1_u8..10) {
        let mut digits = card;
        digits[at] = (digits[at] + by) % 10;
        prop_assert!(!is_in(&text(&digits)));
    }

    #[test]
    fn uuids_are_none(bytes: [u8; 16]) {
        let uuid = uuid::Uuid::from_bytes(bytes);
        let several = format!("a {uuid} {uuid}, {uuid}-{uuid}");
        prop_assert!(!is_in(&uuid.to_string()) && !is_in(&several), "{}", uuid);
    }

    #[test]
    fn dates_and_times_are_none(times in prop::collection::vec(1_000_000_000_i64..2_000_000_000, 1..4)) {
        let times = times.into_iter().filter_map(|second| chrono::DateTime::from_timestamp(second, 123_456_000));
        for form in ["%Y-%m-%d", "%Y-%m-%d %H:%M", "%d.%m.%Y", "%Y-%m-%dT%H:%M:%S%.6fZ", "%s%3f", "%s%6f"] {
            let written: Vec<_> = times.clone().map(|time| time.format(form).to_string()).collect();
            prop_assert!(!is_in(&written.join(" ")), "{:?}", written);
        }
    }

    #[test]
    fn amounts_are_none(units in 0_u64..1_000_000_000_000, cents in 0_u8..100) {
        let (comma, dot) = (grouped(units, ','), grouped(units, '.'));
        for text in [format!("{units}.{cents:02} EUR"), format!("{comma} EUR"), format!("{dot},{cents:02} EUR")] {
            prop_assert!(!is_in(&text), "{}", text);
        }
    }

    #[test]
    fn phone_numbers_are_none(country in 1_u16..999, area in 10_u16..9_999, local in 100_000_u32..99_999_999) {
        for text in [
            format!("+{country} {area} {local}"),
            format!("+{country}{area}{local}"),
            format!("00{country}-{area}-{local}"),
            format!("(0{area}) {local}"),
        ] {
            prop_assert!(!is_in(&text), "{}", text);
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC*") {
        let _: (bool, bool) = (is_in(&text), is(&text));
    }
}

fn grouped(units: u64, mark: char) -> String {
    let mut text = units.to_string();
    (1..text.len())
        .rev()
        .filter(|at| (text.len() - at).is_multiple_of(3))
        .collect::<Vec<_>>()
        .into_iter()
        .for_each(|at| text.insert(at, mark));
    text
}
