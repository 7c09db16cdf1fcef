//! Eight elements of Fp or Fp2 at a time, with AVX-512 IFMA.
//!
//! An element of Fp is eight limbs of 52 bits, for which the instructions `vpmadd52{l,h}uq` multiply and add; limb i of
//! eight elements lies in one register. Values are in Montgomery form with T = 2⁴¹⁶. Since p has 381 bits, 35 bits are to
//! spare, and values are reduced loosely: each function says by which multiple of p its result is bounded.
//!
//! - A product of values below 2¹⁶·p is `(a·b + m·p) / T < p · (1 + 2⁻³)`, with m < T: no comparison is needed, and for
//!   operands below 8·p the excess is less than 2⁻²⁸·p ("nearly reduced").
//! - Limbs are signed 64-bit numbers between carries. A column of the longest sum has 64 products below 2⁵², so it stays
//!   below 2⁵⁸.
//! - [`settle`] subtracts an estimate of ⌊v/p⌋ that is never too large and makes a value nearly reduced.
//!
//! An element of Fp2 = Fp[u]/(u² + 1) is a pair; N = 1 or 2 says which field. All functions are safe to call where the
//! features are enabled; only moves between memory and registers go through pointers.
//!
//! Source: S. Gueron, V. Krasnov, "Software implementation of modular exponentiation, using advanced vector instructions
//! architectures" (2012), for limbs of the multiplier's width.

use std::arch::x86_64::*;

/// Elements in one register.
pub const LANES: usize = 8;
/// Limbs of an element.
pub const LIMBS: usize = 8;
/// Bits of a limb.
pub const LIMB_BITS: u32 = 52;
const MASK: u64 = (1 << LIMB_BITS) - 1;

/// An element of Fp as it lies in memory.
pub type Limbs = [u64; LIMBS];
/// Eight elements of Fp.
pub type Fp8 = [__m512i; LIMBS];
/// Eight elements of Fp (N = 1) or Fp2 (N = 2).
pub type Element<const N: usize> = [Fp8; N];

/// p.
pub const P: Limbs = [
    0xeffffffffaaab,
    0xfeb153ffffb9f,
    0x6b0f6241eabff,
    0x12bf6730d2a0f,
    0x764774b84f385,
    0x1ba7b6434bacd,
    0x1ea397fe69a4b,
    0x1a011,
];
/// −1/p mod 2⁵².
const FACTOR: u64 = 0x3fffcfffcfffd;
/// T mod p, the form of 1.
pub const ONE: Limbs = [
    0x6480ea8e9b9af,
    0x65766c8fe444f,
    0x8b540fea96f7d,
    0x3b2ee82efd422,
    0xa6723e5f0ade5,
    0xff6eb6fdd4230,
    0xe06ef23c24a25,
    0x14c8e,
];
/// T² mod p, which takes an integer to its Montgomery form.
pub const T_SQUARED: Limbs = [
    0xa5bf4cb89af51,
    0x3afbba7ca31a2,
    0x2646160ec71f1,
    0xa84d710465903,
    0x3480a4a188311,
    0x98e5907ad91f5,
    0x2075d74507266,
    0x8746,
];
/// ⌊2⁵² / (top limb of p + 1)⌋.
const ESTIMATE: u64 = 0x9d8307de6;

/// `k · p`, with k at most 2¹⁶, in limbs.
const fn multiple(k: u64) -> Limbs {
    let mut limbs = [0; LIMBS];
    let mut carry = 0_u128;
    let mut index = 0;
    while index < LIMBS {
        let sum = P[index] as u128 * k as u128 + carry;
        limbs[index] = (sum & MASK as u128) as u64;
        carry = sum >> LIMB_BITS;
        index += 1;
    }
    limbs
}

/// `2⁴¹⁶ − p` in limbs.
const fn complement() -> Limbs {
    let mut limbs = [0; LIMBS];
    let mut carry = 1;
    let mut index = 0;
    while index < LIMBS {
        let sum = (MASK ^ P[index]) + carry;
        limbs[index] = sum & MASK;
        carry = sum >> LIMB_BITS;
        index += 1;
    }
    limbs
}

