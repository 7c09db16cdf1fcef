//! Labels of several sectors, one to each lane of vectors: AVX2 and AVX-512.
//!
//! SHA-256 has words of 32 bits, a block being two parents; SHA-512 words of 64 bits, a block being two parents widened
//! ([`widen`](crate::hash::label::widen)). Beyond that they differ in constants, so they share one text. Source: FIPS 180-4,
//! 6.2 and 6.4.

use super::LabelLanes;
use crate::field::Node;
use crate::sector::ReplicaId;
use crate::sector::params::{DEGREE, LABEL_PARENTS};

/// Blocks of nothing but parents, between that with the header and the last.
const PARENT_BLOCKS: usize = LABEL_PARENTS / 2;
/// Pairs of parents that differ.
const PAIRS: usize = DEGREE / 2;
/// Words of a message besides those of its parents: half a block for the replica id, half a block for the rest of the header.
const HEADER_WORDS: usize = 16;
/// Words of a parent.
const PARENT_WORDS: usize = 8;

macro_rules! lanes {
    (
        $(#[$meta:meta])* $name:ident, $features:literal, $vector:ty, $word:ty, $lanes:literal, $rounds:literal,
        $initial:expr, $constants:expr,
        [$a0:literal $a1:literal $a2:literal] [$e0:literal $e1:literal $e2:literal]
        [$s0:literal $s1:literal $s2:literal] [$t0:literal $t1:literal $t2:literal],
        $($operations:item)*
    ) => {
        $(#[$meta])*
        pub(super) mod $name {
            use core::arch::x86_64::*;

            use super::*;

            /// Sectors at once.
            pub(in super::super) const LANES: usize = $lanes;
            const ROUNDS: usize = $rounds;
            const BITS: i32 = <$word>::BITS as i32;

            type Vector = $vector;
            type State = [Vector; 8];
            type Schedule = [Vector; ROUNDS];

            $($operations)*

            /// A layer of sectors, and room for what is expanded.
            struct Lanes {
                pairs: [Schedule; PAIRS],
                edges: Schedule,
                /// The words of the replica ids.
                ids: [Vector; PARENT_WORDS],
                layer: u32,
            }

            /// Begins a layer of as many sectors as there are lanes.
            pub(in super::super) fn begin(replica_ids: &[ReplicaId], layer: u32) -> Box<dyn LabelLanes> {
                assert!(available(), "checked by whoever chose the kernel");
                let replica_ids = replica_ids.try_into().expect("a replica id for each lane");
                // SAFETY: the processor has just been found to have the features.
                unsafe { Lanes::new(replica_ids, layer) }
            }

            impl LabelLanes for Lanes {
                fn label(&mut self, node: u64, parents: &[[Node; DEGREE]], count: usize, labels: &mut [Node]) {
                    let parents = parents.try_into().expect("parents of each sector");
                    // SAFETY: lanes exist only where `begin` found the features.
                    let made = unsafe { self.label_all(node, parents, count) };
                    labels.copy_from_slice(&made);
                }
            }

            impl Lanes {
                #[target_feature(enable = $features)]
                fn new(replica_ids: &[ReplicaId; LANES], layer: u32) -> Box<Self> {
                    let zero = splat(0);
                    let mut rows = [[[0; 32]; DEGREE]; LANES];
                    for (row, id) in rows.iter_mut().zip(replica_ids) {
                        row[0] = *id;
                    }
                    let words = block(&rows, 0);
                    let mut ids = [zero; PARENT_WORDS];
                    ids.copy_from_slice(&words[..PARENT_WORDS]);
                    Box::new(Self { pairs: [[zero; ROUNDS]; PAIRS], edges: [zero; ROUNDS], ids, layer })
                }

                #[target_feature(enable = $features)]
                fn label_all(&mut self, node: u64, parents: &[[Node; DEGREE]; LANES], count: usize) -> [Node; LANES] {
                    let zero = splat(0);
                    let mut words = [zero; 16];
                    words[..PARENT_WORDS].copy_from_slice(&self.ids);
                    // Layer and node; the rest is zeros.
                    let header = u128::from(self.layer) << 96 | u128::from(node) << 32;
                    for (place, word) in words[PARENT_WORDS..].iter_mut().take(128 / BITS as usize).enumerate() {
                        *word = splat((header >> (128 - (place as u32 + 1) * BITS as u32)) as $word);
                    }
                    let mut initial = [zero; 8];
                    for (wide, word) in initial.iter_mut().zip($initial) {
                        *wide = splat(word);
                    }
                    expand(words, &mut self.edges);
                    let mut state = absorb(initial, &self.edges);

                    let pairs = count / 2;
                    for pair in 0..pairs {
                        let mut words = block(parents, pair);
                        expand(words, &mut self.pairs[pair]);
                        if pair == (LABEL_PARENTS - 1) % count / 2 {
                            // The last parent is the first of a pair: what follows it is a one bit and the length.
                            words[PARENT_WORDS] = splat(1 << (BITS - 1));
                            for word in &mut words[PARENT_WORDS + 1..15] {
                                *word = zero;
                            }
                            words[15] = splat(((HEADER_WORDS + LABEL_PARENTS * PARENT_WORDS) * BITS as usize) as $word);
                            expand(words, &mut self.edges);
                        }
                    }
                    for at in 0..PARENT_BLOCKS {
                        state = absorb(state, &self.pairs[at % pairs]);
                    }
                    state = absorb(state, &self.edges);
                    finish(state)
                }
            }

            /// The schedule of a block, round constants added.
            #[target_feature(enable = $features)]
            fn expand(mut words: [Vector; 16], schedule: &mut Schedule) {
                for chunk in 0..ROUNDS / 16 {
                    for place in 0..16 {
                        if chunk > 0 {
                            let (x, y) = (words[(place + 1) % 16], words[(place + 14) % 16]);
                            let small_0 = xor(ror::<$s0, { BITS - $s0 }>(x), ror::<$s1, { BITS - $s1 }>(x), shr::<$s2>(x));
                            let small_1 = xor(ror::<$t0, { BITS - $t0 }>(y), ror::<$t1, { BITS - $t1 }>(y), shr::<$t2>(y));
                            words[place] = add(add(words[place], words[(place + 9) % 16]), add(small_0, small_1));
                        }
                        let at = chunk * 16 + place;
                        schedule[at] = add(words[place], splat($constants[at]));
                    }
                }
            }

            /// The rounds of a block.
            #[target_feature(enable = $features)]
            fn absorb(state: State, schedule: &Schedule) -> State {
                let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
                for words in schedule.as_chunks::<8>().0 {
                    for word in words {
                        let big_1 = xor(ror::<$e0, { BITS - $e0 }>(e), ror::<$e1, { BITS - $e1 }>(e), ror::<$e2, { BITS - $e2 }>(e));
                        let first = add(add(h, *word), add(big_1, choice(e, f, g)));
                        let big_0 = xor(ror::<$a0, { BITS - $a0 }>(a), ror::<$a1, { BITS - $a1 }>(a), ror::<$a2, { BITS - $a2 }>(a));
                        let second = add(big_0, majority(a, b, c));
                        (h, g, f, e) = (g, f, e, add(d, first));
                        (d, c, b, a) = (c, b, a, add(first, second));
                    }
                }
                let mut sum = [a, b, c, d, e, f, g, h];
                for (word, before) in sum.iter_mut().zip(state) {
                    *word = add(*word, before);
                }
                sum
            }

            /// What the lanes' states say, cut to labels.
            #[target_feature(enable = $features)]
            fn finish(state: State) -> [Node; LANES] {
                let mut nodes = [[0; 32]; LANES];
                for (place, word) in state.into_iter().take(256 / BITS as usize).enumerate() {
                    let mut lanes: [$word; LANES] = [0; LANES];
                    store(&mut lanes, word);
                    for (node, word) in nodes.iter_mut().zip(lanes) {
                        node[place * size_of::<$word>()..][..size_of::<$word>()].copy_from_slice(&word.to_be_bytes());
                    }
                }
                for node in &mut nodes {
                    node[31] &= 0x3f;
                }
                nodes
            }
        }
    };
}

lanes! {
    /// SHA-256 with AVX-512.
    sha256_sixteen, "avx512f", __m512i, u32, 16, 64,
    crate::hash::sha256::INITIAL, crate::hash::sha256::ROUND,
    [2 13 22] [6 11 25] [7 18 3] [17 19 10],

    /// Whether the processor has the features.
    pub(in super::super) fn available() -> bool { is_x86_feature_detected!("avx512f") }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn splat(word: u32) -> Vector { _mm512_set1_epi32(word as i32) }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn add(x: Vector, y: Vector) -> Vector { _mm512_add_epi32(x, y) }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn xor(x: Vector, y: Vector, z: Vector) -> Vector { _mm512_ternarylogic_epi32::<0x96>(x, y, z) }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn choice(e: Vector, f: Vector, g: Vector) -> Vector { _mm512_ternarylogic_epi32::<0xca>(e, f, g) }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn majority(a: Vector, b: Vector, c: Vector) -> Vector { _mm512_ternarylogic_epi32::<0xe8>(a, b, c) }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn ror<const RIGHT: i32, const LEFT: i32>(x: Vector) -> Vector { _mm512_ror_epi32::<RIGHT>(x) }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn shr<const BITS: u32>(x: Vector) -> Vector { _mm512_srli_epi32::<BITS>(x) }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store(to: &mut [u32; 16], x: Vector) {
        // SAFETY: the array has the 64 bytes that are written, and no alignment is asked for.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), x) }
    }

    #[target_feature(enable = "avx512f")]
    fn block(parents: &[[Node; DEGREE]; LANES], pair: usize) -> [Vector; 16] {
        let mut rows = [splat(0); 16];
        for (row, parents) in rows.iter_mut().zip(parents) {
            let pair: &[u8] = parents[2 * pair..2 * pair + 2].as_flattened();
            // SAFETY: two nodes have the 64 bytes that are read, and no alignment is asked for.
            *row = unsafe { _mm512_loadu_si512(pair.as_ptr().cast()) };
        }
        let mut words = crate::hash::sha256_lanes::transposed(rows);
        for word in &mut words {
            *word = crate::hash::sha256_lanes::swapped(*word);
        }
        words
    }
}

lanes! {
    /// SHA-256 with AVX2.
    sha256_eight, "avx2", __m256i, u32, 8, 64,
    crate::hash::sha256::INITIAL, crate::hash::sha256::ROUND,
    [2 13 22] [6 11 25] [7 18 3] [17 19 10],

    /// Whether the processor has the features.
    pub(in super::super) fn available() -> bool { is_x86_feature_detected!("avx2") }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn splat(word: u32) -> Vector { _mm256_set1_epi32(word as i32) }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(x: Vector, y: Vector) -> Vector { _mm256_add_epi32(x, y) }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn xor(x: Vector, y: Vector, z: Vector) -> Vector { _mm256_xor_si256(x, _mm256_xor_si256(y, z)) }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn choice(e: Vector, f: Vector, g: Vector) -> Vector { _mm256_xor_si256(g, _mm256_and_si256(e, _mm256_xor_si256(f, g))) }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn majority(a: Vector, b: Vector, c: Vector) -> Vector {
        _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(c, _mm256_or_si256(a, b)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn ror<const RIGHT: i32, const LEFT: i32>(x: Vector) -> Vector {
        _mm256_or_si256(_mm256_srli_epi32::<RIGHT>(x), _mm256_slli_epi32::<LEFT>(x))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn shr<const BITS: i32>(x: Vector) -> Vector { _mm256_srli_epi32::<BITS>(x) }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn store(to: &mut [u32; 8], x: Vector) {
        // SAFETY: the array has the 32 bytes that are written, and no alignment is asked for.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), x) }
    }

    #[target_feature(enable = "avx2")]
    fn block(parents: &[[Node; DEGREE]; LANES], pair: usize) -> [Vector; 16] {
        let mut words = [splat(0); 16];
        for half in 0..2 {
            let mut rows = [splat(0); 8];
            for (row, parents) in rows.iter_mut().zip(parents) {
                let parent: &Node = &parents[2 * pair + half];
                // SAFETY: a node has the 32 bytes that are read, and no alignment is asked for.
                *row = unsafe { _mm256_loadu_si256(parent.as_ptr().cast()) };
            }
            words[8 * half..8 * half + 8].copy_from_slice(&transposed(rows));
        }
        words
    }

    /// The transpose of 8 × 8 words, whose bytes are turned round.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn transposed(rows: [Vector; 8]) -> [Vector; 8] {
        let order = _mm256_setr_epi8(3,2,1,0,7,6,5,4,11,10,9,8,15,14,13,12,3,2,1,0,7,6,5,4,11,10,9,8,15,14,13,12);
        let mut quads = rows;
        for group in 0..2 {
            let [r0, r1, r2, r3] = [rows[4 * group], rows[4 * group + 1], rows[4 * group + 2], rows[4 * group + 3]];
            let (low_01, high_01) = (_mm256_unpacklo_epi32(r0, r1), _mm256_unpackhi_epi32(r0, r1));
            let (low_23, high_23) = (_mm256_unpacklo_epi32(r2, r3), _mm256_unpackhi_epi32(r2, r3));
            quads[4 * group] = _mm256_unpacklo_epi64(low_01, low_23);
            quads[4 * group + 1] = _mm256_unpackhi_epi64(low_01, low_23);
            quads[4 * group + 2] = _mm256_unpacklo_epi64(high_01, high_23);
            quads[4 * group + 3] = _mm256_unpackhi_epi64(high_01, high_23);
        }
        let mut columns = rows;
        for column in 0..4 {
            let low = _mm256_permute2x128_si256::<0x20>(quads[column], quads[4 + column]);
            let high = _mm256_permute2x128_si256::<0x31>(quads[column], quads[4 + column]);
            columns[column] = _mm256_shuffle_epi8(low, order);
            columns[4 + column] = _mm256_shuffle_epi8(high, order);
        }
        columns
    }
}

lanes! {
    /// SHA-512 with AVX-512.
    sha512_eight, "avx512f,avx512bw", __m512i, u64, 8, 80,
    crate::hash::sha512_blocks::INITIAL, crate::hash::sha512_blocks::K,
    [28 34 39] [14 18 41] [1 8 7] [19 61 6],

    /// Whether the processor has the features.
    pub(in super::super) fn available() -> bool { is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn splat(word: u64) -> Vector { _mm512_set1_epi64(word as i64) }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn add(x: Vector, y: Vector) -> Vector { _mm512_add_epi64(x, y) }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn xor(x: Vector, y: Vector, z: Vector) -> Vector { _mm512_ternarylogic_epi64::<0x96>(x, y, z) }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn choice(e: Vector, f: Vector, g: Vector) -> Vector { _mm512_ternarylogic_epi64::<0xca>(e, f, g) }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn majority(a: Vector, b: Vector, c: Vector) -> Vector { _mm512_ternarylogic_epi64::<0xe8>(a, b, c) }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn ror<const RIGHT: i32, const LEFT: i32>(x: Vector) -> Vector { _mm512_ror_epi64::<RIGHT>(x) }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn shr<const BITS: u32>(x: Vector) -> Vector { _mm512_srli_epi64::<BITS>(x) }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn store(to: &mut [u64; 8], x: Vector) {
        // SAFETY: the array has the 64 bytes that are written, and no alignment is asked for.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), x) }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    fn block(parents: &[[Node; DEGREE]; LANES], pair: usize) -> [Vector; 16] {
        let order = _mm512_broadcast_i32x4(_mm_setr_epi8(7,6,5,4,3,2,1,0,15,14,13,12,11,10,9,8));
        let mut rows = [splat(0); 8];
        for (row, parents) in rows.iter_mut().zip(parents) {
            let pair: &[u8] = parents[2 * pair..2 * pair + 2].as_flattened();
            // SAFETY: two nodes have the 64 bytes that are read, and no alignment is asked for.
            *row = unsafe { _mm512_loadu_si512(pair.as_ptr().cast()) };
            *row = _mm512_shuffle_epi8(*row, order);
        }
        let columns = transposed(rows);
        let mut words = [splat(0); 16];
        for half in 0..2 {
            for i in 0..4 {
                let word = columns[4 * half + i];
                words[8 * half + i] = word;
                words[8 * half + 7 - i] = _mm512_xor_si512(_mm512_ror_epi64::<32>(word), splat(u64::MAX));
            }
        }
        words
    }

    /// The transpose of 8 × 8 words.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn transposed(rows: [Vector; 8]) -> [Vector; 8] {
        // Quarters of 2 × 2 words first: lane q of `pairs[2g + c]` is column 2q + c of rows 2g and 2g + 1.
        let mut pairs = rows;
        for group in 0..4 {
            pairs[2 * group] = _mm512_unpacklo_epi64(rows[2 * group], rows[2 * group + 1]);
            pairs[2 * group + 1] = _mm512_unpackhi_epi64(rows[2 * group], rows[2 * group + 1]);
        }
        let mut columns = rows;
        for column in 0..2 {
            let [g0, g1, g2, g3] = [pairs[column], pairs[2 + column], pairs[4 + column], pairs[6 + column]];
            let (low_01, high_01) = (_mm512_shuffle_i64x2::<0x44>(g0, g1), _mm512_shuffle_i64x2::<0xee>(g0, g1));
            let (low_23, high_23) = (_mm512_shuffle_i64x2::<0x44>(g2, g3), _mm512_shuffle_i64x2::<0xee>(g2, g3));
            columns[column] = _mm512_shuffle_i64x2::<0x88>(low_01, low_23);
            columns[2 + column] = _mm512_shuffle_i64x2::<0xdd>(low_01, low_23);
            columns[4 + column] = _mm512_shuffle_i64x2::<0x88>(high_01, high_23);
            columns[6 + column] = _mm512_shuffle_i64x2::<0xdd>(high_01, high_23);
        }
        columns
    }
}

lanes! {
    /// SHA-512 with AVX2.
    sha512_four, "avx2", __m256i, u64, 4, 80,
    crate::hash::sha512_blocks::INITIAL, crate::hash::sha512_blocks::K,
    [28 34 39] [14 18 41] [1 8 7] [19 61 6],

    /// Whether the processor has the features.
    pub(in super::super) fn available() -> bool { is_x86_feature_detected!("avx2") }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn splat(word: u64) -> Vector { _mm256_set1_epi64x(word as i64) }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(x: Vector, y: Vector) -> Vector { _mm256_add_epi64(x, y) }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn xor(x: Vector, y: Vector, z: Vector) -> Vector { _mm256_xor_si256(x, _mm256_xor_si256(y, z)) }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn choice(e: Vector, f: Vector, g: Vector) -> Vector { _mm256_xor_si256(g, _mm256_and_si256(e, _mm256_xor_si256(f, g))) }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn majority(a: Vector, b: Vector, c: Vector) -> Vector {
        _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(c, _mm256_or_si256(a, b)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn ror<const RIGHT: i32, const LEFT: i32>(x: Vector) -> Vector {
        _mm256_or_si256(_mm256_srli_epi64::<RIGHT>(x), _mm256_slli_epi64::<LEFT>(x))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn shr<const BITS: i32>(x: Vector) -> Vector { _mm256_srli_epi64::<BITS>(x) }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn store(to: &mut [u64; 4], x: Vector) {
        // SAFETY: the array has the 32 bytes that are written, and no alignment is asked for.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), x) }
    }

    #[target_feature(enable = "avx2")]
    fn block(parents: &[[Node; DEGREE]; LANES], pair: usize) -> [Vector; 16] {
        let order = _mm256_setr_epi8(7,6,5,4,3,2,1,0,15,14,13,12,11,10,9,8,7,6,5,4,3,2,1,0,15,14,13,12,11,10,9,8);
        let mut words = [splat(0); 16];
        for half in 0..2 {
            let mut rows = [splat(0); 4];
            for (row, parents) in rows.iter_mut().zip(parents) {
                let parent: &Node = &parents[2 * pair + half];
                // SAFETY: a node has the 32 bytes that are read, and no alignment is asked for.
                *row = _mm256_shuffle_epi8(unsafe { _mm256_loadu_si256(parent.as_ptr().cast()) }, order);
            }
            let [r0, r1, r2, r3] = rows;
            let (low_01, high_01) = (_mm256_unpacklo_epi64(r0, r1), _mm256_unpackhi_epi64(r0, r1));
            let (low_23, high_23) = (_mm256_unpacklo_epi64(r2, r3), _mm256_unpackhi_epi64(r2, r3));
            let columns = [
                _mm256_permute2x128_si256::<0x20>(low_01, low_23),
                _mm256_permute2x128_si256::<0x20>(high_01, high_23),
                _mm256_permute2x128_si256::<0x31>(low_01, low_23),
                _mm256_permute2x128_si256::<0x31>(high_01, high_23),
            ];
            for (i, word) in columns.into_iter().enumerate() {
                words[8 * half + i] = word;
                words[8 * half + 7 - i] =
                    _mm256_xor_si256(_mm256_shuffle_epi32::<0b10_11_00_01>(word), splat(u64::MAX));
            }
        }
        words
    }
}
