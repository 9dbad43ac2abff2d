//! How times and numbers are written.

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, html};

/// `1 h 05 min`: two units at most, as somebody would say it.
pub(crate) fn seconds(seconds: f64) -> String {
    let (sign, s) = if seconds < 0.0 { ("-", -seconds) } else { ("", seconds) };
    let text = match s {
        s if s < 0.0005 => "0 s".to_owned(),
        s if s < 0.9995 => format!("{:.0} ms", s * 1_000.0),
        s if s < 9.995 => format!("{s:.2} s"),
        s if s < 59.95 => format!("{s:.1} s"),
        s => minutes(s.round() as u64),
    };
    format!("{sign}{text}")
}

fn minutes(s: u64) -> String {
    let two = |large: u64, unit, small: u64, small_unit| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small:02} {small_unit}"),
    };
    match s {
        s if s < 3_600 => two(s / 60, "min", s % 60, "s"),
        s if s < 86_400 => two(s / 3_600, "h", s % 3_600 / 60, "min"),
        s => two(s / 86_400, "d", s % 86_400 / 3_600, "h"),
    }
}

/// A duration in milliseconds.
pub(crate) fn millis(ms: u64) -> String {
    seconds(ms as f64 / 1_000.0)
}

/// Between two times.
pub(crate) fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    seconds((to - from).as_seconds_f64())
}

/// `12 345`, with spaces that do not break.
pub(crate) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Per second.
pub(crate) fn rate(rate: f64) -> String {
    match rate {
        rate if rate < 0.05 => "0".to_owned(),
        rate if rate < 10.0 => format!("{rate:.1}"),
        rate => count(rate.round() as i64),
    }
}

/// In UTC, with the day.
pub(crate) fn time(at: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(at.to_rfc3339_opts(SecondsFormat::Millis, true)) { (at.format("%Y-%m-%d %H:%M:%S").to_string()) }
    }
}

/// How long ago something was, with the time on hover.
pub(crate) fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    let precise = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    html! { time datetime=(precise) title=(precise) { (between(at, now)) } }
}

/// No longer than this.
pub(crate) fn short(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_somebody_would_say_them() {
        let said = [0.0, 0.0123, 0.9999, 9.5, 42.0, 59.99, 61.0, 3_600.0, 3_900.0, 90_000.0, -2.0].map(seconds);
        let expected = [
            "0 s",
            "12 ms",
            "1.00 s",
            "9.50 s",
            "42.0 s",
            "1 min",
            "1 min 01 s",
            "1 h",
            "1 h 05 min",
            "1 d 01 h",
            "-2.00 s",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, -1_234_567].map(count), ["0", "999", "1\u{202f}000", "-1\u{202f}234\u{202f}567"]);
        assert_eq!([0.0, 0.26, 12.4].map(rate), ["0", "0.3", "12"]);
        assert_eq!((short("ab", 2), short("äbc", 2)), ("ab".to_owned(), "äb…".to_owned()));
    }
}
