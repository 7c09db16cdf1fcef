//! Poseidon of eight messages at once, on 52-bit words: x86-64 with AVX-512 IFMA.
//!
//! The scaled form of `poseidon_scaled` with R = 2²⁶⁰ and five words of 52 bits to an element, one message to each
//! 64-bit lane. The instructions multiply the low 52 bits of two lanes and add either half of the product to a third,
//! so that sums of many products need no carries until a word is shifted out:
//!
//! - a column of a product collects at most 5 low and 5 high halves, the same again from the reduction, and a carry:
//!   less than 21·2⁵² < 2⁵⁷;
//! - a column of a mixed row collects at most 14 of each, 5 of each from the reduction, a constant's word and a carry:
//!   less than 40·2⁵² < 2⁵⁸.
//!
//! Elements are kept below 2²⁵⁷, their words below 2⁵² (the highest below 2⁴⁹), and are made canonical at the end only.
//! With operands below 2²⁵⁷ a product is below 2²⁵⁴ + r < 2²⁵⁶. The entries of a row sum up to less than 2⁴⁸ (at width
//! 12; less for others), so a mixed row is below (2²⁵⁷·2⁴⁸ + r)/2⁵² + r < 2²⁵⁶.
//!
//! Source: Gueron and Krasnov, "Accelerating big integer arithmetic using Intel IFMA extensions" (2016).

use core::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_and_si512, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_mov_epi64,
    _mm512_or_si512, _mm512_set_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_slli_epi64, _mm512_srai_epi64,
    _mm512_srli_epi64, _mm512_storeu_si512, _mm512_sub_epi64, _mm512_test_epi64_mask,
};

use super::poseidon_constants::HALF_FULL_ROUNDS;
use super::poseidon_scaled::{MODULUS, NEGATED_INVERSE, Scaled, read, words_52};
use crate::field::{Node, NonCanonical};

/// Messages hashed at once.
pub(super) const LANES: usize = 8;
/// The low 52 bits.
const MASK: u64 = (1 << 52) - 1;
/// r in words of 52 bits.
const MODULUS_52: [u64; 5] = [
    MODULUS[0] & MASK,
    (MODULUS[0] >> 52 | MODULUS[1] << 12) & MASK,
    (MODULUS[1] >> 40 | MODULUS[2] << 24) & MASK,
    (MODULUS[2] >> 28 | MODULUS[3] << 36) & MASK,
    MODULUS[3] >> 16,
];

/// Eight field elements, word by word.
type Element = [__m512i; 5];

/// Hashes whole groups of [`LANES`] messages; returns how many parents were written. 0 when the processor lacks the
/// instructions or the arity has no code here.
///
/// # Errors
/// [`NonCanonical`] when a child is no field element.
pub(super) fn hash_groups(arity: usize, children: &[Node], parents: &mut [Node]) -> Result<usize, NonCanonical> {
    if !matches!(arity, 2 | 4 | 5 | 8 | 11) || !available() {
        return Ok(0);
    }
    let Some(scaled) = words_52(arity) else { return Ok(0) };
    let groups = parents.len() / LANES;
    for (parents, children) in parents.as_chunks_mut::<LANES>().0.iter_mut().zip(children.chunks_exact(arity * LANES)) {
        // SAFETY: `available` has just reported every feature that the functions enable.
        unsafe {
            match arity {
                2 => hash_group::<3>(scaled, children, parents),
                4 => hash_group::<5>(scaled, children, parents),
                5 => hash_group::<6>(scaled, children, parents),
                8 => hash_group::<9>(scaled, children, parents),
                _ => hash_group::<12>(scaled, children, parents),
            }
        }?;
    }
    Ok(groups * LANES)
}

/// Whether the processor has the instructions.
fn available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
}

