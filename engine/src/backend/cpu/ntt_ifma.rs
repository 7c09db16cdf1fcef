//! Butterflies over eight vectors at a time, with AVX-512 IFMA: the fast twins of those in [`super::ntt`].
//!
//! An element of Fr is five limbs of 52 bits; factors are in Montgomery form with T = 2²⁶⁰. Data stay in the form of the
//! curve crate, x·2²⁵⁶: a product with a factor keeps the form, and nothing else is done to data but adding.
//!
//! T is 35.3·r. Values are kept below 35·r and reduced as seldom as that allows:
//! - a product of a value below B·r and a factor below r is below `(1 + B/35) · r`, so below 2·r always;
//! - decimation in time only ever multiplies the operand that it then adds or subtracts, so a level adds at most 2·r to
//!   the bound: after L levels 1 + 2·L, and L ≤ 16 for all domains;
//! - decimation in frequency doubles the bound in each level, so every fourth level [`settle`]s the sums.
//!
//! Limbs are signed between carries; before a multiplication they are carried.

use std::arch::x86_64::*;

use blst::blst_fr;

use super::lanes::LIMB_BITS;
use super::ntt::{Decimation, Factors, Lane};
use crate::field::Fr;

const LIMBS: usize = 5;
const MASK: u64 = (1 << LIMB_BITS) - 1;
/// r.
const MODULUS: [u64; LIMBS] = [0xfffff00000001, 0x2fffe5bfefff, 0x9a1d80553bda4, 0x7d483339d8080, 0x73eda753299d];
/// −1/r mod 2⁵².
const FACTOR: u64 = 0xffffeffffffff;
/// ⌊2⁵⁷ / (top limb of r + 1)⌋.
const ESTIMATE: u64 = 1130;
/// Values that are transformed level by level; longer lists are cut in halves first, so that these stay in a core's
/// first cache.
const LEVEL_BY_LEVEL: usize = 64;

/// Eight elements.
pub(super) type Wide = [__m512i; LIMBS];

/// Factors of butterflies as in [`super::ntt`], in Montgomery form. Exists only where the instructions are available.
#[derive(Debug)]
pub(super) struct Table {
    factors: Vec<[u64; LIMBS]>,
    /// Whether the blocks of two values have the factor 1.
    unit: bool,
}

impl Table {
    /// Converts a table, where the instructions are available.
    pub(super) fn new(factors: &[Fr]) -> Option<Self> {
        if !super::curve_ifma::available() {
            return None;
        }
        let unit = factors.get(1).is_none_or(|factor| *factor == Fr::from(1));
        Some(Self { factors: factors.iter().map(montgomery).collect(), unit })
    }

    /// Transforms eight interleaved vectors, with `work` as a buffer.
    #[allow(unsafe_code, reason = "calls of functions with target features, after detection")]
    pub(super) fn transform(
        &self,
        decimation: Decimation,
        vectors: &mut [Lane],
        work: &mut Vec<Wide>,
        factors: Option<&Factors>,
    ) {
        // SAFETY: `new` makes tables only where the features are available.
        unsafe { transform(self, decimation, vectors, work, factors) };
    }
}

