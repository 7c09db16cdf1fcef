//! Pairings, and what they map to.
//!
//! `e: G1 × G2 → Gt` is a Miller loop and a final exponentiation, `e(P, Q) = f(P, Q)^((p¹² − 1)/r)`. A product of
//! pairings needs the last step once: [`Miller`] is a product of loops, [`Miller::finish`] its value in [`Gt`]. Loops of
//! up to 16 pairs share the squarings of their accumulator, and groups of pairs run on all threads.
//!
//! Gt is the subgroup of order r of Fp12*, written multiplicatively; `Fp12 = Fp6[w]/(w² − v)`, `Fp6 = Fp2[v]/(v³ − u − 1)`.
//! Its elements have norm 1 over Fp6, so that `g = c0 + c1·w` is determined by `(c0 + 1)/c1` in Fp6 and comes back as
//! `(b + w)/(b − w)`; the inverse of g is its conjugate.
//!
//! Sources: `spec/snark.md` 5.4 for both encodings; M. Naehrig et al., "On compressible pairings and their computation"
//! (2008), section 4.1, and K. Rubin, A. Silverberg, "Compression in finite fields and torus-based cryptography" (2008),
//! section 2, for the compressed form.

#![allow(unsafe_code, reason = "blst's tower arithmetic takes pointers")]

use std::ops::Mul;

use blst::{
    blst_final_exp, blst_fp, blst_fp_from_lendian, blst_fp2, blst_fp6, blst_fp12, blst_fp12_conjugate,
    blst_fp12_in_group, blst_fp12_inverse, blst_fp12_is_one, blst_fp12_mul, blst_fp12_sqr, blst_lendian_from_fp,
    blst_miller_loop_n, blst_p1_affine, blst_p2_affine,
};
use blstrs::{G1Affine, G2Affine};
use group::prime::PrimeCurveAffine;
use rayon::prelude::*;

use super::curve::BaseField;
use super::digits::{MIN_BITS, Recoded, Windows};
use crate::field::Fr;

/// Bytes of an element of Gt: twelve Fp.
pub const GT_BYTES: usize = 576;
/// Bytes of a compressed element of Gt: six Fp.
pub const COMPRESSED_GT_BYTES: usize = 288;
/// Pairs whose loops share squarings: blst's own limit, beyond which it starts anew.
const SHARED: usize = 16;
/// Powers whose squarings are shared.
const SHARED_POWERS: usize = 32;
const FP_BYTES: usize = 48;

/// A product of Miller loops.
#[derive(Clone, Copy, Debug)]
pub struct Miller(blst_fp12);

/// An element of the target group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gt(blst_fp12);

fn mul(a: &blst_fp12, b: &blst_fp12) -> blst_fp12 {
    let mut product = blst_fp12::default();
    // SAFETY: the three pointers are to whole elements; blst reads and writes nothing else.
    unsafe { blst_fp12_mul(&mut product, a, b) };
    product
}

fn invert(a: &blst_fp12) -> blst_fp12 {
    let mut inverse = blst_fp12::default();
    // SAFETY: both pointers are to whole elements.
    unsafe { blst_fp12_inverse(&mut inverse, a) };
    inverse
}

impl Default for Miller {
    /// The empty product.
    fn default() -> Self {
        Self(blst_fp12::default())
    }
}

impl Mul for Miller {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self(mul(&self.0, &other.0))
    }
}

impl Miller {
    /// The loops of `pairs`, in parallel; pairs with an identity in them count as 1.
    pub fn loops<'a>(pairs: impl IndexedParallelIterator<Item = (&'a G1Affine, &'a G2Affine)>) -> Self {
        pairs
            .fold_chunks(SHARED, Group::default, |mut group, (p, q)| {
                group.push(p, q);
                group
            })
            .map(|group| group.run())
            .reduce(Self::default, Mul::mul)
    }

    /// The loops of some pairs, one after the other.
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a G1Affine, &'a G2Affine)>) -> Self {
        let mut product = Self::default();
        let mut group = Group::default();
        for (p, q) in pairs {
            group.push(p, q);
            if group.len == SHARED {
                product = product * group.run();
                group.len = 0;
            }
        }
        product * group.run()
    }

    /// The final exponentiation.
    pub fn finish(&self) -> Gt {
        let mut value = blst_fp12::default();
        // SAFETY: both pointers are to whole elements.
        unsafe { blst_final_exp(&mut value, &self.0) };
        Gt(value)
    }
}

/// Pairs of one loop.
struct Group {
    p: [blst_p1_affine; SHARED],
    q: [blst_p2_affine; SHARED],
    len: usize,
}

impl Default for Group {
    fn default() -> Self {
        Self { p: [blst_p1_affine::default(); SHARED], q: [blst_p2_affine::default(); SHARED], len: 0 }
    }
}

