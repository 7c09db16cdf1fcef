//! SHA-256 of sixteen 64-byte messages at once, for binary trees: x86-64 with AVX-512.
//!
//! One message to each 32-bit lane. A message of 64 bytes is one block of data and one of padding, the same for all:
//! its schedule is a constant, so that half of the rounds need none. Source: FIPS 180-4, 6.2.

use core::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_and_si512, _mm512_loadu_si512, _mm512_or_si512, _mm512_rol_epi32,
    _mm512_ror_epi32, _mm512_set1_epi32, _mm512_shuffle_i32x4, _mm512_srli_epi32, _mm512_storeu_si512,
    _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
    _mm512_unpacklo_epi64,
};

use super::sha256::{INITIAL, ROUND, trim};
use crate::field::Node;

/// Messages hashed at once.
const LANES: usize = 16;

/// The schedule of the padding after 64 bytes, round constants added.
const PADDING: [u32; 64] = {
    let mut words = [0_u32; 64];
    words[0] = 1 << 31;
    words[15] = 512;
    let mut at = 16;
    while at < 64 {
        let (x, y) = (words[at - 15], words[at - 2]);
        let small_0 = x.rotate_right(7) ^ x.rotate_right(18) ^ x >> 3;
        let small_1 = y.rotate_right(17) ^ y.rotate_right(19) ^ y >> 10;
        words[at] = words[at - 16].wrapping_add(small_0).wrapping_add(words[at - 7]).wrapping_add(small_1);
        at += 1;
    }
    at = 0;
    while at < 64 {
        words[at] = words[at].wrapping_add(ROUND[at]);
        at += 1;
    }
    words
};

/// Computes the parents of whole groups of [`LANES`]; returns how many. 0 when the processor lacks the instructions.
pub(crate) fn sha_groups(children: &[Node], parents: &mut [Node]) -> usize {
    if !available() {
        return 0;
    }
    let groups = parents.as_chunks_mut::<LANES>().0;
    let done = groups.len() * LANES;
    for (parents, children) in groups.iter_mut().zip(children.as_chunks::<{ 2 * LANES }>().0) {
        // SAFETY: `available` has just reported the feature that the function enables.
        unsafe { sha_group(children, parents) };
    }
    done
}

/// Whether the processor has the instructions.
fn available() -> bool {
    is_x86_feature_detected!("avx512f")
}

#[target_feature(enable = "avx512f")]
fn sha_group(children: &[Node; 2 * LANES], parents: &mut [Node; LANES]) {
    let messages = children.as_chunks::<2>().0;
    // Loops, not `map`: closures that the standard library calls are not compiled for these instructions.
    let mut rows = [broadcast(0); LANES];
    for (row, message) in rows.iter_mut().zip(messages) {
        let message: &[u8] = message.as_flattened();
        debug_assert_eq!(message.len(), 64);
        // SAFETY: a message is two nodes of 32 bytes, the 64 that are read, and no alignment is asked for.
        *row = unsafe { _mm512_loadu_si512(message.as_ptr().cast()) };
    }
    let mut words = transposed(rows);
    for word in &mut words {
        *word = swapped(*word);
    }
    let mut initial = [broadcast(0); 8];
    for (wide, word) in initial.iter_mut().zip(INITIAL) {
        *wide = broadcast(word);
    }

    let mut state = initial;
    for chunk in 0..4 {
        for place in 0..16 {
            if chunk > 0 {
                words[place] = extended(&words, place);
            }
            let sum = _mm512_add_epi32(words[place], broadcast(ROUND[chunk * 16 + place]));
            state = round(state, sum);
        }
    }
    for (word, initial) in state.iter_mut().zip(initial) {
        *word = _mm512_add_epi32(*word, initial);
    }
    let middle = state;
    for word in PADDING {
        state = round(state, broadcast(word));
    }
    let mut hashes = [[0_u32; LANES]; 8];
    for ((hash, word), middle) in hashes.iter_mut().zip(state).zip(middle) {
        let word = swapped(_mm512_add_epi32(word, middle));
        // SAFETY: the array is 64 bytes, as many as are written, and the instruction asks for no alignment.
        unsafe { _mm512_storeu_si512(hash.as_mut_ptr().cast(), word) };
    }
    for (lane, parent) in parents.iter_mut().enumerate() {
        for (bytes, hash) in parent.as_chunks_mut().0.iter_mut().zip(&hashes) {
            *bytes = hash[lane].to_le_bytes();
        }
        *parent = trim(*parent);
    }
}

