//! Amounts, against arithmetic with all its digits. The input is a currency, a blank, and the amount.

use holdfast_domain::money::{AmountError, Currency, MAX_AMOUNT_LEN, MAX_MINOR, Money};

pub(crate) fn check(input: &[u8]) {
    let Some((code, text)) = std::str::from_utf8(input).ok().and_then(|input| input.split_once(' ')) else { return };
    let Some(currency) = Currency::parse(code) else { return };
    let read = Money::parse(text, currency);
    assert_eq!(
        read.as_ref().map(|money| u128::from(money.minor().unsigned_abs())),
        model(text, currency).as_ref().copied()
    );
    if let Ok(money) = read {
        assert_eq!(Money::parse(&money.to_string(), currency), Ok(money));
        assert_eq!(Money::from_minor(money.minor(), currency), Some(money));
    }
}

/// Minor units, in no more words than the rule has: a decimal number, with no decimal that the currency lacks.
fn model(text: &str, currency: Currency) -> Result<u128, AmountError> {
    let (negative, digits, exponent) =
        decimal(text).filter(|_| text.len() <= MAX_AMOUNT_LEN).ok_or(AmountError::Malformed)?;
    if negative || digits.bytes().all(|digit| digit == b'0') {
        return Err(AmountError::NotPositive);
    }
    let (code, decimals) = (currency.code(), currency.decimals());
    let shift =
        u32::try_from(i64::from(decimals) + exponent).map_err(|_| AmountError::TooPrecise { code, decimals })?;
    let digits: Option<u128> = digits.parse().ok();
    let minor = digits.zip(10_u128.checked_pow(shift)).and_then(|(digits, power)| digits.checked_mul(power));
    minor.filter(|minor| *minor <= MAX_MINOR as u128).ok_or(AmountError::TooLarge)
}

/// Whether it is negative, all its digits, and the power of ten of the last one.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (number, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i16>().ok()?),
        None => (text, 0),
    };
    let (negative, number) = (number.starts_with('-'), number.strip_prefix('-').unwrap_or(number));
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(whole, fraction)| (whole, Some(fraction)));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let well_formed = is_digits(whole) && fraction.is_none_or(is_digits);
    let fraction = fraction.unwrap_or_default();
    well_formed.then(|| (negative, format!("{whole}{fraction}"), i64::from(exponent) - fraction.len() as i64))
}