impl Group {
    /// Adds a pair, unless its pairing is 1 anyway. There must be room.
    fn push(&mut self, p: &G1Affine, q: &G2Affine) {
        if !bool::from(p.is_identity() | q.is_identity()) {
            (self.p[self.len], self.q[self.len]) = (*p.as_ref(), *q.as_ref());
            self.len += 1;
        }
    }

    fn run(&self) -> Miller {
        if self.len == 0 {
            return Miller::default();
        }
        let (p, q) = ([self.p.as_ptr(), std::ptr::null()], [self.q.as_ptr(), std::ptr::null()]);
        let mut product = blst_fp12::default();
        // SAFETY: blst takes a pointer to the first point, and for each further one, on finding a null pointer, the point
        // after it in memory; `len` points of each group are there, none of them an identity.
        unsafe { blst_miller_loop_n(&mut product, q.as_ptr(), p.as_ptr(), self.len) };
        Miller(product)
    }
}

impl Mul for Gt {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self(mul(&self.0, &other.0))
    }
}

impl Gt {
    /// 1.
    pub fn one() -> Self {
        Self(blst_fp12::default())
    }

    /// Whether it is 1.
    pub fn is_one(&self) -> bool {
        // SAFETY: the pointer is to a whole element.
        unsafe { blst_fp12_is_one(&self.0) }
    }

    /// The inverse, which is the conjugate.
    pub fn inverse(&self) -> Self {
        let mut inverse = self.0;
        // SAFETY: the pointer is to a whole element, changed in place.
        unsafe { blst_fp12_conjugate(&mut inverse) };
        Self(inverse)
    }

    fn square(&self) -> Self {
        let mut square = blst_fp12::default();
        // SAFETY: both pointers are to whole elements.
        unsafe { blst_fp12_sqr(&mut square, &self.0) };
        Self(square)
    }

    /// `self^exponent`.
    pub fn pow(&self, exponent: &Fr) -> Self {
        Self::product_of_powers(&[(*self, *exponent)])
    }

    /// `Π g^e` over pairs (g, e), in parallel.
    ///
    /// Squarings are shared by 32 pairs. Digits have signs, since inverses are free.
    pub fn product_of_powers(powers: &[(Self, Fr)]) -> Self {
        let windows = Windows::new(MIN_BITS);
        powers.par_chunks(SHARED_POWERS).map(|powers| Self::interleaved(&windows, powers)).reduce(Self::one, Mul::mul)
    }

    fn interleaved(windows: &Windows, powers: &[(Self, Fr)]) -> Self {
        let tables: Vec<(Vec<Self>, Recoded)> = powers
            .iter()
            .map(|(base, exponent)| {
                let table = std::iter::successors(Some(*base), |power| Some(*power * *base));
                (table.take(windows.magnitudes()).collect(), windows.recode(exponent))
            })
            .collect();
        let mut product = Self::one();
        for window in (0..windows.count()).rev() {
            if !product.is_one() {
                product = (0..windows.bits()).fold(product, |power, _| power.square());
            }
            for (table, exponent) in &tables {
                let digit = windows.digit(exponent, window);
                if let Some(power) = (digit.unsigned_abs() as usize).checked_sub(1).map(|index| table[index]) {
                    product = product * if digit < 0 { power.inverse() } else { power };
                }
            }
        }
        product
    }

    /// Twelve Fp of 48 bytes little-endian: c0 before c1 at every level of the tower.
    pub fn to_bytes(&self) -> [u8; GT_BYTES] {
        let mut bytes = [0; GT_BYTES];
        let components = self.0.fp6.iter().flat_map(|fp6| &fp6.fp2).flat_map(|fp2| &fp2.fp);
        for (bytes, component) in bytes.as_chunks_mut().0.iter_mut().zip(components) {
            *bytes = fp_to_bytes(component);
        }
        bytes
    }

    /// `(c0 + 1)/c1`, six Fp of 48 bytes little-endian; 1 has no such form.
    pub fn compress(&self) -> Option<[u8; COMPRESSED_GT_BYTES]> {
        let [mut c0, c1] = self.0.fp6;
        if c1 == blst_fp6::default() {
            return None;
        }
        c0.fp2[0].fp[0] = c0.fp2[0].fp[0].add(&blst_fp::ONE);
        let zero = blst_fp6::default();
        let quotient = mul(&blst_fp12 { fp6: [c0, zero] }, &invert(&blst_fp12 { fp6: [c1, zero] }));
        let mut bytes = [0; COMPRESSED_GT_BYTES];
        let components = quotient.fp6[0].fp2.iter().flat_map(|fp2| &fp2.fp);
        for (bytes, component) in bytes.as_chunks_mut().0.iter_mut().zip(components) {
            *bytes = fp_to_bytes(component);
        }
        Some(bytes)
    }

