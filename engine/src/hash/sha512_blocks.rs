//! SHA-512 over blocks that are known beforehand, in two parts that can be done at different times.
//!
//! A block enters the compression only through its message schedule, 80 words that depend on nothing else:
//!
//! ```text
//! w(t) = word t of the block, big-endian                                         t < 16
//! w(t) = σ₁(w(t−2)) + w(t−7) + σ₀(w(t−15)) + w(t−16)                             t ≥ 16
//! ```
//!
//! [`expand`] computes `w(t) + k(t)` for eight blocks at once and [`absorb`] runs the rounds of one block over them. A
//! label hashes 20 blocks of which at most nine differ, so this saves most of the schedules; the rounds that are left
//! are one chain of dependent steps. [`absorb_each`] runs the rounds of eight messages at once.
//!
//! It pays where vectors hold eight words ([`available`], AVX-512): with narrower ones, expanding costs what it saves.
//! Source: FIPS 180-4, 6.4.2.

#![allow(unsafe_code, reason = "calls of functions compiled for processor features that were found at run time")]

/// Blocks that are expanded at once.
pub const LANES: usize = 8;
/// Rounds of the compression.
const ROUNDS: usize = 80;

/// The chaining value: eight words.
pub type State = [u64; 8];
/// One word of each of eight blocks.
pub type Word = [u64; LANES];

/// The chaining value before the first block.
pub const INITIAL: State = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// Round constants: the first 64 bits of the fractional parts of the cube roots of the first 80 primes.
#[rustfmt::skip]
pub const K: [u64; ROUNDS] = [
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538,
    0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe,
    0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab,
    0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8, 0x1e376c085141ab53,
    0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b, 0xca273eceea26619c,
    0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
    0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
];

/// What [`expand`] makes of eight blocks: `w(t) + k(t)`, the blocks side by side.
#[repr(align(64))]
pub struct Schedules([Word; ROUNDS]);

impl Schedules {
    /// Room for schedules. On the heap, where its alignment does not hang on that of the stack.
    pub fn new() -> Box<Self> {
        Box::new(Self([[0; LANES]; ROUNDS]))
    }
}

/// Whether the processor has the instructions that make this the faster way.
pub fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Expands eight blocks; `blocks[i][lane]` is word i of block `lane`, as a number.
pub fn expand(blocks: &[Word; 16], schedules: &mut Schedules) {
    #[cfg(target_arch = "x86_64")]
    if available() {
        // SAFETY: the processor has just been found to have the feature.
        return unsafe { x86::expand(blocks, schedules) };
    }
    expand_portable(blocks, schedules);
}

/// Runs the rounds of the blocks in the lanes named, one after the other; lanes count modulo [`LANES`].
pub fn absorb(state: &mut State, schedules: &Schedules, lanes: &[usize]) {
    #[cfg(target_arch = "x86_64")]
    if available() {
        // SAFETY: the processor has just been found to have the features.
        return unsafe { x86::absorb(state, schedules, lanes) };
    }
    absorb_portable(state, schedules, lanes);
}

/// Runs the rounds of one block over each of eight states: word i of state `lane` is `states[i][lane]`.
pub fn absorb_each(states: &mut [Word; 8], schedules: &Schedules) {
    #[cfg(target_arch = "x86_64")]
    if available() {
        // SAFETY: the processor has just been found to have the feature.
        return unsafe { x86::absorb_each(states, schedules) };
    }
    absorb_each_portable(states, schedules);
}

