//! How the cards of the schemes begin, and how many digits they have.

/// Cards whose first six digits lie between two numbers.
struct Range {
    first: u32,
    last: u32,
    lengths: &'static [usize],
}

const fn range(first: u32, last: u32, lengths: &'static [usize]) -> Range {
    Range { first, last, lengths }
}

const UNIONPAY: Range = range(620_000, 629_999, &[16, 17, 18, 19]);

/// Of Maestro only what was issued in numbers: with all that it may begin with (50, 56 to 69), one in seventy of all long
/// numbers would be a card.
const RANGES: [Range; 20] = [
    UNIONPAY,
    // Visa.
    range(400_000, 499_999, &[13, 16, 19]),
    // Mastercard.
    range(510_000, 559_999, &[16]),
    range(222_100, 272_099, &[16]),
    // American Express.
    range(340_000, 349_999, &[15]),
    range(370_000, 379_999, &[15]),
    // Discover.
    range(601_100, 601_199, &[16, 17, 18, 19]),
    range(644_000, 659_999, &[16, 17, 18, 19]),
    // JCB.
    range(352_800, 358_999, &[16, 17, 18, 19]),
    // Diners Club.
    range(300_000, 305_999, &[14, 16, 17, 18, 19]),
    range(309_500, 309_599, &[14, 16, 17, 18, 19]),
    range(360_000, 369_999, &[14, 16, 17, 18, 19]),
    range(380_000, 399_999, &[14, 16, 17, 18, 19]),
    // Maestro.
    range(501_800, 501_899, &[16, 17, 18, 19]),
    range(502_000, 502_099, &[16, 17, 18, 19]),
    range(503_800, 503_899, &[16, 17, 18, 19]),
    range(589_300, 589_399, &[16, 17, 18, 19]),
    range(630_400, 630_499, &[16, 17, 18, 19]),
    range(675_900, 675_999, &[16, 17, 18, 19]),
    range(676_100, 676_399, &[16, 17, 18, 19]),
];

/// Whether a scheme has cards with such a number, and they would be written in groups of so many digits.
pub(super) fn is_issued(digits: &[u8], groups: &[usize]) -> bool {
    let begin = digits.iter().take(6).fold(0, |begin, digit| 10 * begin + u32::from(*digit));
    let is_of = |range: &Range| (range.first..=range.last).contains(&begin) && range.lengths.contains(&digits.len());
    RANGES.iter().any(is_of)
        && match digits.len() {
            13 => groups == [4, 3, 3, 3],
            14..=16 => true,
            _ => groups.len() > 1 || is_of(&UNIONPAY),
        }
}