const COMPLEMENT: Limbs = complement();
/// 2·p.
pub const TWO_P: Limbs = multiple(2);
/// 3·p.
pub const THREE_P: Limbs = multiple(3);
/// 4·p.
pub const FOUR_P: Limbs = multiple(4);
const EIGHT_P: Limbs = multiple(8);

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn broadcast(value: u64) -> __m512i {
    _mm512_set1_epi64(value as i64)
}

/// The same element in all lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn constant(limbs: &Limbs) -> Fp8 {
    let mut result = [_mm512_setzero_si512(); LIMBS];
    for (result, limb) in result.iter_mut().zip(limbs) {
        *result = broadcast(*limb);
    }
    result
}

/// 1 in all lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn one<const N: usize>() -> Element<N> {
    let mut result = [[_mm512_setzero_si512(); LIMBS]; N];
    result[0] = constant(&ONE);
    result
}

/// Eight rows of eight numbers to columns; its own inverse.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn transpose(r: Fp8) -> Fp8 {
    let pair = |a, b| (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    let (t0, t1) = pair(r[0], r[1]);
    let (t2, t3) = pair(r[2], r[3]);
    let (t4, t5) = pair(r[4], r[5]);
    let (t6, t7) = pair(r[6], r[7]);
    let half = |a, b| (_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0xdd>(a, b));
    let (a0, a2) = half(t0, t2);
    let (b0, b2) = half(t4, t6);
    let (a1, a3) = half(t1, t3);
    let (b1, b3) = half(t5, t7);
    let (c0, c4) = half(a0, b0);
    let (c1, c5) = half(a1, b1);
    let (c2, c6) = half(a2, b2);
    let (c3, c7) = half(a3, b3);
    [c0, c1, c2, c3, c4, c5, c6, c7]
}

/// Gathers eight elements.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
#[allow(unsafe_code, reason = "loads take pointers")]
pub fn load<const N: usize>(elements: [&[Limbs; N]; LANES]) -> Element<N> {
    let mut result = [[_mm512_setzero_si512(); LIMBS]; N];
    for (component, result) in result.iter_mut().enumerate() {
        for (row, element) in result.iter_mut().zip(elements) {
            // SAFETY: the pointer is to 64 bytes of limbs, and the load asks for no alignment.
            *row = unsafe { _mm512_loadu_si512(element[component].as_ptr().cast()) };
        }
        *result = transpose(*result);
    }
    result
}

/// Eight elements of Fp, one in each register as it lies in memory.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn rows(element: &Fp8) -> Fp8 {
    transpose(*element)
}

/// Writes one of [`rows`].
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
#[allow(unsafe_code, reason = "stores take pointers")]
pub fn store(row: __m512i, limbs: &mut Limbs) {
    // SAFETY: the pointer is to 64 bytes of limbs, and the store asks for no alignment.
    unsafe { _mm512_storeu_si512(limbs.as_mut_ptr().cast(), row) };
}

/// Carries signed limbs upwards; what leaves the last limb is dropped.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn carry(mut t: Fp8) -> Fp8 {
    let mask = broadcast(MASK);
    for index in 0..LIMBS - 1 {
        t[index + 1] = _mm512_add_epi64(t[index + 1], _mm512_srai_epi64::<LIMB_BITS>(t[index]));
        t[index] = _mm512_and_si512(t[index], mask);
    }
    t[LIMBS - 1] = _mm512_and_si512(t[LIMBS - 1], mask);
    t
}

/// Limb by limb `a + b`, without carries.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn plus(a: &Fp8, b: &Fp8) -> Fp8 {
    let mut result = *a;
    for (result, b) in result.iter_mut().zip(b) {
        *result = _mm512_add_epi64(*result, *b);
    }
    result
}

/// Limb by limb `a − b`, without carries.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn minus(a: &Fp8, b: &Fp8) -> Fp8 {
    let mut result = *a;
    for (result, b) in result.iter_mut().zip(b) {
        *result = _mm512_sub_epi64(*result, *b);
    }
    result
}

/// `a + b`; bounds add.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn add<const N: usize>(a: &Element<N>, b: &Element<N>) -> Element<N> {
    let mut result = *a;
    for (result, b) in result.iter_mut().zip(b) {
        *result = carry(plus(result, b));
    }
    result
}

/// `a − b + 2p` for b nearly reduced; below the bound of a plus 2p.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn sub<const N: usize>(a: &Element<N>, b: &Element<N>) -> Element<N> {
    let two_p = constant(&TWO_P);
    let mut result = *a;
    for (result, b) in result.iter_mut().zip(b) {
        *result = carry(minus(&plus(result, &two_p), b));
    }
    result
}

