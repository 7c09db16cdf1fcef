//! Sums of many affine points at one field inversion per batch.
//!
//! A sum of two different points of `y² = x³ + b` is `λ = (y₂ − y₁) / (x₂ − x₁)`, `x₃ = λ² − x₁ − x₂`,
//! `y₃ = λ (x₁ − x₃) − y₁`; for two equal ones `λ = 3 x₁² / 2 y₁`. The divisors of a batch are inverted together
//! (Montgomery's trick: invert the product, peel off one factor after the other), so that an addition costs five
//! multiplications and one squaring, half of what mixed projective coordinates ask. Everything that adds points in
//! bulk (bucket sums, subset sums, fixed-base multiplication) is written over the one operation [`Kernel::accumulate`].
//!
//! The identity, which has no affine coordinates, is stored as (0, 0); that is not on either curve.
//!
//! Sources: P. Montgomery, "Speeding the Pollard and elliptic curve methods of factorization" (1987), section 10.3.1;
//! point encodings: `spec/snark.md` 4.1.

use std::fmt::Debug;

use blst::{
    BLST_ERROR, blst_fp, blst_fp_add, blst_fp_cneg, blst_fp_eucl_inverse, blst_fp_mul, blst_fp_sqr, blst_fp_sub,
    blst_fp2, blst_fp2_add, blst_fp2_cneg, blst_fp2_eucl_inverse, blst_fp2_mul, blst_fp2_sqr, blst_fp2_sub,
    blst_p1_affine, blst_p1_affine_serialize, blst_p1_deserialize, blst_p2_affine, blst_p2_affine_serialize,
    blst_p2_deserialize,
};
use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective};
use group::Curve;
use group::prime::{PrimeCurve, PrimeCurveAffine};

use crate::field::Fr;

/// One addition of a batch: `sums[to] += points[from]`, or `−=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addition {
    /// Index of the sum.
    pub to: u32,
    from: u32,
}

const NEGATIVE: u32 = 1 << 31;

impl Addition {
    /// Adds point `from` to sum `to`, or subtracts it; both are below 2³¹.
    pub fn new(to: u32, from: u32, negative: bool) -> Self {
        debug_assert!(from < NEGATIVE);
        Self { to, from: from | if negative { NEGATIVE } else { 0 } }
    }

    /// Index of the point.
    pub fn from(self) -> usize {
        (self.from & !NEGATIVE) as usize
    }

    /// Whether the point is subtracted.
    pub fn negative(self) -> bool {
        self.from & NEGATIVE != 0
    }
}

/// Asks for a point that will be needed soon, where the machine has an instruction for it.
#[inline]
#[allow(unsafe_code, reason = "the instruction takes a pointer")]
pub fn prefetch<T>(point: &T) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..size_of::<T>()).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the pointer stays within the point; a prefetch reads nothing that the program can see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(point).cast::<i8>().add(offset)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = point;
}

/// Why bytes are not a point of a parameter file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum BadPoint {
    #[error("is the identity")]
    Identity,
    #[error("has a flag of compressed points, or a coordinate that is not below the modulus")]
    Encoding,
    #[error("is not on the curve")]
    NotOnCurve,
    #[error("is not in the subgroup")]
    NotInSubgroup,
}

