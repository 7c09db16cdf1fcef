//! Scalars as signed digits: `s = Σ_w d_w · 2^(c·w)` with `−2^(c−1) ≤ d_w < 2^(c−1)`.
//!
//! Signed digits halve the buckets of a multi-scalar multiplication and the tables of a fixed base. A scalar above
//! `(r − 1)/2 < 0.453 · 2²⁵⁵` is first replaced by its negative. Then n = ⌈255 / c⌉ digits suffice: the greatest sum of
//! n of them is `2^(c·n) · (2^(c−1) − 1) / (2^c − 1)`, which is over `0.46 · 2²⁵⁵` from c = 4 on.
//! Adding `Σ_w 2^(c·w + c − 1)` once turns signed digits into plain ones, each readable without its neighbours.
//!
//! Source: D. Bernstein et al., "Faster batch forgery identification" (2012), section 4, for signed digits in Pippenger's
//! method.

use ff::PrimeField;

use crate::field::Fr;

/// Limbs of r, least significant first.
const MODULUS: [u64; 4] = [0xffffffff00000001, 0x53bda402fffe5bfe, 0x3339d80809a1d805, 0x73eda753299d7d48];
/// Limbs of (r − 1) / 2.
const HALF: [u64; 4] = [0x7fffffff80000000, 0xa9ded2017fff2dff, 0x199cec0404d0ec02, 0x39f6d3a994cebea4];
const LIMBS: usize = 5;
const SIGN: u64 = 1 << 63;

/// The smallest number of bits of a digit.
pub const MIN_BITS: u32 = 4;
/// The largest number of bits of a digit.
pub const MAX_BITS: u32 = 24;

/// A recoded scalar: the sum of its plain digits, and its sign in the top bit.
#[derive(Clone, Copy, Debug)]
pub struct Recoded([u64; LIMBS]);

/// How scalars are cut into digits.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    bits: u32,
    offset: [u64; LIMBS],
}

impl Windows {
    /// Digits of `bits` bits, from [`MIN_BITS`] to [`MAX_BITS`].
    pub fn new(bits: u32) -> Self {
        debug_assert!((MIN_BITS..=MAX_BITS).contains(&bits));
        let mut windows = Self { bits, offset: [0; LIMBS] };
        for window in 0..windows.count() as u32 {
            let position = bits * window + bits - 1;
            windows.offset[position as usize / 64] |= 1 << (position % 64);
        }
        windows
    }

    /// Bits of a digit.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Digits of a scalar.
    pub fn count(&self) -> usize {
        255_u32.div_ceil(self.bits) as usize
    }

    /// The largest magnitude of a digit, `2^(bits − 1)`.
    pub fn magnitudes(&self) -> usize {
        1 << (self.bits - 1)
    }

    /// Prepares a scalar for [`Self::digit`].
    pub fn recode(&self, scalar: &Fr) -> Recoded {
        let mut value = limbs(scalar);
        let negative = value.iter().rev().gt(HALF.iter().rev());
        if negative {
            let mut borrow = false;
            for (limb, modulus) in value.iter_mut().zip(MODULUS) {
                let (difference, first) = modulus.overflowing_sub(*limb);
                let (difference, second) = difference.overflowing_sub(u64::from(borrow));
                *limb = difference;
                borrow = first || second;
            }
        }
        let mut sum = [0; LIMBS];
        let mut carry = false;
        for (index, limb) in sum.iter_mut().enumerate() {
            let (partial, first) = value.get(index).unwrap_or(&0).overflowing_add(self.offset[index]);
            let (total, second) = partial.overflowing_add(u64::from(carry));
            *limb = total;
            carry = first || second;
        }
        if negative {
            sum[LIMBS - 1] |= SIGN;
        }
        Recoded(sum)
    }

    /// Digit number `window`, between `−magnitudes()` and `magnitudes()`.
    pub fn digit(&self, Recoded(sum): &Recoded, window: usize) -> i32 {
        let position = window * self.bits as usize;
        let (limb, shift) = (position / 64, position % 64);
        let mut bits = sum[limb] >> shift;
        if shift + self.bits as usize > 64 {
            bits |= sum[limb + 1] << (64 - shift);
        }
        let digit = (bits & ((1 << self.bits) - 1)) as i32 - (1 << (self.bits - 1));
        if sum[LIMBS - 1] & SIGN == 0 { digit } else { -digit }
    }
}

/// The canonical integer, least significant limb first.
fn limbs(scalar: &Fr) -> [u64; 4] {
    let bytes = scalar.to_repr();
    let mut limbs = [0; 4];
    for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
        *limb = u64::from_le_bytes(chunk.try_into().expect("chunks of 8 bytes"));
    }
    limbs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::curve::tests::rng;
    use ff::Field;

    #[test]
    fn digits_sum_to_the_scalar() {
        let mut rng = rng(1);
        let half = Fr::from(2).invert().unwrap();
        let mut scalars = vec![Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::from(2), half, -half, half + Fr::ONE, half - Fr::ONE];
        scalars.extend((0..50).map(|_| Fr::random(&mut rng)));
        for bits in MIN_BITS..=MAX_BITS {
            let windows = Windows::new(bits);
            for scalar in &scalars {
                let recoded = windows.recode(scalar);
                let mut sum = Fr::ZERO;
                for window in (0..windows.count()).rev() {
                    sum *= Fr::from(1 << bits);
                    let digit = windows.digit(&recoded, window);
                    assert!(digit.unsigned_abs() as usize <= windows.magnitudes());
                    let magnitude = Fr::from(u64::from(digit.unsigned_abs()));
                    sum += if digit < 0 { -magnitude } else { magnitude };
                }
                assert_eq!(sum, *scalar, "{bits} bits");
            }
        }
    }

    #[test]
    fn half_is_half_of_the_modulus() {
        assert_eq!(limbs(&-Fr::ONE), [MODULUS[0] - 1, MODULUS[1], MODULUS[2], MODULUS[3]]);
        assert_eq!(limbs(&(-Fr::ONE * Fr::from(2).invert().unwrap())), HALF);
    }
}
