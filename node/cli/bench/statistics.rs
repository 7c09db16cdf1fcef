//! Median and spread of repeated runs.

use serde::{Deserialize, Serialize};

/// What repeated runs came to. Of few runs no distribution is known: the middle and the extremes say what there is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// The middle value; of an even number of runs the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// Median absolute deviation: the median of the distances from the median, not scaled.
    pub mad: f64,
}

impl Spread {
    /// Of values in any order; `None` without values or with one that is no number.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        if values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let median = middle(&values)?;
        let mut distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
        distances.sort_by(f64::total_cmp);
        Some(Self { median, min, max, mad: middle(&distances)? })
    }

    /// The same of values that some runs do not have; `None` unless all have them.
    pub fn of_known(values: impl IntoIterator<Item = Option<f64>>) -> Option<Self> {
        Self::of(values.into_iter().collect::<Option<Vec<_>>>()?)
    }

    /// Whether all that a spread states is true of some values.
    pub fn is_sound(&self) -> bool {
        let Self { median, min, max, mad } = *self;
        [median, min, max, mad].iter().all(|value| value.is_finite() && *value >= 0.0) && min <= median && median <= max
    }
}

/// The middle of sorted values.
fn middle(sorted: &[f64]) -> Option<f64> {
    let half = sorted.len() / 2;
    let upper = *sorted.get(half)?;
    if sorted.len().is_multiple_of(2) { Some((sorted.get(half.checked_sub(1)?)? + upper) / 2.0) } else { Some(upper) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_deviations_of_known_values() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied()).unwrap();
        assert_eq!(spread(&[3.0]), Spread { median: 3.0, min: 3.0, max: 3.0, mad: 0.0 });
        assert_eq!(spread(&[4.0, 1.0]), Spread { median: 2.5, min: 1.0, max: 4.0, mad: 1.5 });
        // Distances from 2: 1 1 0 0 2 4 7.
        assert_eq!(spread(&[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0]), Spread { median: 2.0, min: 1.0, max: 9.0, mad: 1.0 });
        assert_eq!(spread(&[9.0, 5.0, 1.0, 2.0]).median, 3.5);
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([1.0, f64::NAN]), None);
        assert_eq!(Spread::of_known([Some(1.0), None]), None);
        assert_eq!(Spread::of_known([Some(1.0), Some(3.0)]).unwrap().median, 2.0);
    }

    #[test]
    fn unsound_spreads_are_noticed() {
        let sound = Spread { median: 2.0, min: 1.0, max: 3.0, mad: 0.5 };
        assert!(sound.is_sound());
        assert!(!Spread { median: 4.0, ..sound }.is_sound());
        assert!(!Spread { min: -1.0, ..sound }.is_sound());
    }
}
