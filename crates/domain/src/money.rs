//! Amounts of money: exact, in minor units of an ISO 4217 currency. No binary floating point anywhere.

use iso_currency::Currency as Iso;
use serde::{Serialize, Serializer};
use std::fmt;

/// The largest amount in minor units. Far above any sale, far below `i64::MAX`, so that sums cannot overflow.
pub const MAX_MINOR: i64 = 999_999_999_999_999;

/// Characters of an amount's text.
pub const MAX_AMOUNT_LEN: usize = 64;

/// A currency that money can be moved in: it has minor units (possibly zero of them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency {
    iso: Iso,
    decimals: u16,
}

impl Currency {
    /// Three capital letters, as ISO 4217 lists them. Test codes, metals and funds without minor units are refused.
    pub fn parse(code: &str) -> Option<Self> {
        let iso = Iso::from_code(code)?;
        Some(Self { iso, decimals: iso.exponent()? })
    }

    /// Every currency that money can be moved in, in the order of their codes.
    pub fn all() -> impl Iterator<Item = Self> {
        let letters = || 'A'..='Z';
        let pairs = move || letters().flat_map(move |a| letters().map(move |b| (a, b)));
        let codes = pairs().flat_map(move |(a, b)| letters().map(move |c| String::from_iter([a, b, c])));
        codes.filter_map(|code| Self::parse(&code))
    }

    pub fn code(self) -> &'static str {
        self.iso.code()
    }

    pub fn decimals(self) -> u16 {
        self.decimals
    }
}

/// A positive amount in its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    #[error("must be a decimal number such as \"12.50\"")]
    Malformed,
    #[error("must be greater than zero")]
    NotPositive,
    #[error("has more decimals than {code}, which has {decimals}")]
    TooPrecise { code: &'static str, decimals: u16 },
    #[error("is too large")]
    TooLarge,
}

impl Money {
    /// Reads decimal major units: plain (`12.50`) or as a JSON number with an exponent (`1.25e1`).
    pub fn parse(text: &str, currency: Currency) -> Result<Self, AmountError> {
        let decimal = Decimal::parse(text)?;
        if decimal.negative || decimal.digits.bytes().all(|digit| digit == b'0') {
            return Err(AmountError::NotPositive);
        }
        let shift = i64::from(currency.decimals) + decimal.exponent;
        if shift < 0 {
            return Err(AmountError::TooPrecise { code: currency.code(), decimals: currency.decimals });
        }
        let significant = decimal.digits.trim_start_matches('0');
        if significant.len() as i64 + shift > 15 {
            return Err(AmountError::TooLarge);
        }
        let minor = significant.parse::<i64>().map_err(|_| AmountError::TooLarge)? * 10_i64.pow(shift as u32);
        Ok(Self { minor, currency })
    }

    /// Rebuilds what was stored. `None` if it could not have been stored by us.
    pub fn from_minor(minor: i64, currency: Currency) -> Option<Self> {
        (1..=MAX_MINOR).contains(&minor).then_some(Self { minor, currency })
    }

    pub fn minor(self) -> i64 {
        self.minor
    }

    pub fn currency(self) -> Currency {
        self.currency
    }
}

/// Decimal major units with all the decimals of the currency: `12.50`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = usize::from(self.currency.decimals);
        let unit = 10_i64.pow(self.currency.decimals.into());
        match decimals {
            0 => write!(f, "{}", self.minor),
            _ => write!(f, "{}.{:0decimals$}", self.minor / unit, self.minor % unit),
        }
    }
}

/// Serialises as the decimal string; the currency is a field beside it.
impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whether this is a positive decimal that fits some currency.
pub fn check_decimal(text: &str) -> Result<(), AmountError> {
    let fits = |code| Money::parse(text, Currency::parse(code).expect("a currency")).map(drop);
    // From none to four decimals. The fewer there are, the larger an amount may be.
    fits("JPY").or_else(|_| fits("EUR")).or_else(|_| fits("KWD")).or_else(|_| fits("CLF"))
}

