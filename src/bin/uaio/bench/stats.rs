//! Percentiles of durations; medians and spread of a few figures.

use serde::Serialize;

use super::job::Percentiles;

/// Sorts `durations` and picks from them, by nearest rank. `max` may be larger than any of them.
pub fn percentiles(durations: &mut [u64], max: u64) -> Percentiles {
    durations.sort_unstable();
    let rank = |percent: usize| {
        let rank = (durations.len() * percent).div_ceil(100);
        durations.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    };
    Percentiles { p50: rank(50), p99: rank(99), max, count: durations.len() as u64 }
}

/// Median and spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Half of the figures are not larger.
    pub median: f64,
    /// A quarter is not larger.
    pub q1: f64,
    /// Three quarters are not larger.
    pub q3: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// Of `figures`; none if there is none.
    pub fn of(figures: &[f64]) -> Option<Summary> {
        let mut sorted = figures.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        Some(Summary {
            median: quantile(&sorted, 0.5),
            q1: quantile(&sorted, 0.25),
            q3: quantile(&sorted, 0.75),
            min,
            max,
        })
    }

    /// The middle half's width, as a part of the median.
    pub fn relative_spread(&self) -> f64 {
        (self.q3 - self.q1) / self.median
    }
}

/// Between the two nearest figures in proportion.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * sorted.len().saturating_sub(1) as f64;
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let (low, high) = (at(place.floor() as usize), at(place.ceil() as usize));
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut hundred: Vec<u64> = (1..=100).rev().collect();
        let expected = Percentiles { p50: 50, p99: 99, max: 200, count: 100 };
        assert_eq!(percentiles(&mut hundred, 200), expected);
        let mut thousand: Vec<u64> = (1..=1000).collect();
        assert_eq!(percentiles(&mut thousand, 1000).p99, 990);
        assert_eq!(percentiles(&mut [7], 7), Percentiles { p50: 7, p99: 7, max: 7, count: 1 });
        assert_eq!(percentiles(&mut [3, 1], 3), Percentiles { p50: 1, p99: 3, max: 3, count: 2 });
        assert_eq!(percentiles(&mut [], 0), Percentiles::default());
    }

    #[test]
    fn medians_and_quartiles_lie_between_figures() {
        let odd = Summary::of(&[5.0, 1.0, 3.0, 2.0, 4.0]).unwrap();
        assert_eq!(odd, Summary { median: 3.0, q1: 2.0, q3: 4.0, min: 1.0, max: 5.0 });
        let even = Summary::of(&[4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(even, Summary { median: 2.5, q1: 1.75, q3: 3.25, min: 1.0, max: 4.0 });
        assert_eq!(even.relative_spread(), 0.6);
        let one = Summary::of(&[9.0]).unwrap();
        assert_eq!(one, Summary { median: 9.0, q1: 9.0, q3: 9.0, min: 9.0, max: 9.0 });
        assert_eq!(Summary::of(&[]), None);
    }
}
