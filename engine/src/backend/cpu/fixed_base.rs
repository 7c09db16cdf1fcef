//! Many multiples of one point.
//!
//! `s · B = Σ_w d_w · 2^(c·w) · B` with signed digits d: the multiples `d · 2^(c·w) · B` are tabulated once, and each
//! product is one addition a window. Additions of many products go together window by window, so that they share
//! inversions ([`Kernel::accumulate`]). Set-up makes all its points this way.
//!
//! Source: E. Brickell et al., "Fast exponentiation with precomputation" (1992).

use group::prime::PrimeCurveAffine;
use group::{Curve, Group};
use rayon::prelude::*;

use super::curve::{Addition, Kernel, prefetch};
use super::digits::{MIN_BITS, Recoded, Windows};
use crate::field::Fr;

/// Bits of a digit at most: larger tables save less in additions than they cost in memory that no cache holds.
const MAX_BITS: u32 = 17;

/// Tables of a base.
pub struct FixedBase<K: Kernel> {
    windows: Windows,
    /// Entry `d − 1` of window w: `d · 2^(c·w) · B`.
    tables: Vec<Vec<K::Point>>,
}

impl<K: Kernel> FixedBase<K> {
    /// Tabulates a base for about `expected` products, with at most about `memory_bytes`.
    pub fn new(base: &K::Group, expected: usize, memory_bytes: u64) -> Self {
        let bits = (MIN_BITS..=MAX_BITS)
            .filter(|bits| {
                let windows = Windows::new(*bits);
                (windows.count() * windows.magnitudes() * size_of::<K::Point>()) as u64 <= memory_bytes
            })
            .min_by_key(|bits| {
                let windows = Windows::new(*bits);
                windows.count() * (expected + windows.magnitudes())
            })
            .unwrap_or(MIN_BITS);
        let windows = Windows::new(bits);
        let mut bases = vec![*base];
        for window in 1..windows.count() {
            let mut next = bases[window - 1];
            (0..bits).for_each(|_| next = next.double());
            bases.push(next);
        }
        let mut affine = vec![K::Affine::default(); bases.len()];
        K::Group::batch_normalize(&bases, &mut affine);
        let tables = affine.par_iter().map(|base| multiples::<K>(base, windows.magnitudes())).collect();
        Self { windows, tables }
    }

    /// `scalars[i] · B` for each i.
    pub fn multiply(&self, scalars: &[Fr]) -> Vec<K::Point> {
        let mut products = vec![K::Point::default(); scalars.len()];
        products.par_chunks_mut(K::BATCH).zip(scalars.par_chunks(K::BATCH)).for_each_init(
            || (Vec::with_capacity(K::BATCH), Vec::with_capacity(K::BATCH), K::Scratch::default()),
            |(recoded, additions, scratch), (products, scalars)| {
                recoded.clear();
                recoded.extend(scalars.iter().map(|scalar| self.windows.recode(scalar)));
                for (window, table) in self.tables.iter().enumerate() {
                    self.additions(recoded, window, additions);
                    K::accumulate(products, additions, table, scratch);
                }
            },
        );
        products
    }

    fn additions(&self, recoded: &[Recoded], window: usize, additions: &mut Vec<Addition>) {
        additions.clear();
        for (index, scalar) in recoded.iter().enumerate() {
            let digit = self.windows.digit(scalar, window);
            if digit != 0 {
                prefetch(&self.tables[window][digit.unsigned_abs() as usize - 1]);
                additions.push(Addition::new(index as u32, digit.unsigned_abs() - 1, digit < 0));
            }
        }
    }
}

/// `1·B, 2·B, …, len·B`; `len` is a power of two.
fn multiples<K: Kernel>(base: &K::Affine, len: usize) -> Vec<K::Point> {
    let mut table = Vec::with_capacity(len);
    let mut scratch = K::Scratch::default();
    table.push(K::import(base));
    let mut top = base.to_curve();
    while table.len() < len {
        // The table has 1..n; n + 1 .. 2n are these plus n·B.
        let step = [K::import(&top.to_affine())];
        let mut next = table.clone();
        for next in next.chunks_mut(K::BATCH) {
            let additions: Vec<_> = (0..next.len() as u32).map(|index| Addition::new(index, 0, false)).collect();
            K::accumulate(next, &additions, &step, &mut scratch);
        }
        table.extend(next);
        top = top.double();
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::curve::tests::rng;
    use crate::backend::cpu::curve::{PortableG1, PortableG2};
    use ff::Field;

    fn products_equal_group_operations<K: Kernel>() {
        let base = K::Group::random(rng(2));
        let mut rng = rng(4);
        let mut scalars = vec![Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::from(2)];
        scalars.extend((0..40).map(|_| Fr::random(&mut rng)));
        for (expected, memory) in [(1, 0), (100, u64::MAX), (1 << 16, 1 << 16), (1 << 13, u64::MAX)] {
            let fixed = FixedBase::<K>::new(&base, expected, memory);
            for len in [0, 1, 2, 31, scalars.len()] {
                let expected: Vec<K::Affine> = scalars[..len].iter().map(|s| (base * *s).to_affine()).collect();
                assert_eq!(fixed.multiply(&scalars[..len]).iter().map(K::export).collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn products_of_both_groups_equal_group_operations() {
        products_equal_group_operations::<PortableG1>();
        products_equal_group_operations::<PortableG2>();
    }
}