/// `digits × 10^exponent`, with every digit that was written.
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn parse(text: &str) -> Result<Self, AmountError> {
        if text.len() > MAX_AMOUNT_LEN {
            return Err(AmountError::Malformed);
        }
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i16 = exponent.parse().map_err(|_| AmountError::Malformed)?;
        let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return Err(AmountError::Malformed),
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let digits = format!("{whole}{fraction}");
        if whole.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AmountError::Malformed);
        }
        Ok(Self { negative, digits, exponent: i64::from(exponent) - fraction.len() as i64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str, code: &str) -> Result<String, AmountError> {
        Money::parse(text, Currency::parse(code).expect("currency")).map(|money| money.to_string())
    }

    #[test]
    fn amounts_are_normalised_to_the_currency() {
        assert_eq!(parse("12.5", "EUR").as_deref(), Ok("12.50"));
        assert_eq!(parse("12", "EUR").as_deref(), Ok("12.00"));
        assert_eq!(parse("1.25e1", "EUR").as_deref(), Ok("12.50"));
        assert_eq!(parse("12", "JPY").as_deref(), Ok("12"));
        assert_eq!(parse("0.001", "KWD").as_deref(), Ok("0.001"));
        assert_eq!(parse("9999999999999.99", "EUR").as_deref(), Ok("9999999999999.99"));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".", "1.", ".5", "1,5", "+1", "0x1", "1e", "e1", "NaN", "１", "--1", "1e99999", "1 "] {
            assert_eq!(parse(text, "EUR"), Err(AmountError::Malformed), "{text}");
        }
        assert_eq!(parse("0.00", "EUR"), Err(AmountError::NotPositive));
        assert_eq!(parse("-1", "EUR"), Err(AmountError::NotPositive));
        assert_eq!(parse("12.505", "EUR"), Err(AmountError::TooPrecise { code: "EUR", decimals: 2 }));
        assert_eq!(parse("1.0", "JPY"), Err(AmountError::TooPrecise { code: "JPY", decimals: 0 }));
        assert_eq!(parse("10000000000000.00", "EUR"), Err(AmountError::TooLarge));
        assert_eq!(parse("1e300", "EUR"), Err(AmountError::TooLarge));
    }

    #[test]
    fn an_amount_without_a_currency_fits_some_currency() {
        for text in ["1", "0.01", "0.0001", "9999999999999.99", "99999999999.9999", "999999999999999"] {
            assert_eq!(check_decimal(text), Ok(()), "{text}");
        }
        assert_eq!(check_decimal("0.00001"), Err(AmountError::TooPrecise { code: "CLF", decimals: 4 }));
        assert_eq!(check_decimal("1000000000000000"), Err(AmountError::TooLarge));
        assert_eq!(check_decimal("0"), Err(AmountError::NotPositive));
    }

    #[test]
    fn only_money_is_a_currency() {
        for code in ["XXX", "XAU", "eur", "EURO", ""] {
            assert_eq!(Currency::parse(code), None, "{code}");
        }
    }

    fn currency() -> impl Strategy<Value = Currency> {
        prop::sample::select(Currency::all().collect::<Vec<_>>())
    }

    /// What was written, with nothing lost: `digits × 10^exponent` minor units.
    fn model(digits: u64, exponent: i32, currency: Currency) -> Result<u128, AmountError> {
        let (code, decimals) = (currency.code(), currency.decimals());
        match u32::try_from(i32::from(decimals) + exponent) {
            _ if digits == 0 => Err(AmountError::NotPositive),
            Err(_) => Err(AmountError::TooPrecise { code, decimals }),
            Ok(shift) => match 10_u128.checked_pow(shift).and_then(|power| power.checked_mul(digits.into())) {
                Some(minor) if minor <= MAX_MINOR as u128 => Ok(minor),
                _ => Err(AmountError::TooLarge),
            },
        }
    }

    proptest! {
        #[test]
        fn every_amount_of_every_currency_reads_back(minor in 1..=MAX_MINOR, currency in currency()) {
            let money = Money::from_minor(minor, currency).expect("in range");
            prop_assert_eq!(Money::parse(&money.to_string(), currency), Ok(money));
            prop_assert_eq!(check_decimal(&money.to_string()), Ok(()));
        }

        #[test]
        fn an_amount_is_what_exact_arithmetic_says(
            digits in prop_oneof![0..100_000_u64, any::<u64>()],
            decimals in 0..8_usize,
            exponent in -9..20_i32,
            has_exponent: bool,
            currency in currency(),
        ) {
            let padded = format!("{digits:0>width$}", width = decimals + 1);
            let (whole, fraction) = padded.split_at(padded.len() - decimals);
            let point = if decimals == 0 { "" } else { "." };
            let (written, exponent) =
                if has_exponent { (format!("e{exponent}"), exponent) } else { (String::new(), 0) };
            let text = format!("{whole}{point}{fraction}{written}");
            let read = Money::parse(&text, currency).map(|money| u128::from(money.minor().unsigned_abs()));
            prop_assert_eq!(read, model(digits, exponent - decimals as i32, currency), "{}", text);
            if digits > 0 {
                let negative = Money::parse(&format!("-{text}"), currency);
                prop_assert_eq!(negative, Err(AmountError::NotPositive));
            }
        }

        #[test]
        fn what_is_read_is_a_decimal_number(text in "[0-9.eE+ -]{0,12}|\\PC{0,12}", currency in currency()) {
            if Money::parse(&text, currency).is_ok() {
                // Leading zeros are the one thing that JSON would not take.
                let number = text.trim_start_matches('0');
                let zero = if number.starts_with(|c: char| c.is_ascii_digit()) { "" } else { "0" };
                let is_number = serde_json::from_str::<serde_json::Number>(&format!("{zero}{number}")).is_ok();
                prop_assert!(is_number, "{}", text);
            }
        }
    }
}