    /// Reads what [`Self::compress`] wrote; `None` for other bytes, an Fp not below p, or an element of another order.
    pub fn decompress(bytes: &[u8; COMPRESSED_GT_BYTES]) -> Option<Self> {
        let mut b = blst_fp6::default();
        let components = b.fp2.iter_mut().flat_map(|fp2| &mut fp2.fp);
        for (bytes, component) in bytes.as_chunks().0.iter().zip(components) {
            *component = fp_from_bytes(bytes)?;
        }
        let constant = |value: blst_fp| {
            let mut one = blst_fp6::default();
            one.fp2[0] = blst_fp2 { fp: [value, blst_fp::default()] };
            one
        };
        let numerator = blst_fp12 { fp6: [b, constant(blst_fp::ONE)] };
        let denominator = blst_fp12 { fp6: [b, constant(blst_fp::ONE.negate())] };
        // b − w is not 0, whatever b.
        let element = mul(&numerator, &invert(&denominator));
        // SAFETY: the pointer is to a whole element.
        unsafe { blst_fp12_in_group(&element) }.then_some(Self(element))
    }
}

fn fp_to_bytes(value: &blst_fp) -> [u8; FP_BYTES] {
    let mut bytes = [0; FP_BYTES];
    // SAFETY: blst reads one element and writes 48 bytes.
    unsafe { blst_lendian_from_fp(bytes.as_mut_ptr(), value) };
    bytes
}

/// `None` unless the integer is below p.
fn fp_from_bytes(bytes: &[u8; FP_BYTES]) -> Option<blst_fp> {
    let mut value = blst_fp::default();
    // SAFETY: blst reads 48 bytes and writes one element.
    unsafe { blst_fp_from_lendian(&mut value, bytes.as_ptr()) };
    // Integers of p or more are reduced, and come back as others.
    (fp_to_bytes(&value) == *bytes).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::curve::tests::rng;
    use blstrs::Compress;
    use ff::Field;
    use group::{Curve, Group as _};
    use proptest::prelude::*;

    fn pairs(len: u64) -> Vec<(G1Affine, G2Affine)> {
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        (0..len).map(|i| ((g1 * Fr::from(i * i)).to_affine(), (g2 * Fr::from(i + 3)).to_affine())).collect()
    }

    fn references(pairs: &[(G1Affine, G2Affine)]) -> impl IndexedParallelIterator<Item = (&G1Affine, &G2Affine)> {
        pairs.par_iter().map(|(p, q)| (p, q))
    }

    fn compressed(value: &blstrs::Gt) -> Vec<u8> {
        let mut bytes = Vec::new();
        value.write_compressed(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn products_of_loops_equal_single_pairings() {
        for len in [1, 2, 15, 16, 17, 33] {
            let pairs = pairs(len);
            let expected: blstrs::Gt = pairs.iter().map(|(p, q)| blstrs::pairing(p, q)).sum();
            let product = Miller::loops(references(&pairs)).finish();
            assert_eq!(product, Miller::of(pairs.iter().map(|(p, q)| (p, q))).finish());
            match product.compress() {
                Some(bytes) => assert_eq!(bytes[..], compressed(&expected), "{len} pairs"),
                None => assert!(bool::from(expected.is_identity()) && product.is_one(), "{len} pairs"),
            }
        }
        assert!(Miller::loops(references(&[])).finish().is_one());
    }

    #[test]
    fn powers_equal_repeated_products() {
        let base = Miller::of([(&G1Affine::generator(), &G2Affine::generator())]).finish();
        let mut rng = rng(7);
        let mut exponents = vec![Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::from(2)];
        exponents.extend((0..40).map(|_| Fr::random(&mut rng)));
        let of = |exponent: &Fr| {
            let p = (G1Affine::generator() * exponent).to_affine();
            Miller::of([(&p, &G2Affine::generator())]).finish()
        };
        for exponent in &exponents {
            assert_eq!(base.pow(exponent), of(exponent));
        }
        let powers: Vec<_> = exponents.iter().map(|exponent| (base.pow(&Fr::from(3)), *exponent)).collect();
        assert_eq!(Gt::product_of_powers(&powers), of(&(exponents.iter().sum::<Fr>() * Fr::from(3))));
        assert!((base * base.inverse()).is_one());
        assert!(Gt::product_of_powers(&[]).is_one());
    }

    #[test]
    fn compressed_elements_come_back() {
        for (p, q) in &pairs(5)[1..] {
            let value = Miller::of([(p, q)]).finish();
            let bytes = value.compress().unwrap();
            assert_eq!(bytes[..], compressed(&blstrs::pairing(p, q)));
            assert_eq!(Gt::decompress(&bytes), Some(value));
            let mut other = bytes;
            other[0] ^= 1;
            assert_eq!(Gt::decompress(&other), None, "not of order r");
            other[47] = 0xff;
            assert_eq!(Gt::decompress(&other), None, "not below p");
        }
        assert_eq!(Gt::one().compress(), None);
        assert_eq!(Gt::decompress(&[0; COMPRESSED_GT_BYTES]), None, "−1 is of order 2");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), COMPRESSED_GT_BYTES)) {
            let _ = Gt::decompress(bytes.as_slice().try_into().unwrap());
        }
    }
}