/// One round; `word` is the schedule's word plus the round's constant.
#[inline]
#[target_feature(enable = "avx512f")]
fn round([a, b, c, d, e, f, g, h]: [__m512i; 8], word: __m512i) -> [__m512i; 8] {
    let big_1 = xor(_mm512_ror_epi32::<6>(e), _mm512_ror_epi32::<11>(e), _mm512_ror_epi32::<25>(e));
    let choice = _mm512_ternarylogic_epi32::<0xca>(e, f, g);
    let first = _mm512_add_epi32(_mm512_add_epi32(h, word), _mm512_add_epi32(big_1, choice));
    let big_0 = xor(_mm512_ror_epi32::<2>(a), _mm512_ror_epi32::<13>(a), _mm512_ror_epi32::<22>(a));
    let majority = _mm512_ternarylogic_epi32::<0xe8>(a, b, c);
    let second = _mm512_add_epi32(big_0, majority);
    [_mm512_add_epi32(first, second), a, b, c, _mm512_add_epi32(d, first), e, f, g]
}

/// The schedule's word 16 after `words[place]`, which it replaces.
#[inline]
#[target_feature(enable = "avx512f")]
fn extended(words: &[__m512i; 16], place: usize) -> __m512i {
    let (x, y) = (words[(place + 1) % 16], words[(place + 14) % 16]);
    let small_0 = xor(_mm512_ror_epi32::<7>(x), _mm512_ror_epi32::<18>(x), _mm512_srli_epi32::<3>(x));
    let small_1 = xor(_mm512_ror_epi32::<17>(y), _mm512_ror_epi32::<19>(y), _mm512_srli_epi32::<10>(y));
    let sum = _mm512_add_epi32(words[place], words[(place + 9) % 16]);
    _mm512_add_epi32(sum, _mm512_add_epi32(small_0, small_1))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0x96>(x, y, z)
}

/// Every lane with its bytes in the other order.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn swapped(x: __m512i) -> __m512i {
    let even = _mm512_and_si512(_mm512_rol_epi32::<8>(x), broadcast(0x00ff_00ff));
    let odd = _mm512_and_si512(_mm512_ror_epi32::<8>(x), broadcast(0xff00_ff00));
    _mm512_or_si512(even, odd)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn broadcast(word: u32) -> __m512i {
    _mm512_set1_epi32(word as i32)
}

/// The transpose of a 16 × 16 matrix of 32-bit words.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transposed(rows: [__m512i; 16]) -> [__m512i; 16] {
    // Within each 128-bit quarter, 4 × 4 blocks: lane q of `quads[4g + c]` is column 4q + c of rows 4g to 4g + 3.
    let mut quads = rows;
    for group in 0..4 {
        let [r0, r1, r2, r3] = [rows[4 * group], rows[4 * group + 1], rows[4 * group + 2], rows[4 * group + 3]];
        let (low_01, high_01) = (_mm512_unpacklo_epi32(r0, r1), _mm512_unpackhi_epi32(r0, r1));
        let (low_23, high_23) = (_mm512_unpacklo_epi32(r2, r3), _mm512_unpackhi_epi32(r2, r3));
        quads[4 * group] = _mm512_unpacklo_epi64(low_01, low_23);
        quads[4 * group + 1] = _mm512_unpackhi_epi64(low_01, low_23);
        quads[4 * group + 2] = _mm512_unpacklo_epi64(high_01, high_23);
        quads[4 * group + 3] = _mm512_unpackhi_epi64(high_01, high_23);
    }
    // Then the 4 × 4 quarters: column 4q + c collects quarter q of the four groups.
    let mut columns = rows;
    for column in 0..4 {
        let [g0, g1, g2, g3] = [quads[column], quads[4 + column], quads[8 + column], quads[12 + column]];
        // Quarters 0 and 1, then 2 and 3, of two groups.
        let (low_01, high_01) = (_mm512_shuffle_i32x4::<0x44>(g0, g1), _mm512_shuffle_i32x4::<0xee>(g0, g1));
        let (low_23, high_23) = (_mm512_shuffle_i32x4::<0x44>(g2, g3), _mm512_shuffle_i32x4::<0xee>(g2, g3));
        columns[column] = _mm512_shuffle_i32x4::<0x88>(low_01, low_23);
        columns[4 + column] = _mm512_shuffle_i32x4::<0xdd>(low_01, low_23);
        columns[8 + column] = _mm512_shuffle_i32x4::<0x88>(high_01, high_23);
        columns[12 + column] = _mm512_shuffle_i32x4::<0xdd>(high_01, high_23);
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256::sha_node;

    #[test]
    fn lanes_match_single_hashes() {
        for count in [0, 1, 15, 16, 17, 31, 33] {
            let children: Vec<Node> =
                (0..2 * count).map(|i| std::array::from_fn(|j| (i * 37 + j * j * 11 + i * j) as u8)).collect();
            let mut parents = vec![[0xff; 32]; count];
            let done = sha_groups(&children, &mut parents);
            assert_eq!(done, if available() { count / LANES * LANES } else { 0 });
            for (parent, children) in parents[..done].iter().zip(children.chunks(2)) {
                assert_eq!(*parent, sha_node(&children[0], &children[1]));
            }
            assert!(parents[done..].iter().all(|parent| *parent == [0xff; 32]));
        }
    }
}
