//! In which order points are added when every addition is of a pair, and many pairs go together.
//!
//! A sum of m points takes ⌈log₂ m⌉ rounds of pairs, which many sums share: each bucket of each window is one
//! ([`Buckets`]). Then `Σ_d d·B_d` over the N = 2^(c−1) buckets of a window ([`Weighted`]): with d = i + 1, and S_k the sum of the
//! buckets whose i has bit k, it is `Σ_k 2^k·S_k` and the sum of all. A tree of pairwise sums over the buckets has them:
//! S_k is the sum of the odd nodes of its level k, so that S_0, …, S_(c−2) and the sum of all cost 2N additions in c rounds or so.
//! The doublings are left to whoever has the sums.

use std::ops::Range;

use rayon::prelude::*;

use crate::backend::cpu::digits::{Recoded, Windows};

/// Set in an item whose point is to be negated.
pub(super) const NEGATIVE: u32 = 1 << 31;
/// No point: a sum of nothing.
pub(super) const ABSENT: u32 = u32::MAX;

/// Takes pairs of items, which are indices of points with [`NEGATIVE`] or not, and adds them.
pub(super) trait Adder {
    /// Why it cannot go on.
    type Error;

    /// The item of the next sum.
    fn next(&self) -> u32;

    /// Adds pairs, whose sums are the next items, to be used from the next round on.
    fn add(&mut self, pairs: &[[u32; 2]]) -> Result<(), Self::Error>;

    /// Ends a round.
    fn end_round(&mut self) -> Result<(), Self::Error>;
}

/// What the points of a part are multiplied by.
#[derive(Debug)]
pub(super) enum Factors {
    /// So many points once.
    Ones(usize),
    /// Scalars in signed digits.
    Scalars(Windows, Vec<Recoded>),
}

impl Factors {
    pub(super) fn points(&self) -> usize {
        match self {
            Self::Ones(points) => *points,
            Self::Scalars(_, scalars) => scalars.len(),
        }
    }

    /// Buckets of a window: the magnitudes of digits, from 1.
    fn buckets(&self) -> usize {
        match self {
            Self::Ones(_) => 1,
            Self::Scalars(windows, _) => windows.magnitudes(),
        }
    }

    fn digit(&self, point: usize, window: usize) -> i32 {
        match self {
            Self::Ones(_) => 1,
            Self::Scalars(windows, scalars) => windows.digit(&scalars[point], window),
        }
    }
}

/// What is added up in rounds by itself.
trait Halving: Send + Sync {
    /// Whether there is no further round.
    fn is_finished(&self) -> bool;

    /// Pairs of the next round.
    fn pairs(&self) -> usize;

    /// One round: gives its pairs, whose sums are the items from `first` on.
    fn halve(&mut self, first: u32, pairs: &mut [[u32; 2]]);
}

/// Lists of items, of which each is to become one sum.
#[derive(Debug, Default)]
struct Lists {
    items: Vec<u32>,
    /// Items of each list.
    lens: Vec<u32>,
}

impl Lists {
    /// A list for each bucket of a window: the items of points 0, 1, … by counting sort.
    fn of_window(factors: &Factors, window: usize) -> Self {
        let mut lens = vec![0; factors.buckets()];
        for point in 0..factors.points() {
            let digit = factors.digit(point, window);
            if digit != 0 {
                lens[digit.unsigned_abs() as usize - 1] += 1;
            }
        }
        let mut end = 0;
        let mut places: Vec<u32> = lens
            .iter()
            .map(|len| {
                end += len;
                end - len
            })
            .collect();
        let mut items = vec![ABSENT; end as usize];
        for point in 0..factors.points() {
            let digit = factors.digit(point, window);
            if digit != 0 {
                let place = &mut places[digit.unsigned_abs() as usize - 1];
                items[*place as usize] = point as u32 | if digit < 0 { NEGATIVE } else { 0 };
                *place += 1;
            }
        }
        Self { items, lens }
    }

    /// What each list has become, once finished; [`ABSENT`] where it was empty.
    fn sums(&self) -> Vec<u32> {
        let mut items = self.items.iter();
        let sum = |len: &u32| match len {
            0 => ABSENT,
            _ => items.next().copied().unwrap_or(ABSENT),
        };
        self.lens.iter().map(sum).collect()
    }
}

