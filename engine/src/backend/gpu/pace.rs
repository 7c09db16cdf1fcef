//! How much a slice may hold: what a dispatch does in [`TARGET`], by what was last seen of its kind.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a slice may take.
pub(super) const TARGET: Duration = Duration::from_millis(100);

/// The speed of kinds of work.
#[derive(Debug)]
pub(super) struct Pace<K> {
    /// Things of the first slice of a kind, before its speed is known.
    first: usize,
    /// Seconds of a thing, by kind.
    seconds: Mutex<Vec<(K, f64)>>,
}

impl<K: Copy + PartialEq> Pace<K> {
    /// No speed is known yet.
    pub(super) fn new(first: usize) -> Self {
        Self { first, seconds: Mutex::default() }
    }

    fn seconds(&self, kind: K) -> Option<f64> {
        let seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        seconds.iter().find(|(other, _)| *other == kind).map(|(_, seconds)| *seconds)
    }

    /// Things of the next slice; none where not even one fits the time, as when a kernel was compiled meanwhile.
    pub(super) fn slice(&self, kind: K) -> usize {
        self.seconds(kind).map_or(self.first, |seconds| (TARGET.as_secs_f64() / seconds.max(1e-12)) as usize)
    }

    /// Keeps what a thing took; one slice may not make the next more than twice as large.
    pub(super) fn learn(&self, kind: K, took: f64) {
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        match seconds.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, known)) => *known = took.max(*known / 2.0),
            None => seconds.push((kind, took.max(TARGET.as_secs_f64() / (2 * self.first) as f64))),
        }
    }

    /// Things a second of a kind, once it has been seen.
    pub(super) fn rate(&self, kind: K) -> Option<f64> {
        self.seconds(kind).map(|seconds| 1.0 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_follow_the_speed() {
        let pace = Pace::new(256);
        assert_eq!((pace.slice('a'), pace.rate('a')), (256, None));
        // So slow that a dispatch has time for none: a kernel that was compiled meanwhile.
        pace.learn('a', 5.0);
        assert_eq!(pace.slice('a'), 0);
        // It was not that slow; slices grow by twice at most.
        pace.learn('a', 1e-6);
        assert_eq!((pace.rate('a'), pace.slice('b')), (Some(0.4), 256));
        (0..40).for_each(|_| pace.learn('a', 1e-6));
        assert_eq!(pace.slice('a'), 100_000);
        pace.learn('b', 1e-9);
        assert_eq!(pace.slice('b'), 512);
    }
}