/// `±a − b + 4p` for a and b nearly reduced, minus where `negative`; below 6p.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn signed_sub<const N: usize>(a: &Element<N>, negative: __mmask8, b: &Element<N>) -> Element<N> {
    let four_p = constant(&FOUR_P);
    let mut result = *a;
    for (a, b) in result.iter_mut().zip(b) {
        let rest = minus(&four_p, b);
        for (a, rest) in a.iter_mut().zip(rest) {
            let sum = _mm512_add_epi64(rest, *a);
            *a = _mm512_mask_sub_epi64(sum, negative, rest, *a);
        }
        *a = carry(*a);
    }
    result
}

/// Makes a value between p and 2¹³·p, in signed limbs, nearly reduced: below `p · (1 + 2⁻¹²)`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn settle(mut t: Fp8) -> Fp8 {
    // With the carry of the limb below, the top limb is exact but for the carries further down, which are at most 1.
    let top = _mm512_add_epi64(t[LIMBS - 1], _mm512_srai_epi64::<LIMB_BITS>(t[LIMBS - 2]));
    let top = _mm512_sub_epi64(top, broadcast(1));
    let quotient = _mm512_madd52hi_epu64(_mm512_setzero_si512(), top, broadcast(ESTIMATE));
    // Adding `quotient · (2⁴¹⁶ − p)` and dropping what is above 2⁴¹⁶ subtracts `quotient · p`.
    for index in 0..LIMBS {
        let factor = broadcast(COMPLEMENT[index]);
        t[index] = _mm512_madd52lo_epu64(t[index], quotient, factor);
        if index + 1 < LIMBS {
            t[index + 1] = _mm512_madd52hi_epu64(t[index + 1], quotient, factor);
        }
    }
    carry(t)
}

/// `−a` for a nearly reduced, nearly reduced.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn negate<const N: usize>(a: &Element<N>) -> Element<N> {
    let four_p = constant(&FOUR_P);
    let mut result = *a;
    for result in &mut result {
        *result = settle(minus(&four_p, result));
    }
    result
}

/// `a + 4p − b − c` for nearly reduced values, nearly reduced.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn sub_two<const N: usize>(a: &Element<N>, b: &Element<N>, c: &Element<N>) -> Element<N> {
    let four_p = constant(&FOUR_P);
    let mut result = *a;
    for ((result, b), c) in result.iter_mut().zip(b).zip(c) {
        *result = settle(minus(&minus(&plus(result, &four_p), b), c));
    }
    result
}

/// `a + 4p − b` for nearly reduced values, nearly reduced.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn sub_settled<const N: usize>(a: &Element<N>, b: &Element<N>) -> Element<N> {
    let four_p = constant(&FOUR_P);
    let mut result = *a;
    for (result, b) in result.iter_mut().zip(b) {
        *result = settle(minus(&plus(result, &four_p), b));
    }
    result
}

/// The columns of a product.
type Columns = [__m512i; 2 * LIMBS];

/// Adds `a · b`. Both have carried limbs.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn product(t: &mut Columns, a: &Fp8, b: &Fp8) {
    macro_rules! row {
        ($($i:literal)*) => { $( row!(@ $i; 0 1 2 3 4 5 6 7); )* };
        (@ $i:literal; $($j:literal)*) => { $(
            t[$i + $j] = _mm512_madd52lo_epu64(t[$i + $j], a[$j], b[$i]);
            t[$i + $j + 1] = _mm512_madd52hi_epu64(t[$i + $j + 1], a[$j], b[$i]);
        )* };
    }
    row!(0 1 2 3 4 5 6 7);
}

