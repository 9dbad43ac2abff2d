//! An axis on which milliseconds and days are both seen: each stretch between two moments is as wide as the logarithm of its
//! length.

use chrono::{DateTime, Utc};

pub(crate) struct Axis {
    /// In order, and where each of them is, from 0 to 1.
    places: Vec<(DateTime<Utc>, f64)>,
}

/// In milliseconds: what is shorter is hardly told apart.
const SHORT: f64 = 10.0;

impl Axis {
    pub(crate) fn over(moments: impl IntoIterator<Item = DateTime<Utc>>) -> Self {
        let mut moments: Vec<_> = moments.into_iter().collect();
        moments.sort_unstable();
        moments.dedup();
        let width = |pair: &[DateTime<Utc>]| {
            let ms = (pair[1] - pair[0]).as_seconds_f64() * 1_000.0;
            (1.0 + ms / SHORT).ln()
        };
        let widths: Vec<f64> = moments.windows(2).map(width).collect();
        let total: f64 = widths.iter().sum();
        let mut reached = 0.0;
        let mut places: Vec<_> = moments.first().map(|first| (*first, 0.0)).into_iter().collect();
        for (moment, width) in moments.into_iter().skip(1).zip(widths) {
            reached += width;
            places.push((moment, reached / total));
        }
        Self { places }
    }

    /// Of one of the moments.
    pub(crate) fn place(&self, moment: DateTime<Utc>) -> f64 {
        match self.places.binary_search_by_key(&moment, |(known, _)| *known) {
            Ok(at) => self.places[at].1,
            Err(_unknown) => 0.0,
        }
    }

    /// Moments to write times at, no closer together than this.
    pub(crate) fn ticks(&self, apart: f64) -> Vec<(DateTime<Utc>, f64)> {
        let mut ticks: Vec<(DateTime<Utc>, f64)> = Vec::new();
        for place in &self.places {
            if ticks.last().is_none_or(|last| place.1 - last.1 >= apart) {
                ticks.push(*place);
            }
        }
        ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).expect("a time")
    }

    #[test]
    fn a_day_does_not_hide_what_took_milliseconds() {
        let axis = Axis::over([at(0), at(100), at(86_400_000), at(100)]);
        assert_eq!((axis.place(at(0)), axis.place(at(86_400_000))), (0.0, 1.0));
        assert!((0.1..0.3).contains(&axis.place(at(100))), "{}", axis.place(at(100)));
        assert_eq!(axis.ticks(0.5).len(), 2);
    }

    #[test]
    fn one_moment_is_an_axis_too() {
        assert_eq!(Axis::over([at(5), at(5)]).place(at(5)), 0.0);
        assert_eq!(Axis::over([]).ticks(0.1), []);
    }
}