/// A group, and a way to compute in it in bulk.
pub trait Kernel: Copy + Default + Debug + Send + Sync + 'static {
    /// The group, as the curve crate has it.
    type Group: PrimeCurve<Affine = Self::Affine, Scalar = Fr> + Curve<AffineRepr = Self::Affine>;
    /// Its affine points, as the curve crate has them.
    type Affine: PrimeCurveAffine<Scalar = Fr, Curve = Self::Group> + Default;
    /// Affine points in the form in which this arithmetic keeps them. The default is the identity.
    type Point: Copy + Default + PartialEq + Debug + Send + Sync + 'static;
    /// Working memory of [`Self::accumulate`], reused between calls.
    type Scratch: Default + Send;

    /// Bytes of an uncompressed point.
    const POINT_BYTES: usize;
    /// Additions that should share an inversion, so that little of its cost is left to each.
    const BATCH: usize;

    /// Takes a point of the curve crate over.
    fn import(point: &Self::Affine) -> Self::Point;

    /// Gives a point to the curve crate.
    fn export(point: &Self::Point) -> Self::Affine;

    /// Reads an uncompressed point of [`Self::POINT_BYTES`] bytes; any other length is [`BadPoint::Encoding`].
    ///
    /// # Errors
    /// [`BadPoint`] unless it is a point of the curve and not the identity. The subgroup is not checked.
    fn decode(bytes: &[u8]) -> Result<Self::Point, BadPoint>;

    /// Writes an uncompressed point into [`Self::POINT_BYTES`] bytes.
    fn encode(point: &Self::Point, bytes: &mut [u8]);

    /// Reads point number `chosen[i]` of `bytes` into `points[i]`.
    ///
    /// # Errors
    /// The first i whose point is bad, with the reason, as [`Self::decode`].
    fn decode_chosen(bytes: &[u8], chosen: &[u32], points: &mut [Self::Point]) -> Result<(), (usize, BadPoint)> {
        for (index, (chosen, point)) in chosen.iter().zip(points).enumerate() {
            let start = *chosen as usize * Self::POINT_BYTES;
            let bytes = bytes.get(start..start + Self::POINT_BYTES).unwrap_or_default();
            *point = Self::decode(bytes).map_err(|problem| (index, problem))?;
        }
        Ok(())
    }

    /// Writes uncompressed points, one after the other.
    fn encode_all(points: &[Self::Point], bytes: &mut [u8]) {
        for (point, bytes) in points.iter().zip(bytes.chunks_exact_mut(Self::POINT_BYTES)) {
            Self::encode(point, bytes);
        }
    }

    /// `sums[a.to] ±= points[a.from()]` for each addition. No two additions may have the same `to`.
    fn accumulate(
        sums: &mut [Self::Point],
        additions: &[Addition],
        points: &[Self::Point],
        scratch: &mut Self::Scratch,
    );

    /// The point negated.
    fn negate(point: &Self::Point) -> Self::Point;
}

/// A field over which a curve is defined.
pub trait BaseField: Copy + Default + PartialEq + Debug + Send + Sync + 'static {
    /// The neutral element of multiplication.
    const ONE: Self;
    /// `self + other`.
    fn add(&self, other: &Self) -> Self;
    /// `self − other`.
    fn sub(&self, other: &Self) -> Self;
    /// `self · other`.
    fn mul(&self, other: &Self) -> Self;
    /// `self · self`.
    fn square(&self) -> Self;
    /// `−self`.
    fn negate(&self) -> Self;
    /// `1 / self`, and 0 for 0.
    fn invert(&self) -> Self;
}

/// `2³⁸⁴ mod p`, the Montgomery form of 1.
const ONE: blst_fp = blst_fp {
    l: [
        0x760900000002fffd,
        0xebf4000bc40c0002,
        0x5f48985753c758ba,
        0x77ce585370525745,
        0x5c071a97a256ec6d,
        0x15f65ec3fa80e493,
    ],
};