/// Hashes [`LANES`] messages of T − 1 nodes each, one after the other in `children`.
#[target_feature(enable = "avx512f,avx512ifma")]
fn hash_group<const T: usize>(
    scaled: &Scaled<5>,
    children: &[Node],
    parents: &mut [Node; LANES],
) -> Result<(), NonCanonical> {
    let zero = [_mm512_setzero_si512(); 5];
    let mut state = [zero; T];
    for (place, x) in state[1..].iter_mut().enumerate() {
        let mut words = [[0; LANES]; 4];
        for lane in 0..LANES {
            let limbs = read(&children[lane * (T - 1) + place])?;
            for (word, limb) in words.iter_mut().zip(limbs) {
                word[lane] = limb;
            }
        }
        *x = packed(words.map(|word| vector(&word)));
    }
    let hash = permute(scaled, &mut state);
    let words = unpacked(&hash).map(|word| lanes(word));
    for (lane, parent) in parents.iter_mut().enumerate() {
        for (bytes, word) in parent.as_chunks_mut().0.iter_mut().zip(&words) {
            *bytes = word[lane].to_le_bytes();
        }
    }
    Ok(())
}

/// Element 1 after the permutation, canonical. `state` holds the inputs from 1 on, canonical.
#[target_feature(enable = "avx512f,avx512ifma")]
fn permute<const T: usize>(scaled: &Scaled<5>, state: &mut [Element; T]) -> Element {
    for (x, key) in state[1..].iter_mut().zip(&scaled.input_keys) {
        // Both are below r, the sum below 2²⁵⁶.
        for (word, key) in x.iter_mut().zip(key) {
            *word = _mm512_add_epi64(*word, broadcast(*key));
        }
        *x = normalised(x);
    }
    let (first, rest) = scaled.full_keys.split_first().expect("there are seven full rounds with keys");
    // Element 0 of the first round is a constant; its share is in the first keys, and it is still 0 here.
    for x in &mut state[1..] {
        *x = quintic(x);
    }
    mix(scaled, state, first);
    let (before, after) = rest.split_at(HALF_FULL_ROUNDS - 1);
    for keys in before {
        full_round(scaled, state, keys);
    }
    let (last, partial) = scaled.partial.split_last().expect("there are at least 55 partial rounds");
    for round in partial {
        state[0] = multiply(&broadcasts(&round.scale), &quintic(&state[0]));
        let mut sums = *state;
        for (row, sum) in sums.iter_mut().enumerate() {
            let key = if row == 0 { broadcasts(&round.key) } else { [_mm512_setzero_si512(); 5] };
            *sum = mixed(&scaled.matrix[row..], state, &key);
        }
        *state = sums;
    }
    state[0] = multiply(&broadcasts(&last.scale), &quintic(&state[0]));
    mix(scaled, state, &scaled.last_partial_keys);
    for keys in after {
        full_round(scaled, state, keys);
    }
    for x in state.iter_mut() {
        *x = quintic(x);
    }
    let hash = mixed(&scaled.matrix[1..], state, &[_mm512_setzero_si512(); 5]);
    reduced(&multiply(&broadcasts(&scaled.unscale), &hash))
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn full_round<const T: usize>(scaled: &Scaled<5>, state: &mut [Element; T], keys: &[[u64; 5]]) {
    for x in state.iter_mut() {
        *x = quintic(x);
    }
    mix(scaled, state, keys);
}

/// `state = 2⁻⁵²·(N·state + keys)`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn mix<const T: usize>(scaled: &Scaled<5>, state: &mut [Element; T], keys: &[[u64; 5]]) {
    let mut sums = *state;
    for (row, (sum, key)) in sums.iter_mut().zip(keys).enumerate() {
        *sum = mixed(&scaled.matrix[row..], state, &broadcasts(key));
    }
    *state = sums;
}

/// `2⁻⁵²·(key + Σ_j row[j]·state[j])`, congruent modulo r.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn mixed<const T: usize>(row: &[u64], state: &[Element; T], key: &Element) -> Element {
    let [k0, k1, k2, k3, k4] = *key;
    let mut columns = [k0, k1, k2, k3, k4, _mm512_setzero_si512()];
    for (entry, x) in row.iter().zip(state) {
        accumulate(&mut columns, 0, broadcast(*entry), x);
    }
    reduce_word(&mut columns, 0);
    let [_, words @ ..] = columns;
    normalised(&words)
}

