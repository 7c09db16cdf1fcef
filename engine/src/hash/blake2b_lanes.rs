//! BLAKE2b-512 of eight messages of 16 bytes at once, first word of the digest only: what the Feistel network asks.
//!
//! Such a message is one block, `m₀ m₁ 0 … 0`, and its digest's first word is `h₀ ^ v₀ ^ v₈` after the twelve rounds
//!
//! ```text
//! G(a, b, c, d, x, y):  a += b + x; d = (d ^ a) ⋙ 32; c += d; b = (b ^ c) ⋙ 24;
//!                       a += b + y; d = (d ^ a) ⋙ 16; c += d; b = (b ^ c) ⋙ 63
//! ```
//!
//! over four columns and four diagonals. Source: RFC 7693, 3.1 and 3.2; the plain version is `blake2b_simd`'s.

#![allow(unsafe_code, reason = "vector instructions that were found at run time")]

/// Messages that are hashed at once.
pub const LANES: usize = 8;

/// One word of each message.
pub type Word = [u64; LANES];

#[cfg(target_arch = "x86_64")]
const IV: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// The first eight bytes of `BLAKE2b-512(BE64(values[lane]) ‖ BE64(key))`, big-endian, for every lane.
pub fn keyed_hashes(values: &Word, key: u64) -> Word {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has just been found to have the feature.
            return unsafe { avx512::keyed_hashes(values, key) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has just been found to have the feature.
            return unsafe { avx2::keyed_hashes(values, key) };
        }
    }
    keyed_hashes_portable(values, key)
}

/// One after the other.
fn keyed_hashes_portable(values: &Word, key: u64) -> Word {
    values.map(|value| {
        let mut input = [0; 16];
        input[..8].copy_from_slice(&value.to_be_bytes());
        input[8..].copy_from_slice(&key.to_be_bytes());
        let hash = blake2b_simd::Params::new().hash(&input);
        u64::from_be_bytes(std::array::from_fn(|i| hash.as_bytes()[i]))
    })
}

