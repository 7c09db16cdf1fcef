//! Whether points of the curves lie in the subgroups of order r, for many points at once.
//!
//! With x = −0xd201000000010000, the parameter of the curve:
//!
//! - G1: `φ(X, Y) = (β·X, Y)`, with β a cube root of 1, is `−x²` on the subgroup. Conversely `φ(P) = −x²·P` and
//!   `φ² + φ + 1 = 0` give `(x⁴ − x² + 1)·P = r·P = 0`.
//! - G2: `ψ`, the Frobenius map carried over the twist, is x on the subgroup. Conversely `ψ(P) = x·P` and
//!   `ψ² − (x + 1)·ψ + p = 0` give `(p − x)·P = 0`, and r is what p − x has in common with the order of the curve.
//!
//! So a point costs 2·63 doublings in G1 and 63 in G2, with next to no additions, since x has six bits. All points go
//! through them together, so that each step is one call of [`Kernel::accumulate`] and shares its inversion.
//!
//! Sources: S. Bowe, "Faster subgroup checks for BLS12-381" (2019); M. Scott, "A note on group membership tests for G1, G2
//! and GT on BLS pairing-friendly curves" (2021).

use std::sync::LazyLock;

use blst::{blst_fp, blst_fp2};
use blstrs::{G1Affine, G2Affine};
use group::prime::PrimeCurveAffine;
use rayon::prelude::*;

use super::curve::{Addition, BaseField, Kernel, Point, PortableG1, PortableG2};
use super::fast;

/// −x.
const PARAMETER: u64 = 0xd201_0000_0001_0000;
/// Fewest points of a batch; fewer are looked at one by one by the curve crate.
const FEW: usize = 24;
/// p − 1, least significant limb first.
const P_MINUS_1: [u64; 6] = [
    0xb9fe_ffff_ffff_aaaa,
    0x1eab_fffe_b153_ffff,
    0x6730_d2a0_f6b0_f624,
    0x6477_4b84_f385_12bf,
    0x4b1b_a7b6_434b_acd7,
    0x1a01_11ea_397f_e69a,
];

/// `base^((p − 1) / divisor)`; the divisor goes into p − 1.
fn root<F: BaseField>(base: &F, divisor: u64) -> F {
    let mut rest = 0_u128;
    let mut power = F::ONE;
    for limb in P_MINUS_1.iter().rev() {
        let dividend = rest << 64 | u128::from(*limb);
        // The rest was below the divisor, so this fits into a limb.
        let (quotient, next) = ((dividend / u128::from(divisor)) as u64, dividend % u128::from(divisor));
        for bit in (0..64).rev() {
            power = power.square();
            if quotient >> bit & 1 == 1 {
                power = power.mul(base);
            }
        }
        rest = next;
    }
    power
}

/// The cube root of 1 for which φ is −x² on G1. 2 is no cube; which of its two roots it gives a test decides.
static BETA: LazyLock<blst_fp> = LazyLock::new(|| {
    let two = blst_fp::ONE.add(&blst_fp::ONE);
    root(&two, 3)
});

/// The factors of ψ: `1/ξ^((p−1)/3)` and `1/ξ^((p−1)/2)`, with ξ = 1 + u, by which the twist divides.
static PSI: LazyLock<[blst_fp2; 2]> = LazyLock::new(|| {
    let xi = blst_fp2 { fp: [blst_fp::ONE, blst_fp::ONE] };
    [3, 2].map(|divisor| root(&xi, divisor).invert())
});

/// Groups whose points can be told apart from those of their curve.
pub trait Subgroup: PrimeCurveAffine {
    /// For each point of the curve, whether it is in the subgroup. The identity is.
    fn are_members(points: &[Self]) -> Vec<bool>;
}

macro_rules! subgroup {
    ($affine:ty, $fast:ty, $portable:ty) => {
        impl Subgroup for $affine {
            fn are_members(points: &[Self]) -> Vec<bool> {
                if fast::available() { members::<$fast>(points) } else { members::<$portable>(points) }
            }
        }
    };
}

subgroup!(G1Affine, fast::G1, PortableG1);
subgroup!(G2Affine, fast::G2, PortableG2);

/// What the two groups do not share.
trait Endomorphism: PrimeCurveAffine {
    /// How often the points are multiplied by −x.
    const TIMES: usize;
    /// Minus the image of the endomorphism, for G1; for G2 too, since there it is compared with `(−x)·P`.
    fn minus_image(&self) -> Self;
    fn is_member(&self) -> bool;
}

impl Endomorphism for G1Affine {
    const TIMES: usize = 2;

    fn minus_image(&self) -> Self {
        let Point { x, y } = PortableG1::import(self);
        PortableG1::export(&Point { x: x.mul(&BETA), y: y.negate() })
    }

    fn is_member(&self) -> bool {
        self.is_torsion_free().into()
    }
}

