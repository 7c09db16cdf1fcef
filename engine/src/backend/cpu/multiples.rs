//! Multiples of many points at once, each by a scalar of its own, and sums of few of them.
//!
//! `s · P = Σ_w d_w · 2^(4w) · P` with signed digits: the multiples P, 2P, …, 8P are tabulated, and from the top window
//! down every sum is doubled four times and gets one entry of its table. All points go through the same steps together,
//! so that each step is one call of [`Kernel::accumulate`] and shares its inversion. Scalars of 128 bits cost half.
//!
//! Few points share too little; they are multiplied one by one by the curve crate.
//!
//! [`Prepared`] keeps the tables of some points for sums `Σ s_i · P_i`, in which all points share the doublings. Up to a
//! few hundred points that beats buckets, which want many points each; zero digits cost nothing, so small scalars are cheap.
//!
//! Sources: D. Knuth, "The Art of Computer Programming", volume 2, section 4.6.3, for windows; E. Straus, "Addition
//! chains of vectors" (1964).

use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective};
use group::{Curve, Group};
use rayon::prelude::*;

use super::curve::{Addition, Kernel, PortableG1, PortableG2};
use super::digits::{MIN_BITS, Recoded, Windows};
use super::{fast, msm::msm};
use crate::field::Fr;

/// Fewest points of a batch.
const FEW: usize = 24;
/// Most points whose sum of multiples is better taken without buckets.
const SMALL: usize = 512;
/// Points that share their doublings.
const SHARED: usize = 64;

/// Arithmetic of a group by the fastest means of this machine, on points of the curve crate.
pub trait Bulk: Curve + Send + Sync {
    /// `points[i] = scalars[i] · points[i]`.
    ///
    /// # Panics
    /// Unless there are as many scalars as points, as for the others.
    fn scale(points: &mut [Self::AffineRepr], scalars: &[Fr]);

    /// The first half of the points with `scalar` times the second half added, point by point.
    fn fold(points: &mut Vec<Self::AffineRepr>, scalar: &Fr);

    /// `Σ scalars[i] · points[i]`.
    fn sum_of_multiples(points: &[Self::AffineRepr], scalars: &[Fr]) -> Self;
}

macro_rules! bulk {
    ($group:ty, $affine:ty, $fast:ty, $portable:ty) => {
        impl Bulk for $group {
            fn scale(points: &mut [$affine], scalars: &[Fr]) {
                if fast::available() {
                    scale::<$fast>(points, scalars);
                } else {
                    scale::<$portable>(points, scalars);
                }
            }

            fn fold(points: &mut Vec<$affine>, scalar: &Fr) {
                if fast::available() {
                    fold::<$fast>(points, scalar);
                } else {
                    fold::<$portable>(points, scalar);
                }
            }

            fn sum_of_multiples(points: &[$affine], scalars: &[Fr]) -> Self {
                if points.len() <= SMALL {
                    Prepared::<$portable>::new(points).sum(scalars)
                } else if fast::available() {
                    msm::<$fast>(&points.par_iter().map(<$fast>::import).collect::<Vec<_>>(), scalars)
                } else {
                    msm::<$portable>(&points.par_iter().map(<$portable>::import).collect::<Vec<_>>(), scalars)
                }
            }
        }
    };
}

bulk!(G1Projective, G1Affine, fast::G1, PortableG1);
bulk!(G2Projective, G2Affine, fast::G2, PortableG2);

/// Points with their multiples 1 to 8, for sums of multiples.
#[derive(Clone, Debug)]
pub struct Prepared<K: Kernel> {
    /// Entry `8·i + d − 1` is d times point i.
    tables: Vec<K::Affine>,
}