/// The rounds, over whichever vectors `add`, `xor` and the rotations in scope work on. No vector is kept in an array,
/// so that they stay in registers.
#[cfg(target_arch = "x86_64")]
macro_rules! first_word {
    ($splat:ident, $add:ident, $xor:ident, $turn32:ident, $turn24:ident, $turn16:ident, $turn63:ident, $values:expr, $key:expr) => {{
        let (m0, m1) = ($values, $splat($key.swap_bytes()));
        // Digest of 64 bytes, no key, tree of one leaf; 16 bytes so far, and the last block.
        let first = $splat(IV[0] ^ 0x0101_0040);
        let (mut v0, mut v1, mut v2, mut v3) = (first, $splat(IV[1]), $splat(IV[2]), $splat(IV[3]));
        let (mut v4, mut v5, mut v6, mut v7) = ($splat(IV[4]), $splat(IV[5]), $splat(IV[6]), $splat(IV[7]));
        let (mut v8, mut v9, mut v10, mut v11) = ($splat(IV[0]), v1, v2, v3);
        let (mut v12, mut v13, mut v14, mut v15) = ($splat(IV[4] ^ 16), v5, $splat(!IV[6]), v7);

        macro_rules! sum {
            ($a:ident $b:ident 0) => { $add($add($a, $b), m0) };
            ($a:ident $b:ident 1) => { $add($add($a, $b), m1) };
            ($a:ident $b:ident _) => { $add($a, $b) };
        }
        macro_rules! g {
            ($a:ident $b:ident $c:ident $d:ident $x:tt $y:tt) => {
                $a = sum!($a $b $x);
                $d = $turn32($xor($d, $a));
                $c = $add($c, $d);
                $b = $turn24($xor($b, $c));
                $a = sum!($a $b $y);
                $d = $turn16($xor($d, $a));
                $c = $add($c, $d);
                $b = $turn63($xor($b, $c));
            };
        }
        // Which message word is added in each of the sixteen places of a round: the RFC's permutations, with the words
        // that are zero left out.
        macro_rules! round {
            ($p0:tt $p1:tt $p2:tt $p3:tt $p4:tt $p5:tt $p6:tt $p7:tt
             $p8:tt $p9:tt $p10:tt $p11:tt $p12:tt $p13:tt $p14:tt $p15:tt) => {
                g!(v0 v4 v8 v12 $p0 $p1);
                g!(v1 v5 v9 v13 $p2 $p3);
                g!(v2 v6 v10 v14 $p4 $p5);
                g!(v3 v7 v11 v15 $p6 $p7);
                g!(v0 v5 v10 v15 $p8 $p9);
                g!(v1 v6 v11 v12 $p10 $p11);
                g!(v2 v7 v8 v13 $p12 $p13);
                g!(v3 v4 v9 v14 $p14 $p15);
            };
        }
        round!(0 1 _ _ _ _ _ _ _ _ _ _ _ _ _ _);
        round!(_ _ _ _ _ _ _ _ 1 _ 0 _ _ _ _ _);
        round!(_ _ _ 0 _ _ _ _ _ _ _ _ _ 1 _ _);
        round!(_ _ _ 1 _ _ _ _ _ _ _ _ _ 0 _ _);
        round!(_ 0 _ _ _ _ _ _ _ 1 _ _ _ _ _ _);
        round!(_ _ _ _ 0 _ _ _ _ _ _ _ _ _ 1 _);
        round!(_ _ 1 _ _ _ _ _ 0 _ _ _ _ _ _ _);
        round!(_ _ _ _ _ 1 _ _ _ 0 _ _ _ _ _ _);
        round!(_ _ _ _ _ _ 0 _ _ _ _ _ 1 _ _ _);
        round!(_ _ _ _ _ _ 1 _ _ _ _ _ _ _ _ 0);
        round!(0 1 _ _ _ _ _ _ _ _ _ _ _ _ _ _);
        round!(_ _ _ _ _ _ _ _ 1 _ 0 _ _ _ _ _);
        // The last step of the last round changes these for words of the digest that nobody asks for.
        let _ = (v4, v5, v6, v7);
        $xor(first, $xor(v0, v8))
    }};
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi64, _mm512_loadu_epi64, _mm512_ror_epi64, _mm512_set1_epi64, _mm512_storeu_epi64,
        _mm512_xor_si512,
    };

    use super::{IV, LANES, Word};

    #[target_feature(enable = "avx512f")]
    fn splat(word: u64) -> __m512i {
        _mm512_set1_epi64(word.cast_signed())
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn keyed_hashes(values: &Word, key: u64) -> Word {
        use {_mm512_add_epi64 as add, _mm512_xor_si512 as xor};
        let turn32 = |x| _mm512_ror_epi64::<32>(x);
        let turn24 = |x| _mm512_ror_epi64::<24>(x);
        let turn16 = |x| _mm512_ror_epi64::<16>(x);
        let turn63 = |x| _mm512_ror_epi64::<63>(x);
        let values = values.map(u64::swap_bytes);
        // SAFETY: eight words are the 64 bytes that are read.
        let values = unsafe { _mm512_loadu_epi64(values.as_ptr().cast()) };
        let hashes = first_word!(splat, add, xor, turn32, turn24, turn16, turn63, values, key);
        let mut out = [0; LANES];
        // SAFETY: eight words are the 64 bytes that are written.
        unsafe { _mm512_storeu_epi64(out.as_mut_ptr().cast(), hashes) };
        out.map(u64::swap_bytes)
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi64, _mm256_loadu_si256, _mm256_or_si256, _mm256_set1_epi64x, _mm256_setr_epi8,
        _mm256_shuffle_epi8, _mm256_shuffle_epi32, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_xor_si256,
    };

    use super::{IV, LANES, Word};

    #[target_feature(enable = "avx2")]
    fn splat(word: u64) -> __m256i {
        _mm256_set1_epi64x(word.cast_signed())
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn keyed_hashes(values: &Word, key: u64) -> Word {
        use {_mm256_add_epi64 as add, _mm256_xor_si256 as xor};
        let by3 = _mm256_setr_epi8(
            3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10, 3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10,
        );
        let by2 = _mm256_setr_epi8(
            2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9, 2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9,
        );
        let turn32 = |x| _mm256_shuffle_epi32::<0b10_11_00_01>(x);
        let turn24 = |x| _mm256_shuffle_epi8(x, by3);
        let turn16 = |x| _mm256_shuffle_epi8(x, by2);
        let turn63 = |x| _mm256_or_si256(add(x, x), _mm256_srli_epi64::<63>(x));
        let values = values.map(u64::swap_bytes);
        let mut out = [0; LANES];
        for (values, out) in values.as_chunks::<4>().0.iter().zip(out.as_chunks_mut::<4>().0) {
            // SAFETY: four words are the 32 bytes that are read.
            let values = unsafe { _mm256_loadu_si256(values.as_ptr().cast()) };
            let hashes = first_word!(splat, add, xor, turn32, turn24, turn16, turn63, values, key);
            // SAFETY: four words are the 32 bytes that are written.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), hashes) };
        }
        out.map(u64::swap_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type KeyedHashes = fn(&Word, u64) -> Word;

    /// Every text that this processor can run, but the portable one.
    fn texts() -> Vec<KeyedHashes> {
        let mut texts: Vec<KeyedHashes> = vec![keyed_hashes];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: the processor has just been found to have the feature.
                texts.push(|values, key| unsafe { avx512::keyed_hashes(values, key) });
            }
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has just been found to have the feature.
                texts.push(|values, key| unsafe { avx2::keyed_hashes(values, key) });
            }
        }
        texts
    }

    #[test]
    fn lanes_match_blake2b() {
        for text in texts() {
            for key in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
                let values = std::array::from_fn(|lane| (lane as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ key >> 3);
                assert_eq!(text(&values, key), keyed_hashes_portable(&values, key));
            }
        }
    }
}