/// `x · 2²⁶⁰` in limbs: the curve crate's form is x · 2²⁵⁶.
fn montgomery(value: &Fr) -> [u64; LIMBS] {
    let [a, b, c, d] = blst_fr::from(*value * Fr::from(16)).l;
    [a & MASK, (a >> 52 | b << 12) & MASK, (b >> 40 | c << 24) & MASK, (c >> 28 | d << 36) & MASK, d >> 16]
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn transform(
    table: &Table,
    decimation: Decimation,
    vectors: &mut [Lane],
    work: &mut Vec<Wide>,
    factors: Option<&Factors>,
) {
    work.clear();
    for lane in vectors.iter() {
        work.push(load(lane));
    }
    if decimation == Decimation::Time {
        decimate_in_time(work, table);
    }
    if let Some(factors) = factors {
        apply(work, factors);
    }
    if decimation == Decimation::Frequency {
        decimate_in_frequency(work, table, 0);
    }
    for (lane, wide) in vectors.iter_mut().zip(work) {
        store(wide, lane);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn broadcast(value: u64) -> __m512i {
    _mm512_set1_epi64(value as i64)
}

/// The same number in all lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn constant(limbs: &[u64; LIMBS]) -> Wide {
    [broadcast(limbs[0]), broadcast(limbs[1]), broadcast(limbs[2]), broadcast(limbs[3]), broadcast(limbs[4])]
}

/// Eight elements from memory, in an order that [`store`] undoes.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
#[allow(unsafe_code, reason = "loads take pointers")]
fn load(lane: &Lane) -> Wide {
    const { assert!(size_of::<Lane>() == 256 && size_of::<Fr>() == size_of::<blst_fr>()) };
    let start = lane.as_ptr().cast::<__m512i>();
    // SAFETY: a lane is 256 bytes of `Fr`, which is a transparent wrapper of `blst_fr` and so of four 64-bit limbs; the
    // loads ask for no alignment.
    let [a, b, c, d] = unsafe {
        [
            _mm512_loadu_si512(start),
            _mm512_loadu_si512(start.add(1)),
            _mm512_loadu_si512(start.add(2)),
            _mm512_loadu_si512(start.add(3)),
        ]
    };
    // Words 0 and 2 of elements 0 to 3, words 1 and 3, and the same of elements 4 to 7.
    let (even, odd) = (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    let (even_high, odd_high) = (_mm512_unpacklo_epi64(c, d), _mm512_unpackhi_epi64(c, d));
    let w0 = _mm512_shuffle_i64x2::<0x88>(even, even_high);
    let w1 = _mm512_shuffle_i64x2::<0x88>(odd, odd_high);
    let w2 = _mm512_shuffle_i64x2::<0xdd>(even, even_high);
    let w3 = _mm512_shuffle_i64x2::<0xdd>(odd, odd_high);
    let mask = broadcast(MASK);
    [
        _mm512_and_si512(w0, mask),
        _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<52>(w0), _mm512_slli_epi64::<12>(w1)), mask),
        _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<40>(w1), _mm512_slli_epi64::<24>(w2)), mask),
        _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<28>(w2), _mm512_slli_epi64::<36>(w3)), mask),
        _mm512_srli_epi64::<16>(w3),
    ]
}

/// Puts the canonical forms of eight values below 35·r into memory.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
#[allow(unsafe_code, reason = "stores take pointers")]
fn store(wide: &Wide, lane: &mut Lane) {
    let [a, b, c, d, e] = canonical(settle(wide));
    let w0 = _mm512_or_si512(a, _mm512_slli_epi64::<52>(b));
    let w1 = _mm512_or_si512(_mm512_srli_epi64::<12>(b), _mm512_slli_epi64::<40>(c));
    let w2 = _mm512_or_si512(_mm512_srli_epi64::<24>(c), _mm512_slli_epi64::<28>(d));
    let w3 = _mm512_or_si512(_mm512_srli_epi64::<36>(d), _mm512_slli_epi64::<16>(e));
    // Words 0 and 1 of elements 0, 1, 4, 5; of 2, 3, 6, 7; words 2 and 3 of the same.
    let (low, low_next) = (_mm512_unpacklo_epi64(w0, w1), _mm512_unpackhi_epi64(w0, w1));
    let (high, high_next) = (_mm512_unpacklo_epi64(w2, w3), _mm512_unpackhi_epi64(w2, w3));
    let first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    let second = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    let rows = [
        _mm512_permutex2var_epi64(low, first, high),
        _mm512_permutex2var_epi64(low_next, first, high_next),
        _mm512_permutex2var_epi64(low, second, high),
        _mm512_permutex2var_epi64(low_next, second, high_next),
    ];
    let start = lane.as_mut_ptr().cast::<__m512i>();
    for (index, row) in rows.into_iter().enumerate() {
        // SAFETY: as in `load`; the values are canonical, as every `Fr` has to be.
        unsafe { _mm512_storeu_si512(start.add(index), row) };
    }
}