/// The same once more: the schedule in vectors, the rest the portable text compiled for newer processors.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi64, _mm512_loadu_epi64, _mm512_ror_epi64, _mm512_set1_epi64, _mm512_srli_epi64,
        _mm512_storeu_epi64, _mm512_ternarylogic_epi64,
    };

    use super::{K, ROUNDS, Schedules, State, Word};

    /// The truth table of x ^ y ^ z.
    const XOR3: i32 = 0x96;

    /// [`super::expand_portable`], one register for a word of every block. The window is sixteen variables and no array,
    /// so that it stays in registers.
    #[target_feature(enable = "avx512f")]
    pub(super) fn expand(blocks: &[Word; 16], schedules: &mut Schedules) {
        let mut w0 = load(&blocks[0]);
        let mut w1 = load(&blocks[1]);
        let mut w2 = load(&blocks[2]);
        let mut w3 = load(&blocks[3]);
        let mut w4 = load(&blocks[4]);
        let mut w5 = load(&blocks[5]);
        let mut w6 = load(&blocks[6]);
        let mut w7 = load(&blocks[7]);
        let mut w8 = load(&blocks[8]);
        let mut w9 = load(&blocks[9]);
        let mut w10 = load(&blocks[10]);
        let mut w11 = load(&blocks[11]);
        let mut w12 = load(&blocks[12]);
        let mut w13 = load(&blocks[13]);
        let mut w14 = load(&blocks[14]);
        let mut w15 = load(&blocks[15]);
        store(schedules, 0, w0);
        store(schedules, 1, w1);
        store(schedules, 2, w2);
        store(schedules, 3, w3);
        store(schedules, 4, w4);
        store(schedules, 5, w5);
        store(schedules, 6, w6);
        store(schedules, 7, w7);
        store(schedules, 8, w8);
        store(schedules, 9, w9);
        store(schedules, 10, w10);
        store(schedules, 11, w11);
        store(schedules, 12, w12);
        store(schedules, 13, w13);
        store(schedules, 14, w14);
        store(schedules, 15, w15);
        for start in (16..ROUNDS).step_by(16) {
            macro_rules! next {
                ($word:ident $seven:ident $fifteen:ident $two:ident $t:literal) => {
                    let sum = _mm512_add_epi64(_mm512_add_epi64($word, $seven), sigma::<1, 8, 7>($fifteen));
                    $word = _mm512_add_epi64(sum, sigma::<19, 61, 6>($two));
                    store(schedules, start + $t, $word);
                };
            }
            next!(w0 w9 w1 w14 0);
            next!(w1 w10 w2 w15 1);
            next!(w2 w11 w3 w0 2);
            next!(w3 w12 w4 w1 3);
            next!(w4 w13 w5 w2 4);
            next!(w5 w14 w6 w3 5);
            next!(w6 w15 w7 w4 6);
            next!(w7 w0 w8 w5 7);
            next!(w8 w1 w9 w6 8);
            next!(w9 w2 w10 w7 9);
            next!(w10 w3 w11 w8 10);
            next!(w11 w4 w12 w9 11);
            next!(w12 w5 w13 w10 12);
            next!(w13 w6 w14 w11 13);
            next!(w14 w7 w15 w12 14);
            next!(w15 w8 w0 w13 15);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(word: &Word) -> __m512i {
        // SAFETY: a word is the 64 bytes that are read.
        unsafe { _mm512_loadu_epi64(word.as_ptr().cast()) }
    }

    /// Stores word t with its constant added.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store(schedules: &mut Schedules, t: usize, word: __m512i) {
        let word = _mm512_add_epi64(word, _mm512_set1_epi64(K[t].cast_signed()));
        // SAFETY: a word is the 64 bytes that are written.
        unsafe { _mm512_storeu_epi64(schedules.0[t].as_mut_ptr().cast(), word) };
    }

    /// `x ⋙ A ^ x ⋙ B ^ x ≫ S`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn sigma<const A: i32, const B: i32, const S: u32>(x: __m512i) -> __m512i {
        _mm512_ternarylogic_epi64::<XOR3>(_mm512_ror_epi64::<A>(x), _mm512_ror_epi64::<B>(x), _mm512_srli_epi64::<S>(x))
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn absorb_each(states: &mut [Word; 8], schedules: &Schedules) {
        super::absorb_each_portable(states, schedules);
    }

    #[target_feature(enable = "bmi1,bmi2")]
    pub(super) fn absorb(state: &mut State, schedules: &Schedules, lanes: &[usize]) {
        super::absorb_portable(state, schedules, lanes);
    }
}

fn expand_portable(blocks: &[Word; 16], schedules: &mut Schedules) {
    for lane in 0..LANES {
        let mut window = blocks.map(|word| word[lane]);
        for (t, words) in schedules.0.iter_mut().enumerate() {
            if t >= 16 {
                let (two, fifteen) = (window[(t - 2) % 16], window[(t - 15) % 16]);
                window[t % 16] = window[t % 16]
                    .wrapping_add(window[(t - 7) % 16])
                    .wrapping_add(fifteen.rotate_right(1) ^ fifteen.rotate_right(8) ^ (fifteen >> 7))
                    .wrapping_add(two.rotate_right(19) ^ two.rotate_right(61) ^ (two >> 6));
            }
            words[lane] = window[t % 16].wrapping_add(K[t]);
        }
    }
}

/// One round: the new h becomes the next round's a, the new d its e. `xor_bc` is b ^ c and becomes a ^ b, the next b ^ c.
macro_rules! round {
    ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident $xor_bc:ident, $word:expr) => {
        let choice = (($f ^ $g) & $e) ^ $g;
        let sum1 = $e.rotate_right(14) ^ $e.rotate_right(18) ^ $e.rotate_right(41);
        let first = $h.wrapping_add($word).wrapping_add(choice).wrapping_add(sum1);
        $d = $d.wrapping_add(first);
        let xor_ab = $a ^ $b;
        let majority = (xor_ab & $xor_bc) ^ $b;
        let sum0 = $a.rotate_right(28) ^ $a.rotate_right(34) ^ $a.rotate_right(39);
        $h = first.wrapping_add(sum0).wrapping_add(majority);
        $xor_bc = xor_ab;
    };
}