impl<K: Kernel> Prepared<K> {
    /// Tabulates points.
    pub fn new(points: &[K::Affine]) -> Self {
        let magnitudes = Windows::new(MIN_BITS).magnitudes();
        let tables = points
            .par_chunks(SHARED)
            .flat_map_iter(|points| {
                let len = points.len();
                let table = table::<K>(&points.iter().map(K::import).collect::<Vec<_>>());
                (0..len).flat_map(move |point| {
                    let entries: Vec<_> = table.iter().skip(point).step_by(len).map(K::export).collect();
                    entries
                })
            })
            .collect();
        let prepared = Self { tables };
        debug_assert_eq!(prepared.tables.len(), magnitudes * points.len());
        prepared
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.tables.len() / Windows::new(MIN_BITS).magnitudes()
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// `Σ scalars[i] · points[i]`.
    ///
    /// # Panics
    /// Unless there are as many scalars as points.
    pub fn sum(&self, scalars: &[Fr]) -> K::Group {
        assert_eq!(self.len(), scalars.len(), "a scalar for each point");
        let windows = Windows::new(MIN_BITS);
        let tables = self.tables.par_chunks(SHARED * windows.magnitudes());
        let sums: Vec<K::Group> = tables
            .zip(scalars.par_chunks(SHARED))
            .map(|(tables, scalars)| interleaved::<K>(&windows, tables, scalars))
            .collect();
        sums.iter().sum()
    }
}

fn interleaved<K: Kernel>(windows: &Windows, tables: &[K::Affine], scalars: &[Fr]) -> K::Group {
    let recoded: Vec<Recoded> = scalars.iter().map(|scalar| windows.recode(scalar)).collect();
    let mut sum = K::Group::identity();
    let mut started = false;
    for window in (0..windows.count()).rev() {
        if started {
            sum = (0..windows.bits()).fold(sum, |sum, _| sum.double());
        }
        for (table, scalar) in tables.chunks_exact(windows.magnitudes()).zip(&recoded) {
            let digit = windows.digit(scalar, window);
            if let Some(index) = (digit.unsigned_abs() as usize).checked_sub(1) {
                started = true;
                if digit < 0 {
                    sum -= table[index];
                } else {
                    sum += table[index];
                }
            }
        }
    }
    sum
}

/// Points of a task: a batch, or less so that every thread has one.
fn task<K: Kernel>(points: usize) -> usize {
    points.div_ceil(rayon::current_num_threads()).clamp(FEW, K::BATCH)
}

fn scale<K: Kernel>(points: &mut [K::Affine], scalars: &[Fr]) {
    assert_eq!(points.len(), scalars.len(), "a scalar for each point");
    let task = task::<K>(points.len());
    points.par_chunks_mut(task).zip(scalars.par_chunks(task)).for_each(|(points, scalars)| {
        if points.len() < FEW {
            points.iter_mut().zip(scalars).for_each(|(point, scalar)| *point = (*point * *scalar).to_affine());
        } else {
            let multiples = multiples::<K>(&points.iter().map(K::import).collect::<Vec<_>>(), scalars);
            points.iter_mut().zip(&multiples).for_each(|(point, multiple)| *point = K::export(multiple));
        }
    });
}

fn fold<K: Kernel>(points: &mut Vec<K::Affine>, scalar: &Fr) {
    let half = points.len() / 2;
    assert_eq!(points.len(), 2 * half, "two halves");
    let (left, right) = points.split_at_mut(half);
    let task = task::<K>(half);
    left.par_chunks_mut(task).zip(right.par_chunks(task)).for_each(|(left, right)| {
        if left.len() < FEW {
            left.iter_mut().zip(right).for_each(|(left, right)| *left = (*right * *scalar + *left).to_affine());
        } else {
            let right: Vec<_> = right.iter().map(K::import).collect();
            let mut sums = multiples::<K>(&right, &vec![*scalar; right.len()]);
            let others: Vec<_> = left.iter().map(K::import).collect();
            K::accumulate(&mut sums, &in_order(others.len()), &others, &mut K::Scratch::default());
            left.iter_mut().zip(&sums).for_each(|(left, sum)| *left = K::export(sum));
        }
    });
    points.truncate(half);
}

fn in_order(len: usize) -> Vec<Addition> {
    (0..len as u32).map(|index| Addition::new(index, index, false)).collect()
}

/// The multiples 1 to 8 of every point: entry `(d − 1) · len + i` is d times point i.
fn table<K: Kernel>(points: &[K::Point]) -> Vec<K::Point> {
    let each = in_order(points.len());
    let mut scratch = K::Scratch::default();
    let mut table = points.to_vec();
    for magnitude in 1..Windows::new(MIN_BITS).magnitudes() {
        let mut next = table[(magnitude - 1) * points.len()..].to_vec();
        K::accumulate(&mut next, &each, points, &mut scratch);
        table.extend(next);
    }
    table
}

/// `scalars[i] · points[i]`, all in step.
fn multiples<K: Kernel>(points: &[K::Point], scalars: &[Fr]) -> Vec<K::Point> {
    let len = points.len();
    let windows = Windows::new(MIN_BITS);
    let mut scratch = K::Scratch::default();
    let each = in_order(len);
    let table = table::<K>(points);
    let recoded: Vec<Recoded> = scalars.iter().map(|scalar| windows.recode(scalar)).collect();
    let mut sums = vec![K::Point::default(); len];
    let mut doubled = Vec::with_capacity(len);
    let mut additions = Vec::with_capacity(len);
    let mut started = false;
    for window in (0..windows.count()).rev() {
        if started {
            for _ in 0..windows.bits() {
                doubled.clear();
                doubled.extend_from_slice(&sums);
                K::accumulate(&mut sums, &each, &doubled, &mut scratch);
            }
        }
        additions.clear();
        additions.extend(recoded.iter().enumerate().filter_map(|(index, scalar)| {
            let digit = windows.digit(scalar, window);
            let entry = (digit.unsigned_abs() as usize).checked_sub(1)? * len + index;
            Some(Addition::new(index as u32, entry as u32, digit < 0))
        }));
        started |= !additions.is_empty();
        K::accumulate(&mut sums, &additions, &table, &mut scratch);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::curve::tests::{points, rng};
    use ff::Field;

    fn scalars(len: usize) -> Vec<Fr> {
        let mut rng = rng(6);
        (0..len)
            .map(|i| match i % 5 {
                0 => Fr::random(&mut rng),
                1 => Fr::ZERO,
                2 => Fr::from(i as u64),
                3 => -Fr::from(i as u64),
                _ => Fr::from_u64s_le(&[i as u64, 5, 0, 0]).unwrap(),
            })
            .collect()
    }

    fn equals_group_operations<K: Kernel>(bulk: impl Fn(&mut [K::Affine], &[Fr])) {
        for len in [0, 1, FEW - 1, FEW, 2 * FEW + 1, 600] {
            let points: Vec<K::Affine> = points::<K>(len).iter().map(K::export).collect();
            let scalars = scalars(len);
            let expected: Vec<K::Affine> = points.iter().zip(&scalars).map(|(p, s)| (*p * *s).to_affine()).collect();
            let mut products = points.clone();
            bulk(&mut products, &scalars);
            assert!(products == expected, "{len} points");
        }
    }

    #[test]
    fn multiples_of_both_groups_equal_group_operations() {
        equals_group_operations::<PortableG1>(G1Projective::scale);
        equals_group_operations::<PortableG2>(G2Projective::scale);
        equals_group_operations::<PortableG1>(scale::<PortableG1>);
        equals_group_operations::<PortableG2>(scale::<PortableG2>);
    }

    #[test]
    fn folded_points_equal_group_operations() {
        let scalar = Fr::random(rng(8));
        for half in [0, 1, FEW, 100, SMALL] {
            let points: Vec<G1Affine> = points::<PortableG1>(2 * half).iter().map(PortableG1::export).collect();
            let expected: Vec<G1Affine> =
                (0..half).map(|i| (points[half + i] * scalar + points[i]).to_affine()).collect();
            let mut by_fast = points.clone();
            G1Projective::fold(&mut by_fast, &scalar);
            assert!(by_fast == expected, "{half} points");
            let mut by_portable = points.clone();
            fold::<PortableG1>(&mut by_portable, &scalar);
            assert!(by_portable == expected, "{half} points");
            let scalars = scalars(2 * half);
            let sum: G1Projective = points.iter().zip(&scalars).map(|(point, scalar)| *point * *scalar).sum();
            assert!(G1Projective::sum_of_multiples(&points, &scalars) == sum, "{half} points");
        }
    }
}