/// Carries signed limbs upwards; what leaves the last limb is dropped.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn carry(mut t: Wide) -> Wide {
    let mask = broadcast(MASK);
    for index in 0..LIMBS - 1 {
        t[index + 1] = _mm512_add_epi64(t[index + 1], _mm512_srai_epi64::<LIMB_BITS>(t[index]));
        t[index] = _mm512_and_si512(t[index], mask);
    }
    t[LIMBS - 1] = _mm512_and_si512(t[LIMBS - 1], mask);
    t
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn plus(a: &Wide, b: &Wide) -> Wide {
    let mut result = *a;
    for (result, b) in result.iter_mut().zip(b) {
        *result = _mm512_add_epi64(*result, *b);
    }
    result
}

/// `a − b + multiple · r`, in signed limbs.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn minus(a: &Wide, b: &Wide, multiple: u64) -> Wide {
    let mut result = *a;
    for ((result, b), modulus) in result.iter_mut().zip(b).zip(MODULUS) {
        *result = _mm512_add_epi64(_mm512_sub_epi64(*result, *b), broadcast(multiple * modulus));
    }
    result
}

/// Makes a value between 0 and 35·r less than 1.04·r.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn settle(value: &Wide) -> Wide {
    let mut t = carry(*value);
    // Never more than the true quotient, and less than 1.04 below it.
    let top = _mm512_srli_epi64::<5>(t[LIMBS - 1]);
    let quotient = _mm512_madd52hi_epu64(_mm512_setzero_si512(), top, broadcast(ESTIMATE));
    for index in 0..LIMBS {
        // Limbs of 2²⁶⁰ − r; what is above 2²⁶⁰ is dropped.
        let complement = broadcast((MASK ^ MODULUS[index]) + u64::from(index == 0));
        t[index] = _mm512_madd52lo_epu64(t[index], quotient, complement);
        if index + 1 < LIMBS {
            t[index + 1] = _mm512_madd52hi_epu64(t[index + 1], quotient, complement);
        }
    }
    carry(t)
}

/// The canonical form of a carried value below 2·r.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn canonical(value: Wide) -> Wide {
    let mut reduced = value;
    let mut borrow = _mm512_setzero_si512();
    let mask = broadcast(MASK);
    for (limb, modulus) in reduced.iter_mut().zip(MODULUS) {
        let difference = _mm512_add_epi64(_mm512_sub_epi64(*limb, broadcast(modulus)), borrow);
        borrow = _mm512_srai_epi64::<LIMB_BITS>(difference);
        *limb = _mm512_and_si512(difference, mask);
    }
    let below = _mm512_cmplt_epi64_mask(borrow, _mm512_setzero_si512());
    for (reduced, limb) in reduced.iter_mut().zip(value) {
        *reduced = _mm512_mask_blend_epi64(below, *reduced, limb);
    }
    reduced
}

/// `a · b / 2²⁶⁰` for carried values, in limbs below 2⁵⁷.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn mul(a: &Wide, b: &Wide) -> Wide {
    let zero = _mm512_setzero_si512();
    let factor = broadcast(FACTOR);
    let mut t = [zero; 2 * LIMBS];
    macro_rules! rows {
        ($($i:literal)*) => { $( rows!(@ $i; 0 1 2 3 4); )* };
        (@ $i:literal; $($j:literal)*) => { $(
            t[$i + $j] = _mm512_madd52lo_epu64(t[$i + $j], a[$j], b[$i]);
            t[$i + $j + 1] = _mm512_madd52hi_epu64(t[$i + $j + 1], a[$j], b[$i]);
        )* };
    }
    rows!(0 1 2 3 4);
    macro_rules! steps {
        ($($i:literal)*) => { $( steps!(@ $i; 0 1 2 3 4); )* };
        (@ $i:literal; $($j:literal)*) => {
            let m = _mm512_madd52lo_epu64(zero, t[$i], factor);
            $(
                t[$i + $j] = _mm512_madd52lo_epu64(t[$i + $j], m, broadcast(MODULUS[$j]));
                t[$i + $j + 1] = _mm512_madd52hi_epu64(t[$i + $j + 1], m, broadcast(MODULUS[$j]));
            )*
            t[$i + 1] = _mm512_add_epi64(t[$i + 1], _mm512_srli_epi64::<LIMB_BITS>(t[$i]));
        };
    }
    steps!(0 1 2 3 4);
    [t[5], t[6], t[7], t[8], t[9]]
}