macro_rules! base_field {
    ($type:ty, $one:expr, $add:ident, $sub:ident, $mul:ident, $square:ident, $negate:ident, $invert:ident) => {
        #[allow(unsafe_code, reason = "blst's field operations take pointers")]
        impl BaseField for $type {
            const ONE: Self = $one;

            fn add(&self, other: &Self) -> Self {
                let mut result = Self::default();
                // SAFETY: the three pointers are to whole elements; blst reads and writes nothing else.
                unsafe { $add(&mut result, self, other) };
                result
            }

            fn sub(&self, other: &Self) -> Self {
                let mut result = Self::default();
                // SAFETY: as in `add`.
                unsafe { $sub(&mut result, self, other) };
                result
            }

            fn mul(&self, other: &Self) -> Self {
                let mut result = Self::default();
                // SAFETY: as in `add`.
                unsafe { $mul(&mut result, self, other) };
                result
            }

            fn square(&self) -> Self {
                let mut result = Self::default();
                // SAFETY: as in `add`.
                unsafe { $square(&mut result, self) };
                result
            }

            fn negate(&self) -> Self {
                let mut result = Self::default();
                // SAFETY: as in `add`.
                unsafe { $negate(&mut result, self, true) };
                result
            }

            fn invert(&self) -> Self {
                let mut result = Self::default();
                // SAFETY: as in `add`.
                unsafe { $invert(&mut result, self) };
                result
            }
        }
    };
}

base_field!(blst_fp, ONE, blst_fp_add, blst_fp_sub, blst_fp_mul, blst_fp_sqr, blst_fp_cneg, blst_fp_eucl_inverse);
base_field!(
    blst_fp2,
    blst_fp2 { fp: [ONE, blst_fp { l: [0; 6] }] },
    blst_fp2_add,
    blst_fp2_sub,
    blst_fp2_mul,
    blst_fp2_sqr,
    blst_fp2_cneg,
    blst_fp2_eucl_inverse
);

/// An affine point; (0, 0) is the identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point<F> {
    /// Abscissa.
    pub x: F,
    /// Ordinate.
    pub y: F,
}

/// An addition that divides: between its two passes it waits here for the inverse of its divisor.
#[derive(Debug)]
struct Pending<F> {
    addition: Addition,
    divisor: F,
    /// Product of the divisors before.
    before: F,
}

/// Additions that wait for the common inversion.
#[derive(Debug)]
pub struct Scratch<F>(Vec<Pending<F>>);

impl<F> Default for Scratch<F> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

fn accumulate<F: BaseField>(
    sums: &mut [Point<F>],
    additions: &[Addition],
    points: &[Point<F>],
    Scratch(pending): &mut Scratch<F>,
) {
    let identity = Point::default();
    let zero = F::default();
    let operand = |addition: &Addition| {
        let point = points[addition.from()];
        if addition.negative() { Point { y: point.y.negate(), ..point } } else { point }
    };
    let mut product = F::ONE;
    pending.clear();
    for addition in additions {
        let q = operand(addition);
        let sum = &mut sums[addition.to as usize];
        let divisor = if q == identity {
            continue;
        } else if *sum == identity {
            *sum = q;
            continue;
        } else if sum.x != q.x {
            q.x.sub(&sum.x)
        } else if sum.y == q.y && q.y != zero {
            q.y.add(&q.y)
        } else {
            *sum = identity;
            continue;
        };
        pending.push(Pending { addition: *addition, divisor, before: product });
        product = product.mul(&divisor);
    }
    if pending.is_empty() {
        return;
    }
    let mut inverse = product.invert();
    for Pending { addition, divisor, before } in pending.iter().rev() {
        let q = operand(addition);
        let sum = &mut sums[addition.to as usize];
        let reciprocal = inverse.mul(before);
        inverse = inverse.mul(divisor);
        let numerator = if sum.x != q.x {
            q.y.sub(&sum.y)
        } else {
            let square = q.x.square();
            square.add(&square).add(&square)
        };
        let slope = numerator.mul(&reciprocal);
        let x = slope.square().sub(&sum.x).sub(&q.x);
        let y = slope.mul(&sum.x.sub(&x)).sub(&sum.y);
        *sum = Point { x, y };
    }
}

macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident, $field:ty, $affine:ty, $group:ty, $raw:ident, $bytes:expr, $decode:ident, $encode:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name;

        #[allow(unsafe_code, reason = "blst's encoders take pointers")]
        impl Kernel for $name {
            type Group = $group;
            type Affine = $affine;
            type Point = Point<$field>;
            type Scratch = Scratch<$field>;

            const POINT_BYTES: usize = $bytes;
            const BATCH: usize = 512;

            fn import(point: &$affine) -> Self::Point {
                let raw: &$raw = point.as_ref();
                Point { x: raw.x, y: raw.y }
            }

            fn export(point: &Self::Point) -> $affine {
                let mut affine = <$affine>::default();
                *affine.as_mut() = $raw { x: point.x, y: point.y };
                affine
            }

            fn decode(bytes: &[u8]) -> Result<Self::Point, BadPoint> {
                match bytes {
                    [flags, rest @ ..] if bytes.len() == $bytes => match flags & 0xe0 {
                        0 => {}
                        0x40 if *flags == 0x40 && rest.iter().all(|byte| *byte == 0) => return Err(BadPoint::Identity),
                        _ => return Err(BadPoint::Encoding),
                    },
                    _ => return Err(BadPoint::Encoding),
                }
                let mut raw = $raw::default();
                // SAFETY: blst reads one uncompressed point, whose length is checked above, and writes one point.
                match unsafe { $decode(&mut raw, bytes.as_ptr()) } {
                    BLST_ERROR::BLST_SUCCESS => Ok(Point { x: raw.x, y: raw.y }),
                    BLST_ERROR::BLST_POINT_NOT_ON_CURVE => Err(BadPoint::NotOnCurve),
                    _ => Err(BadPoint::Encoding),
                }
            }

            fn encode(point: &Self::Point, bytes: &mut [u8]) {
                assert_eq!(bytes.len(), $bytes, "room for exactly one point");
                let raw = $raw { x: point.x, y: point.y };
                // SAFETY: blst reads one point and writes its uncompressed bytes, for which there is room.
                unsafe { $encode(bytes.as_mut_ptr(), &raw) };
            }

            fn accumulate(
                sums: &mut [Self::Point],
                additions: &[Addition],
                points: &[Self::Point],
                scratch: &mut Self::Scratch,
            ) {
                accumulate(sums, additions, points, scratch);
            }

            fn negate(point: &Self::Point) -> Self::Point {
                Point { x: point.x, y: point.y.negate() }
            }
        }
    };
}