/// Divides by T modulo p: adds a multiple of p that makes the low half vanish.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn reduce(mut t: Columns) -> Fp8 {
    let factor = broadcast(FACTOR);
    let zero = _mm512_setzero_si512();
    macro_rules! step {
        ($($i:literal)*) => { $( step!(@ $i; 0 1 2 3 4 5 6 7); )* };
        (@ $i:literal; $($j:literal)*) => {
            let m = _mm512_madd52lo_epu64(zero, t[$i], factor);
            $(
                t[$i + $j] = _mm512_madd52lo_epu64(t[$i + $j], m, broadcast(P[$j]));
                t[$i + $j + 1] = _mm512_madd52hi_epu64(t[$i + $j + 1], m, broadcast(P[$j]));
            )*
            t[$i + 1] = _mm512_add_epi64(t[$i + 1], _mm512_srli_epi64::<LIMB_BITS>(t[$i]));
        };
    }
    step!(0 1 2 3 4 5 6 7);
    carry([t[8], t[9], t[10], t[11], t[12], t[13], t[14], t[15]])
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn product_of(a: &Fp8, b: &Fp8) -> Fp8 {
    let mut t = [_mm512_setzero_si512(); 2 * LIMBS];
    product(&mut t, a, b);
    reduce(t)
}

/// `a · b + c · d`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn sum_of_products(a: &Fp8, b: &Fp8, c: &Fp8, d: &Fp8) -> Fp8 {
    let mut t = [_mm512_setzero_si512(); 2 * LIMBS];
    product(&mut t, a, b);
    product(&mut t, c, d);
    reduce(t)
}

/// `a · b` for values below 8p, nearly reduced.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn mul<const N: usize>(a: &Element<N>, b: &Element<N>) -> Element<N> {
    let mut result = *a;
    if N == 1 {
        result[0] = product_of(&a[0], &b[0]);
    } else {
        let minus_a1 = carry(minus(&constant(&EIGHT_P), &a[N - 1]));
        result[0] = sum_of_products(&a[0], &b[0], &minus_a1, &b[N - 1]);
        result[N - 1] = sum_of_products(&a[0], &b[N - 1], &a[N - 1], &b[0]);
    }
    result
}

/// `a²` for a below 8p, nearly reduced.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn square<const N: usize>(a: &Element<N>) -> Element<N> {
    let mut result = *a;
    if N == 1 {
        result[0] = product_of(&a[0], &a[0]);
    } else {
        let sum = carry(plus(&a[0], &a[N - 1]));
        let difference = carry(minus(&plus(&a[0], &constant(&EIGHT_P)), &a[N - 1]));
        let twice = carry(plus(&a[0], &a[0]));
        result[0] = product_of(&sum, &difference);
        result[N - 1] = product_of(&twice, &a[N - 1]);
    }
    result
}

/// Lanes whose limbs are all 0.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn is_zero<const N: usize>(a: &Element<N>) -> __mmask8 {
    let mut any = _mm512_setzero_si512();
    for limb in a.iter().flatten() {
        any = _mm512_or_si512(any, *limb);
    }
    _mm512_cmpeq_epi64_mask(any, _mm512_setzero_si512())
}

/// Lanes in which `difference`, carried and between p and 3p (exclusively but for the middle), may be 0 modulo p. Looks at
/// the lowest limb only.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn may_vanish<const N: usize>(difference: &Element<N>) -> __mmask8 {
    let mut lanes = 0xff;
    for component in difference {
        let is = |multiple: &Limbs| _mm512_cmpeq_epi64_mask(component[0], broadcast(multiple[0]));
        lanes &= is(&P) | is(&TWO_P) | is(&THREE_P);
    }
    lanes
}

/// Lanes in which a carried value below 8p is 0 modulo p.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn vanishes<const N: usize>(value: &Element<N>) -> __mmask8 {
    let mut lanes = 0xff;
    for component in value {
        let mut equal = 0;
        for k in 0..8 {
            let multiple = constant(&multiple(k));
            let mut differing = _mm512_setzero_si512();
            for (limb, multiple) in component.iter().zip(&multiple) {
                differing = _mm512_or_si512(differing, _mm512_xor_si512(*limb, *multiple));
            }
            equal |= _mm512_cmpeq_epi64_mask(differing, _mm512_setzero_si512());
        }
        lanes &= equal;
    }
    lanes
}

/// `b` where `lanes` is set, `a` elsewhere.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn blend<const N: usize>(lanes: __mmask8, a: &Element<N>, b: &Element<N>) -> Element<N> {
    let mut result = *a;
    for (result, b) in result.iter_mut().flatten().zip(b.iter().flatten()) {
        *result = _mm512_mask_blend_epi64(lanes, *result, *b);
    }
    result
}