impl Halving for Lists {
    fn is_finished(&self) -> bool {
        self.lens.iter().all(|len| *len < 2)
    }

    fn pairs(&self) -> usize {
        self.lens.iter().map(|len| *len as usize / 2).sum()
    }

    /// Neighbours in a list are added, one that has none stays.
    fn halve(&mut self, first: u32, pairs: &mut [[u32; 2]]) {
        let (mut read, mut written, mut next) = (0, 0, 0);
        for len in &mut self.lens {
            let count = *len as usize;
            for pair in 0..count / 2 {
                let at = read + 2 * pair;
                pairs[next] = [self.items[at], self.items[at + 1]];
                self.items[written + pair] = first + next as u32;
                next += 1;
            }
            if count % 2 == 1 {
                self.items[written + count / 2] = self.items[read + count - 1];
            }
            read += count;
            written += count.div_ceil(2);
            *len = len.div_ceil(2);
        }
        self.items.truncate(written);
    }
}

/// The sums of a window's buckets on their way to the sums S_k.
#[derive(Debug)]
struct Weighted {
    /// A level of the tree; [`ABSENT`] where no bucket has a point.
    level: Vec<u32>,
    /// The odd nodes of the levels so far.
    odd: Lists,
}

impl Weighted {
    /// The items of S_0, S_1, …, and of the sum of all.
    fn finish(self) -> Vec<u32> {
        let mut sums = self.odd.sums();
        sums.extend(self.level);
        sums
    }
}

impl Halving for Weighted {
    fn is_finished(&self) -> bool {
        self.level.len() < 2 && self.odd.is_finished()
    }

    fn pairs(&self) -> usize {
        let present = self.level.chunks_exact(2).filter(|pair| !pair.contains(&ABSENT)).count();
        self.odd.pairs() + present
    }

    fn halve(&mut self, first: u32, pairs: &mut [[u32; 2]]) {
        let (of_odd, of_level) = pairs.split_at_mut(self.odd.pairs());
        self.odd.halve(first, of_odd);
        if self.level.len() < 2 {
            return;
        }
        let before = self.odd.items.len();
        self.odd.items.extend(self.level.iter().skip(1).step_by(2).filter(|item| **item != ABSENT));
        self.odd.lens.push((self.odd.items.len() - before) as u32);
        let mut next = of_odd.len() as u32 + first;
        let mut places = of_level.iter_mut();
        for parent in 0..self.level.len() / 2 {
            self.level[parent] = match (self.level[2 * parent], self.level[2 * parent + 1]) {
                (ABSENT, item) | (item, ABSENT) => item,
                (left, right) => {
                    if let Some(place) = places.next() {
                        *place = [left, right];
                    }
                    next += 1;
                    next - 1
                }
            };
        }
        self.level.truncate(self.level.len() / 2);
    }
}

/// Adds up windows round by round, as many at a time as there are threads.
fn add_up<A: Adder>(windows: &mut [impl Halving], adder: &mut A) -> Result<(), A::Error> {
    let mut pairs = Vec::new();
    while !windows.iter().all(Halving::is_finished) {
        for windows in windows.chunks_mut(rayon::current_num_threads()) {
            let counts: Vec<_> = windows.par_iter().map(Halving::pairs).collect();
            pairs.resize(counts.iter().sum(), [ABSENT; 2]);
            let (mut rest, mut first) = (pairs.as_mut_slice(), adder.next());
            let mut work = Vec::with_capacity(windows.len());
            for (window, count) in windows.iter_mut().zip(counts) {
                let (pairs, others) = rest.split_at_mut(count);
                work.push((window, first, pairs));
                (rest, first) = (others, first + count as u32);
            }
            work.into_par_iter().for_each(|(window, first, pairs)| window.halve(first, pairs));
            adder.add(&pairs)?;
        }
        adder.end_round()?;
    }
    Ok(())
}