impl Endomorphism for G2Affine {
    const TIMES: usize = 1;

    fn minus_image(&self) -> Self {
        let conjugate = |value: &blst_fp2| blst_fp2 { fp: [value.fp[0], value.fp[1].negate()] };
        let Point { x, y } = PortableG2::import(self);
        let [of_x, of_y] = &*PSI;
        PortableG2::export(&Point { x: conjugate(&x).mul(of_x), y: conjugate(&y).mul(of_y).negate() })
    }

    fn is_member(&self) -> bool {
        self.is_torsion_free().into()
    }
}

fn members<K: Kernel>(points: &[K::Affine]) -> Vec<bool>
where
    K::Affine: Endomorphism,
{
    let task = points.len().div_ceil(rayon::current_num_threads()).clamp(FEW, K::BATCH);
    let piece = |points: &[K::Affine]| -> Vec<bool> {
        if points.len() < FEW {
            return points.iter().map(Endomorphism::is_member).collect();
        }
        let mut multiples: Vec<K::Point> = points.iter().map(K::import).collect();
        for _ in 0..K::Affine::TIMES {
            multiples = times_parameter::<K>(&multiples);
        }
        let pairs = points.iter().zip(&multiples);
        pairs.map(|(point, multiple)| K::export(multiple) == point.minus_image()).collect()
    };
    points.par_chunks(task).flat_map_iter(piece).collect()
}

/// −x times every point.
fn times_parameter<K: Kernel>(points: &[K::Point]) -> Vec<K::Point> {
    let each: Vec<_> = (0..points.len() as u32).map(|index| Addition::new(index, index, false)).collect();
    let mut scratch = K::Scratch::default();
    let mut sums = points.to_vec();
    let mut doubled = Vec::with_capacity(points.len());
    for bit in (0..PARAMETER.ilog2()).rev() {
        doubled.clear();
        doubled.extend_from_slice(&sums);
        K::accumulate(&mut sums, &each, &doubled, &mut scratch);
        if PARAMETER >> bit & 1 == 1 {
            K::accumulate(&mut sums, &each, points, &mut scratch);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::curve::tests::points;
    use crate::field::Fr;
    use blstrs::G1Projective;
    use ff::Field;
    use group::{Curve, Group};

    /// Points by abscissa, of which nearly all are outside the subgroup.
    fn elsewhere<A: PrimeCurveAffine>(decode: impl Fn(u8) -> Option<A>, count: usize) -> Vec<A> {
        (1..=u8::MAX).filter_map(decode).take(count).collect()
    }

    fn agrees<K: Kernel>(elsewhere: &[K::Affine])
    where
        K::Affine: Endomorphism + Subgroup,
    {
        assert!(elsewhere.iter().any(|point| !point.is_member()), "all in the subgroup");
        for len in [0, 1, FEW - 1, FEW, 3 * FEW + 1] {
            let mut points: Vec<K::Affine> = points::<K>(len).iter().map(K::export).collect();
            assert!(members::<K>(&points).iter().all(|member| *member), "{len} points");
            for (at, point) in points.iter_mut().enumerate().step_by(3) {
                *point = elsewhere[at % elsewhere.len()];
            }
            let expected: Vec<bool> = points.iter().map(Endomorphism::is_member).collect();
            assert_eq!(members::<K>(&points), expected, "{len} points");
            assert_eq!(K::Affine::are_members(&points), expected, "{len} points");
        }
    }

    #[test]
    fn members_are_told_as_the_curve_crate_does() {
        let g1 = |x: u8| {
            let mut bytes = [0; 48];
            (bytes[0], bytes[47]) = (0x80, x);
            Option::from(G1Affine::from_compressed_unchecked(&bytes))
        };
        agrees::<PortableG1>(&elsewhere(g1, 50));
        let g2 = |x: u8| {
            let mut bytes = [0; 96];
            (bytes[0], bytes[95]) = (0x80, x);
            Option::from(G2Affine::from_compressed_unchecked(&bytes))
        };
        agrees::<PortableG2>(&elsewhere(g2, 50));
    }

    /// Points that have no part in the subgroup, of the orders that tests by random sums are weak against.
    #[test]
    fn points_of_the_cofactor_are_not_members() {
        let mut bytes = [0; 48];
        (bytes[0], bytes[47]) = (0x80, 4);
        let point: G1Affine = Option::from(G1Affine::from_compressed_unchecked(&bytes)).unwrap();
        // r times a point of the curve.
        let cofactor = (point * -Fr::ONE + point).to_affine();
        let mut points = vec![G1Affine::generator(); FEW];
        points[5] = cofactor;
        points[6] = (cofactor + G1Projective::generator()).to_affine();
        let found = G1Affine::are_members(&points);
        let outside: Vec<usize> = (0..FEW).filter(|index| !found[*index]).collect();
        assert_eq!(outside, [5, 6]);
    }
}