/// x⁵·R⁻⁴.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn quintic(x: &Element) -> Element {
    multiply(&square(&square(x)), x)
}

/// `left·right/R` modulo r.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn multiply(left: &Element, right: &Element) -> Element {
    let mut columns = [_mm512_setzero_si512(); 10];
    for (place, word) in left.iter().enumerate() {
        accumulate(&mut columns, place, *word, right);
    }
    reduce(columns)
}

/// `x²/R` modulo r.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn square(x: &Element) -> Element {
    let mut columns = [_mm512_setzero_si512(); 10];
    for low in 0..5 {
        for high in low + 1..5 {
            columns[low + high] = _mm512_madd52lo_epu64(columns[low + high], x[low], x[high]);
            columns[low + high + 1] = _mm512_madd52hi_epu64(columns[low + high + 1], x[low], x[high]);
        }
    }
    // Each mixed product counts twice; columns 0 and 9 have none.
    for column in &mut columns[1..9] {
        *column = _mm512_add_epi64(*column, *column);
    }
    for place in 0..5 {
        columns[2 * place] = _mm512_madd52lo_epu64(columns[2 * place], x[place], x[place]);
        columns[2 * place + 1] = _mm512_madd52hi_epu64(columns[2 * place + 1], x[place], x[place]);
    }
    reduce(columns)
}

/// Adds `word·x` to the columns from `place` on.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn accumulate<const C: usize>(columns: &mut [__m512i; C], place: usize, word: __m512i, x: &Element) {
    for (offset, other) in x.iter().enumerate() {
        columns[place + offset] = _mm512_madd52lo_epu64(columns[place + offset], word, *other);
        columns[place + offset + 1] = _mm512_madd52hi_epu64(columns[place + offset + 1], word, *other);
    }
}

/// The columns of a product divided by R, modulo r.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn reduce(mut columns: [__m512i; 10]) -> Element {
    for place in 0..5 {
        reduce_word(&mut columns, place);
    }
    let [_, _, _, _, _, words @ ..] = columns;
    normalised(&words)
}

/// Adds the multiple of r that makes the 52 low bits of column `place` zero, and carries the rest of it.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn reduce_word<const C: usize>(columns: &mut [__m512i; C], place: usize) {
    let inverse = broadcast(NEGATED_INVERSE & MASK);
    let factor = _mm512_madd52lo_epu64(_mm512_setzero_si512(), columns[place], inverse);
    accumulate(columns, place, factor, &broadcasts(&MODULUS_52));
    columns[place + 1] = _mm512_add_epi64(columns[place + 1], _mm512_srli_epi64::<52>(columns[place]));
}

/// The same integer with words below 2⁵² but for the highest.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn normalised(x: &Element) -> Element {
    let mut words = *x;
    for place in 0..4 {
        words[place + 1] = _mm512_add_epi64(words[place + 1], _mm512_srli_epi64::<52>(words[place]));
        words[place] = _mm512_and_si512(words[place], broadcast(MASK));
    }
    words
}

/// A normalised element below 2r, made canonical.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn reduced(x: &Element) -> Element {
    let mut words = *x;
    for (word, modulus) in words.iter_mut().zip(MODULUS_52) {
        *word = _mm512_sub_epi64(*word, broadcast(modulus));
    }
    for place in 0..4 {
        // Borrows are negative carries.
        words[place + 1] = _mm512_add_epi64(words[place + 1], _mm512_srai_epi64::<52>(words[place]));
        words[place] = _mm512_and_si512(words[place], broadcast(MASK));
    }
    let below = _mm512_test_epi64_mask(words[4], broadcast(1 << 63));
    std::array::from_fn(|place| _mm512_mask_mov_epi64(words[place], below, x[place]))
}

/// Five words of 52 bits from four of 64.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn packed([w0, w1, w2, w3]: [__m512i; 4]) -> Element {
    let mask = broadcast(MASK);
    [
        _mm512_and_si512(w0, mask),
        _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<52>(w0), _mm512_slli_epi64::<12>(w1)), mask),
        _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<40>(w1), _mm512_slli_epi64::<24>(w2)), mask),
        _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<28>(w2), _mm512_slli_epi64::<36>(w3)), mask),
        _mm512_srli_epi64::<16>(w3),
    ]
}