/// Adds up windows in the same rounds. For each the items of `S_0, …, S_(c−2)` and of the sum of all: the window's
/// value is `Σ_k 2^k·S_k` and that. Waits for threads of rayon's pool in which it is called.
pub(super) fn sum_windows<A: Adder>(
    factors: &Factors,
    windows: Range<usize>,
    adder: &mut A,
) -> Result<Vec<Vec<u32>>, A::Error> {
    let mut buckets: Vec<_> = windows.into_par_iter().map(|window| Lists::of_window(factors, window)).collect();
    add_up(&mut buckets, adder)?;
    let weighted = |buckets: Lists| Weighted { level: buckets.sums(), odd: Lists::default() };
    let mut windows: Vec<_> = buckets.into_iter().map(weighted).collect();
    add_up(&mut windows, adder)?;
    Ok(windows.into_iter().map(Weighted::finish).collect())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use ff::Field;

    use super::*;
    use crate::backend::cpu::curve::tests::rng;
    use crate::field::Fr;

    /// Scalars stand for points; refuses sums of a round that is not over.
    struct Sums {
        points: Vec<Fr>,
        finished: usize,
        additions: usize,
    }

    impl Sums {
        fn of(&self, item: u32) -> Fr {
            let point = self.points[(item & !NEGATIVE) as usize];
            if item & NEGATIVE == 0 { point } else { -point }
        }
    }

    impl Adder for Sums {
        type Error = Infallible;

        fn next(&self) -> u32 {
            self.points.len() as u32
        }

        fn add(&mut self, pairs: &[[u32; 2]]) -> Result<(), Infallible> {
            for item in pairs.as_flattened() {
                assert!(((item & !NEGATIVE) as usize) < self.finished);
            }
            self.points.extend(pairs.iter().map(|[left, right]| self.of(*left) + self.of(*right)).collect::<Vec<_>>());
            self.additions += pairs.len();
            Ok(())
        }

        fn end_round(&mut self) -> Result<(), Infallible> {
            self.finished = self.points.len();
            Ok(())
        }
    }

    /// `Σ factors·points` over windows of so many bits, and the additions that a window took at most.
    fn total(points: &[Fr], factors: &Factors, bits: u32, windows: usize) -> (Fr, usize) {
        let mut sums = Sums { points: points.to_vec(), finished: points.len(), additions: 0 };
        let items = sum_windows(factors, 0..windows, &mut sums).unwrap();
        assert_eq!(items.len(), windows);
        let of = |item: u32| if item == ABSENT { Fr::ZERO } else { sums.of(item) };
        let value = |items: &Vec<u32>| {
            let (all, odd) = items.split_last().unwrap();
            odd.iter().rev().fold(Fr::ZERO, |sum, item| sum.double() + of(*item)) + of(*all)
        };
        let shifted = |sum: Fr| (0..bits).fold(sum, |sum, _| sum.double());
        (items.iter().rev().fold(Fr::ZERO, |sum, items| shifted(sum) + value(items)), sums.additions / windows)
    }

    #[test]
    fn windows_sum_to_the_product() {
        let mut rng = rng(3);
        for (count, bits) in [(0, 4), (1, 4), (2, 5), (17, 4), (300, 6), (1000, 9)] {
            let points: Vec<_> = (0..count).map(|_| Fr::random(&mut rng)).collect();
            let mut scalars: Vec<_> = (0..count).map(|_| Fr::random(&mut rng)).collect();
            for scalar in [None, Some(Fr::ZERO), Some(Fr::ONE), Some(-Fr::ONE), Some(Fr::from(0x1234_5678))] {
                if let Some(scalar) = scalar {
                    scalars.fill(scalar);
                }
                let windows = Windows::new(bits);
                let recoded = scalars.iter().map(|scalar| windows.recode(scalar)).collect();
                let expected: Fr = points.iter().zip(&scalars).map(|(point, scalar)| *point * scalar).sum();
                let factors = Factors::Scalars(windows, recoded);
                let (sum, additions) = total(&points, &factors, bits, windows.count());
                assert_eq!(sum, expected, "{count} points, {bits} bits");
                assert!(additions <= count + 2 * windows.magnitudes(), "{count} points, {bits} bits: {additions}");
            }
            let (sum, additions) = total(&points, &Factors::Ones(count), 1, 1);
            assert_eq!((sum, additions), (points.iter().sum(), count.saturating_sub(1)));
        }
    }
}