#[inline(always)]
fn absorb_portable(state: &mut State, schedules: &Schedules, lanes: &[usize]) {
    let mut chain = *state;
    for &lane in lanes {
        let lane = lane % LANES;
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = chain;
        let mut xor_bc = b ^ c;
        for words in schedules.0.as_chunks::<8>().0 {
            round!(a b c d e f g h xor_bc, words[0][lane]);
            round!(h a b c d e f g xor_bc, words[1][lane]);
            round!(g h a b c d e f xor_bc, words[2][lane]);
            round!(f g h a b c d e xor_bc, words[3][lane]);
            round!(e f g h a b c d xor_bc, words[4][lane]);
            round!(d e f g h a b c xor_bc, words[5][lane]);
            round!(c d e f g h a b xor_bc, words[6][lane]);
            round!(b c d e f g h a xor_bc, words[7][lane]);
        }
        for (word, add) in chain.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *word = word.wrapping_add(add);
        }
    }
    *state = chain;
}

#[inline(always)]
fn absorb_each_portable(states: &mut [Word; 8], schedules: &Schedules) {
    let mut s = *states;
    for words in &schedules.0 {
        for lane in 0..LANES {
            let [a, b, c, d, e, f, g, h] = std::array::from_fn(|word| s[word][lane]);
            let choice = ((f ^ g) & e) ^ g;
            let sum1 = e.rotate_right(14) ^ e.rotate_right(18) ^ e.rotate_right(41);
            let first = h.wrapping_add(words[lane]).wrapping_add(choice).wrapping_add(sum1);
            let majority = ((a ^ b) & (b ^ c)) ^ b;
            let sum0 = a.rotate_right(28) ^ a.rotate_right(34) ^ a.rotate_right(39);
            let next = [first.wrapping_add(sum0).wrapping_add(majority), a, b, c, d.wrapping_add(first), e, f, g];
            for word in 0..8 {
                s[word][lane] = next[word];
            }
        }
    }
    for (words, adds) in states.iter_mut().zip(s) {
        for (word, add) in words.iter_mut().zip(adds) {
            *word = word.wrapping_add(add);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_core::{RngCore, SeedableRng};
    use sha2::block_api::compress512;

    use super::*;

    /// Blocks of random words, side by side and as bytes.
    fn blocks(seed: u64) -> ([Word; 16], [[u8; 128]; LANES]) {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let words: [Word; 16] = std::array::from_fn(|_| std::array::from_fn(|_| random.next_u64()));
        let bytes = std::array::from_fn(|lane| {
            let mut block = [0; 128];
            for (bytes, word) in block.as_chunks_mut().0.iter_mut().zip(&words) {
                *bytes = word[lane].to_be_bytes();
            }
            block
        });
        (words, bytes)
    }

    type Expand = fn(&[Word; 16], &mut Schedules);
    type Absorb = fn(&mut State, &Schedules, &[usize]);
    type AbsorbEach = fn(&mut [Word; 8], &Schedules);

    /// Both texts; the first is the portable one where the processor has no other.
    const TEXTS: [(Expand, Absorb, AbsorbEach); 2] =
        [(expand, absorb, absorb_each), (expand_portable, absorb_portable, absorb_each_portable)];

    #[test]
    fn absorbing_lanes_matches_compression() {
        for (expand, absorb, _) in TEXTS {
            for (seed, lanes) in [&[][..], &[0], &[7], &[3, 4], &[0, 1, 2, 3, 4, 5, 6, 7, 0, 7, 3]].iter().enumerate() {
                let (words, bytes) = blocks(seed as u64);
                let mut schedules = Schedules::new();
                expand(&words, &mut schedules);
                let (mut state, mut expected) = (INITIAL, INITIAL);
                absorb(&mut state, &schedules, lanes);
                lanes.iter().for_each(|&lane| compress512(&mut expected, &[bytes[lane]]));
                assert_eq!(state, expected, "{lanes:?}");
            }
        }
    }

    #[test]
    fn absorbing_each_matches_compression() {
        for (expand, _, absorb_each) in TEXTS {
            let (words, bytes) = blocks(9);
            let mut schedules = Schedules::new();
            expand(&words, &mut schedules);
            let start: [Word; 8] = std::array::from_fn(|word| std::array::from_fn(|lane| INITIAL[word] ^ lane as u64));
            let mut states = start;
            absorb_each(&mut states, &schedules);
            for lane in 0..LANES {
                let mut expected = start.map(|word| word[lane]);
                compress512(&mut expected, &[bytes[lane]]);
                assert_eq!(states.map(|word| word[lane]), expected, "lane {lane}");
            }
        }
    }
}