/// Multiplies each element by its factor: the first ones, times the ratios once more from element to element.
#[target_feature(enable = "avx512f,avx512ifma")]
fn apply(values: &mut [Wide], factors: &Factors) {
    let to_form = constant(&montgomery(&Fr::from(16)));
    let mut factor = carry(mul(&load(&factors.first), &to_form));
    let ratio = carry(mul(&load(&factors.ratio), &to_form));
    for value in values {
        *value = mul(&carry(*value), &factor);
        factor = carry(mul(&factor, &ratio));
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn decimate_in_time(values: &mut [Wide], table: &Table) {
    let len = values.len();
    if len > LEVEL_BY_LEVEL {
        let (low, high) = values.split_at_mut(len / 2);
        decimate_in_time(low, table);
        decimate_in_time(high, table);
        return time_level(values, table);
    }
    let mut size = 2;
    while size <= len {
        for block in values.chunks_exact_mut(size) {
            time_level(block, table);
        }
        size *= 2;
    }
}

/// The last level of a block.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn time_level(block: &mut [Wide], table: &Table) {
    let half = block.len() / 2;
    let (low, high) = block.split_at_mut(half);
    if half == 1 && table.unit {
        // The first level: values are as loaded, below r.
        (low[0], high[0]) = (plus(&low[0], &high[0]), minus(&low[0], &high[0], 2));
        return;
    }
    for ((low, high), factor) in low.iter_mut().zip(high).zip(&table.factors[half..2 * half]) {
        let scaled = mul(&carry(*high), &constant(factor));
        *high = minus(low, &scaled, 2);
        *low = plus(low, &scaled);
    }
}

/// `level` counts from the first one of the whole transform.
#[target_feature(enable = "avx512f,avx512ifma")]
fn decimate_in_frequency(values: &mut [Wide], table: &Table, level: u32) {
    let len = values.len();
    if len > LEVEL_BY_LEVEL {
        frequency_level(values, table, level);
        let (low, high) = values.split_at_mut(len / 2);
        decimate_in_frequency(low, table, level + 1);
        return decimate_in_frequency(high, table, level + 1);
    }
    let (mut size, mut level) = (len, level);
    while size >= 2 {
        for block in values.chunks_exact_mut(size) {
            frequency_level(block, table, level);
        }
        size /= 2;
        level += 1;
    }
}

/// The first level of a block. Values are below 2·r, 4·r, 8·r, 16·r in turn.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn frequency_level(block: &mut [Wide], table: &Table, level: u32) {
    let half = block.len() / 2;
    let (low, high) = block.split_at_mut(half);
    let multiple = 2 << (level % 4);
    if half == 1 && table.unit {
        // The last level: values are stored next, and below 35·r.
        (low[0], high[0]) = (plus(&low[0], &high[0]), minus(&low[0], &high[0], multiple));
        return;
    }
    for ((low, high), factor) in low.iter_mut().zip(high).zip(&table.factors[half..2 * half]) {
        let difference = carry(minus(low, high, multiple));
        let sum = plus(low, high);
        *low = if level % 4 == 3 { settle(&sum) } else { sum };
        *high = mul(&difference, &constant(factor));
    }
}