/// The canonical form of a nearly reduced value.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn canonical(a: &Fp8) -> Fp8 {
    let reduced = minus(a, &constant(&P));
    // The sign of a − p after carrying all but the last limb.
    let mut borrow = _mm512_setzero_si512();
    for limb in &reduced {
        borrow = _mm512_srai_epi64::<LIMB_BITS>(_mm512_add_epi64(*limb, borrow));
    }
    let below = _mm512_cmplt_epi64_mask(borrow, _mm512_setzero_si512());
    let mut result = carry(reduced);
    for (result, a) in result.iter_mut().zip(a) {
        *result = _mm512_mask_blend_epi64(below, *result, *a);
    }
    result
}

/// Lanes whose carried value is below p.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn below_modulus(a: &Fp8) -> __mmask8 {
    let mut borrow = _mm512_setzero_si512();
    for (limb, p) in a.iter().zip(P) {
        let difference = _mm512_sub_epi64(*limb, broadcast(p));
        borrow = _mm512_srai_epi64::<LIMB_BITS>(_mm512_add_epi64(difference, borrow));
    }
    _mm512_cmplt_epi64_mask(borrow, _mm512_setzero_si512())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `limbs + k · p`, carried.
    fn shifted(limbs: &Limbs, k: u64) -> Limbs {
        let mut result = [0; LIMBS];
        let mut carry = 0;
        for ((result, a), b) in result.iter_mut().zip(limbs).zip(multiple(k)) {
            let sum = a + b + carry;
            *result = sum & MASK;
            carry = sum >> LIMB_BITS;
        }
        result
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn elements(limbs: [&Limbs; 2], k: u64) -> Element<2> {
        limbs.map(|limbs| constant(&shifted(limbs, k)))
    }

    /// Lanes in which two carried values below 8p are equal modulo p.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn equal(a: &Element<2>, b: &Element<2>) -> bool {
        (0..2).all(|component| vanishes(&sub(&[a[component]], &[b[component]])) == 0xff)
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn multiples_of_p_change_nothing() {
        // 0, 1, p − 1 and two numbers with large limbs.
        let zero = [0; LIMBS];
        let mut last = P;
        last[0] -= 1;
        let mut large = [MASK; LIMBS];
        large[LIMBS - 1] = P[LIMBS - 1] - 1;
        let samples = [zero, ONE, last, large, T_SQUARED];
        for (a0, a1) in samples.iter().zip(samples.iter().rev()) {
            for b0 in &samples {
                let (a, b) = (elements([a0, a1], 0), elements([b0, a0], 0));
                let product = mul(&a, &b);
                for k in [1, 3, 6] {
                    let (a_up, b_up) = (elements([a0, a1], k), elements([b0, a0], k));
                    assert!(equal(&mul(&a_up, &b_up), &product));
                    assert!(equal(&mul(&a_up, &b), &mul(&b, &a_up)));
                    assert!(equal(&square(&a_up), &mul(&a, &a)));
                }
                // (a − b) + b and −(−a) are a; all results are nearly reduced.
                let difference = sub_settled(&a, &b);
                assert!(equal(&sub_settled(&difference, &negate(&b)), &a));
                assert!(equal(&sub_two(&a, &b, &negate(&b)), &a));
                assert!(equal(&signed_sub(&a, 0xff, &b), &sub(&negate(&a), &b)));
                for value in [difference, negate(&a), product, sub_two(&a, &b, &b)] {
                    for component in value {
                        assert_eq!(below_modulus(&sub(&[component], &[constant(&P)])[0]), 0, "a − p + 2p is above p");
                        let reduced = canonical(&component);
                        assert_eq!(below_modulus(&reduced), 0xff);
                        assert_eq!(vanishes(&sub(&[component], &[reduced])), 0xff);
                        // Below p + p/2¹²: its top limb is at most that of p and 1/2¹² more.
                        let bound = broadcast(P[LIMBS - 1] + (P[LIMBS - 1] >> 12) + 1);
                        assert_eq!(_mm512_cmple_epu64_mask(component[LIMBS - 1], bound), 0xff);
                    }
                }
            }
        }
    }

    #[test]
    #[allow(unsafe_code, reason = "a call of a function with target features, after detection")]
    fn lazy_reduction_keeps_values_and_bounds() {
        if super::super::curve_ifma::available() {
            // SAFETY: `available` has just reported the features.
            unsafe { multiples_of_p_change_nothing() };
        }
    }
}
