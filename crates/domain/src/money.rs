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
    // The Chilean unit of account has four decimals, more than any other.
    let finest = Currency::parse("CLF").expect("a currency");
    Money::parse(text, finest).map(|_| ())
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
    fn only_money_is_a_currency() {
        for code in ["XXX", "XAU", "eur", "EURO", ""] {
            assert_eq!(Currency::parse(code), None, "{code}");
        }
    }

    proptest! {
        #[test]
        fn every_amount_reads_back(minor in 1..=MAX_MINOR, code in prop::sample::select(vec!["EUR", "JPY", "KWD", "CLF"])) {
            let currency = Currency::parse(code).expect("currency");
            let money = Money::from_minor(minor, currency).expect("in range");
            prop_assert_eq!(Money::parse(&money.to_string(), currency), Ok(money));
        }
    }
}