/// Four words of 64 bits from five of 52, whose integer is below 2²⁵⁶.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn unpacked([w0, w1, w2, w3, w4]: &Element) -> [__m512i; 4] {
    [
        _mm512_or_si512(*w0, _mm512_slli_epi64::<52>(*w1)),
        _mm512_or_si512(_mm512_srli_epi64::<12>(*w1), _mm512_slli_epi64::<40>(*w2)),
        _mm512_or_si512(_mm512_srli_epi64::<24>(*w2), _mm512_slli_epi64::<28>(*w3)),
        _mm512_or_si512(_mm512_srli_epi64::<36>(*w3), _mm512_slli_epi64::<16>(*w4)),
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn broadcast(word: u64) -> __m512i {
    _mm512_set1_epi64(word as i64)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn broadcasts(words: &[u64; 5]) -> Element {
    words.map(|word| _mm512_set1_epi64(word as i64))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn vector(words: &[u64; LANES]) -> __m512i {
    let [w0, w1, w2, w3, w4, w5, w6, w7] = words.map(|word| word as i64);
    _mm512_set_epi64(w7, w6, w5, w4, w3, w2, w1, w0)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn lanes(vector: __m512i) -> [u64; LANES] {
    let mut words = [0_u64; LANES];
    // SAFETY: the array is 64 bytes, as many as are written, and the instruction asks for no alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) };
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Fr;
    use crate::field::fr::to_node;
    use crate::hash::poseidon::{hash_batch, hash_nodes, hash_plain};
    use crate::hash::poseidon_constants::Tag;
    use ff::Field;

    /// Edges of the field and of words, then a computed sequence.
    fn nodes(count: usize) -> Vec<Node> {
        let power = |exponent: u64| Fr::from(2).pow([exponent]);
        let edges = [Fr::ZERO, -Fr::ONE, Fr::ONE, power(254), power(52) - Fr::ONE, power(208), -power(52), -power(254)];
        let sequence = (1..).map(|i: u64| Fr::from(i).pow([77]).invert().unwrap());
        edges.into_iter().cycle().take(61).chain(sequence).take(count).map(|x| to_node(&x)).collect()
    }

    #[test]
    fn ifma_matches_scalar() {
        for arity in [1, 2, 3, 4, 5, 8, 11, 12, 16] {
            for count in [0, 1, 7, 8, 9, 31] {
                let children = nodes(count * arity);
                let mut parents = vec![[0xff; 32]; count];
                hash_batch(arity, &children, &mut parents).unwrap();
                for (parent, children) in parents.iter().zip(children.chunks(arity)) {
                    assert_eq!(hash_nodes(children), Ok(*parent), "{arity} of {count}");
                }
            }
        }
    }

    #[test]
    fn all_groups_are_computed_here_when_available() {
        for arity in [2, 4, 5, 8, 11] {
            let children = nodes(31 * arity);
            let mut parents = [[0xff; 32]; 31];
            let done = hash_groups(arity, &children, &mut parents).unwrap();
            assert_eq!(done, if available() { 24 } else { 0 });
            for (parent, children) in parents[..done].iter().zip(children.chunks(arity)) {
                let inputs: Vec<_> = children.iter().map(|node| crate::field::fr::from_node(node).unwrap()).collect();
                assert_eq!(to_node(&hash_plain(&inputs, Tag::Merkle)), *parent, "{arity}");
            }
            assert_eq!(parents[done..], vec![[0xff; 32]; 31 - done]);
        }
    }

    #[test]
    fn nodes_above_the_field_are_rejected_in_every_lane() {
        let mut modulus = to_node(&-Fr::ONE);
        modulus[0] = 1;
        for lane in 0..9 {
            let mut children = nodes(9 * 8);
            children[lane * 8 + lane % 8] = modulus;
            let mut parents = [[0; 32]; 9];
            assert_eq!(hash_batch(8, &children, &mut parents), Err(NonCanonical(modulus)));
        }
    }
}