kernel!(
    /// G1 by blst's scalar assembly.
    PortableG1,
    blst_fp,
    G1Affine,
    G1Projective,
    blst_p1_affine,
    96,
    blst_p1_deserialize,
    blst_p1_affine_serialize
);
kernel!(
    /// G2 by blst's scalar assembly.
    PortableG2,
    blst_fp2,
    G2Affine,
    G2Projective,
    blst_p2_affine,
    192,
    blst_p2_deserialize,
    blst_p2_affine_serialize
);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use group::{Group, UncompressedEncoding};
    use rand_core::SeedableRng;
    use rand_xorshift::XorShiftRng;

    pub(crate) fn rng(seed: u8) -> XorShiftRng {
        XorShiftRng::from_seed([seed; 16])
    }

    /// `len` points: multiples of the generator from an arithmetic progression that also meets the identity.
    pub(crate) fn points<K: Kernel>(len: usize) -> Vec<K::Point> {
        let step = K::Group::random(rng(3));
        let mut point = -step.double();
        (0..len)
            .map(|_| {
                let here = K::import(&point.to_affine());
                point += step;
                here
            })
            .collect()
    }

    pub(crate) fn accumulate_equals_group_operations<K: Kernel>() {
        let points = points::<K>(70);
        for len in [0, 1, 2, 7, 8, 9, 31, 32, 33, 64] {
            for shift in [0, 1, 5] {
                // Sums: shifted points, so that equal, opposite and identity operands all occur.
                let mut sums: Vec<_> = points[shift..].to_vec();
                let additions: Vec<_> = (0..len as u32)
                    .map(|i| Addition::new(i, if i % 11 == 3 { i + shift as u32 } else { (i * 5) % 64 }, i % 3 == 1))
                    .collect();
                let mut expected: Vec<K::Affine> = sums.iter().map(K::export).collect();
                for addition in &additions {
                    let point = K::export(&points[addition.from()]);
                    let point = if addition.negative() { -point } else { point };
                    let sum = &mut expected[addition.to as usize];
                    *sum = (sum.to_curve() + point).to_affine();
                }
                K::accumulate(&mut sums, &additions, &points, &mut K::Scratch::default());
                assert_eq!(sums.iter().map(K::export).collect::<Vec<_>>(), expected, "{len} additions, shift {shift}");
            }
        }
    }

    pub(crate) fn equal_opposite_and_identity_operands<K: Kernel>() {
        let a = points::<K>(8)[7];
        let minus_a = K::negate(&a);
        let zero = K::Point::default();
        let points = [a, minus_a, zero];
        let twice = K::import(&K::export(&a).to_curve().double().to_affine());
        let mut sums = vec![a, a, a, zero, zero, zero, minus_a, minus_a, a];
        let additions: Vec<_> = [(0, 0), (1, 1), (2, 2), (3, 0), (4, 1), (5, 2), (6, 0), (7, 1)]
            .map(|(to, from)| Addition::new(to, from, false))
            .to_vec();
        let mut all = additions;
        all.push(Addition::new(8, 0, true));
        K::accumulate(&mut sums, &all, &points, &mut K::Scratch::default());
        assert_eq!(sums, [twice, zero, a, a, minus_a, zero, zero, K::negate(&twice), zero]);
    }

    fn encodings<K: Kernel>()
    where
        K::Affine: UncompressedEncoding,
    {
        for point in points::<K>(9) {
            let mut bytes = vec![0; K::POINT_BYTES];
            K::encode(&point, &mut bytes);
            assert_eq!(bytes, K::export(&point).to_uncompressed().as_ref());
            if point == K::Point::default() {
                assert_eq!(K::decode(&bytes), Err(BadPoint::Identity));
                bytes[K::POINT_BYTES - 1] = 1;
                assert_eq!(K::decode(&bytes), Err(BadPoint::Encoding));
                continue;
            }
            assert_eq!(K::decode(&bytes), Ok(point));
            assert_eq!(K::decode(&bytes[1..]), Err(BadPoint::Encoding));
            for flag in [0x80, 0x20, 0x40, 0xe0] {
                bytes[0] ^= flag;
                assert_eq!(K::decode(&bytes), Err(BadPoint::Encoding));
                bytes[0] ^= flag;
            }
            bytes[K::POINT_BYTES - 1] ^= 1;
            assert_eq!(K::decode(&bytes), Err(BadPoint::NotOnCurve));
            bytes[..48].fill(0x1f);
            assert_eq!(K::decode(&bytes), Err(BadPoint::Encoding));
        }
    }

    #[test]
    fn portable_accumulate_equals_group_operations() {
        accumulate_equals_group_operations::<PortableG1>();
        accumulate_equals_group_operations::<PortableG2>();
    }

    #[test]
    fn portable_special_operands() {
        equal_opposite_and_identity_operands::<PortableG1>();
        equal_opposite_and_identity_operands::<PortableG2>();
    }

    #[test]
    fn encodings_equal_the_curve_crates() {
        encodings::<PortableG1>();
        encodings::<PortableG2>();
    }

    #[test]
    fn one_is_neutral() {
        let x = blst_fp { l: [1, 2, 3, 4, 5, 6] };
        assert_eq!(x.mul(&blst_fp::ONE), x);
        assert_eq!(x.mul(&x.invert()), blst_fp::ONE);
        let x = blst_fp2 { fp: [x, blst_fp { l: [6, 5, 4, 3, 2, 1] }] };
        assert_eq!(x.mul(&blst_fp2::ONE), x);
        assert_eq!(x.mul(&x.invert()), blst_fp2::ONE);
    }
}
