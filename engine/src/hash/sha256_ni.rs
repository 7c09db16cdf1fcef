//! SHA-256 by the SHA instructions of x86-64, over blocks that are expanded beforehand, one message at a time or two.
//!
//! Two rounds of a message take four cycles, each waiting for the one before, and leave half of the unit idle: a second
//! message fits between. Expanding a block (`w(t) + k(t)`) waits for no rounds, and what is expanded can be used again.
//! Source: FIPS 180-4, 6.2.2.

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_load_si128, _mm_loadu_si128, _mm_set_epi32, _mm_setr_epi8,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
    _mm_store_si128, _mm_storeu_si128,
};

use super::sha256::ROUND;

/// `w(t) + k(t)` of a block, four words together.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Schedule([[u32; 4]; 16]);

impl Schedule {
    /// Of no block.
    pub(crate) const EMPTY: Self = Self([[0; 4]; 16]);

    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn put(&mut self, at: usize, words: __m128i) {
        // SAFETY: four words from a multiple of four on, `at` being below 16, and no alignment is asked for.
        let constants = unsafe { _mm_loadu_si128(ROUND[4 * at..4 * at + 4].as_ptr().cast()) };
        // SAFETY: an element has 16 bytes and, 64 being the alignment of the whole, lies at a multiple of 16.
        unsafe { _mm_store_si128(self.0[at].as_mut_ptr().cast(), _mm_add_epi32(words, constants)) };
    }

    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn get(&self, at: usize) -> __m128i {
        // SAFETY: as in `put`.
        unsafe { _mm_load_si128(self.0[at].as_ptr().cast()) }
    }
}

/// A chaining value as the instructions want it: words a, b, e, f, and words c, d, g, h.
#[derive(Clone, Copy)]
pub(crate) struct State(__m128i, __m128i);

/// Whether the processor has the instructions.
pub(crate) fn available() -> bool {
    is_x86_feature_detected!("sha") && is_x86_feature_detected!("sse4.1") && is_x86_feature_detected!("ssse3")
}

/// Expands a block.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
pub(crate) fn expand(block: &[u8; 64], schedule: &mut Schedule) {
    let words = begin(block, schedule);
    // By name, so that they stay in registers.
    let [mut w0, mut w1, mut w2, mut w3] = words;
    for chunk in 1..4 {
        w0 = extended(w0, w1, w2, w3);
        schedule.put(4 * chunk, w0);
        w1 = extended(w1, w2, w3, w0);
        schedule.put(4 * chunk + 1, w1);
        w2 = extended(w2, w3, w0, w1);
        schedule.put(4 * chunk + 2, w2);
        w3 = extended(w3, w0, w1, w2);
        schedule.put(4 * chunk + 3, w3);
    }
}

/// The words of a block, the beginning of its schedule.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn begin(block: &[u8; 64], schedule: &mut Schedule) -> [__m128i; 4] {
    let order = _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
    let mut words = [order; 4];
    for (place, (words, bytes)) in words.iter_mut().zip(block.as_chunks::<16>().0).enumerate() {
        // SAFETY: 16 bytes, and no alignment is asked for.
        *words = _mm_shuffle_epi8(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }, order);
        schedule.put(place, *words);
    }
    words
}

/// The four words that follow sixteen.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn extended(w0: __m128i, w1: __m128i, w2: __m128i, w3: __m128i) -> __m128i {
    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8::<4>(w3, w2));
    _mm_sha256msg2_epu32(sum, w3)
}

/// A chaining value.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
pub(crate) fn packed(state: [u32; 8]) -> State {
    let [a, b, c, d, e, f, g, h] = state.map(u32::cast_signed);
    State(_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h))
}

/// The words of a chaining value.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
pub(crate) fn unpacked(State(abef, cdgh): State) -> [u32; 8] {
    let [mut first, mut second] = [[0_u32; 4]; 2];
    // SAFETY: 16 bytes each, and no alignment is asked for.
    unsafe {
        _mm_storeu_si128(first.as_mut_ptr().cast(), abef);
        _mm_storeu_si128(second.as_mut_ptr().cast(), cdgh);
    }
    let ([f, e, b, a], [h, g, d, c]) = (first, second);
    [a, b, c, d, e, f, g, h]
}

/// The rounds of a block.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
pub(crate) fn absorb(state: State, schedule: &Schedule) -> State {
    let State(mut abef, mut cdgh) = state;
    for at in 0..16 {
        let words = schedule.get(at);
        cdgh = _mm_sha256rnds2_epu32(cdgh, abef, words);
        abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32::<0x0e>(words));
    }
    State(_mm_add_epi32(abef, state.0), _mm_add_epi32(cdgh, state.1))
}

/// The rounds of a block over each of two messages.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
pub(crate) fn absorb_two(states: [State; 2], schedules: [&Schedule; 2]) -> [State; 2] {
    let [State(mut abef, mut cdgh), State(mut other_abef, mut other_cdgh)] = states;
    for at in 0..16 {
        let (words, other_words) = (schedules[0].get(at), schedules[1].get(at));
        cdgh = _mm_sha256rnds2_epu32(cdgh, abef, words);
        other_cdgh = _mm_sha256rnds2_epu32(other_cdgh, other_abef, other_words);
        abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32::<0x0e>(words));
        other_abef = _mm_sha256rnds2_epu32(other_abef, other_cdgh, _mm_shuffle_epi32::<0x0e>(other_words));
    }
    let [state, other] = states;
    [
        State(_mm_add_epi32(abef, state.0), _mm_add_epi32(cdgh, state.1)),
        State(_mm_add_epi32(other_abef, other.0), _mm_add_epi32(other_cdgh, other.1)),
    ]
}

/// [`absorb_two`] and [`expand`] of two other blocks, which takes less time than one after the other: what is expanded waits
/// for no rounds, and near in the text means at the same time.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
pub(crate) fn absorb_and_expand(
    states: [State; 2],
    schedules: [&Schedule; 2],
    blocks: [&[u8; 64]; 2],
    expanded: [&mut Schedule; 2],
) -> [State; 2] {
    let [State(mut abef, mut cdgh), State(mut other_abef, mut other_cdgh)] = states;
    let [first, second] = expanded;
    let mut words = begin(blocks[0], first);
    for at in 0..16 {
        let (round, other_round) = (schedules[0].get(at), schedules[1].get(at));
        cdgh = _mm_sha256rnds2_epu32(cdgh, abef, round);
        other_cdgh = _mm_sha256rnds2_epu32(other_cdgh, other_abef, other_round);
        abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32::<0x0e>(round));
        other_abef = _mm_sha256rnds2_epu32(other_abef, other_cdgh, _mm_shuffle_epi32::<0x0e>(other_round));
        // Twelve steps in eight pairs of rounds.
        let [w0, w1, w2, w3] = words;
        words = match at % 8 {
            0 | 2 | 4 | 6 => {
                let next = extended(w0, w1, w2, w3);
                if at < 8 { &mut *first } else { &mut *second }.put(4 + at % 8 / 2 * 3, next);
                [w1, w2, w3, next]
            }
            _ => {
                let next = extended(w0, w1, w2, w3);
                let last = extended(w1, w2, w3, next);
                let schedule = if at < 8 { &mut *first } else { &mut *second };
                schedule.put(5 + at % 8 / 2 * 3, next);
                schedule.put(6 + at % 8 / 2 * 3, last);
                [w2, w3, next, last]
            }
        };
        if at == 7 {
            words = begin(blocks[1], second);
        }
    }
    let [state, other] = states;
    [
        State(_mm_add_epi32(abef, state.0), _mm_add_epi32(cdgh, state.1)),
        State(_mm_add_epi32(other_abef, other.0), _mm_add_epi32(other_cdgh, other.1)),
    ]
}

/// Absorbs blocks of two messages, as many of each; whether the processor has the instructions.
pub(crate) fn compress_two(states: [&mut [u32; 8]; 2], messages: [&[[u8; 64]]; 2]) -> bool {
    assert_eq!(messages[0].len(), messages[1].len(), "messages of one length");
    let found = available();
    if found {
        // SAFETY: the processor has just been found to have the instructions.
        unsafe { absorb_messages(states, messages) };
    }
    found
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn absorb_messages(states: [&mut [u32; 8]; 2], messages: [&[[u8; 64]]; 2]) {
    let [Some((first, rest)), Some((other_first, other_rest))] = messages.map(<[_]>::split_first) else { return };
    let [state, other_state] = states;
    let mut packed_states = [packed(*state), packed(*other_state)];
    let mut schedules = [[Schedule::EMPTY; 2]; 2];
    let [mut now, mut next] = schedules.each_mut();
    expand(first, &mut now[0]);
    expand(other_first, &mut now[1]);
    for (block, other) in rest.iter().zip(other_rest) {
        let [expanded, other_expanded] = next.each_mut();
        packed_states =
            absorb_and_expand(packed_states, [&now[0], &now[1]], [block, other], [expanded, other_expanded]);
        std::mem::swap(&mut now, &mut next);
    }
    let [absorbed, other] = absorb_two(packed_states, [&now[0], &now[1]]);
    *state = unpacked(absorbed);
    *other_state = unpacked(other);
}

#[cfg(test)]
mod tests {
    use sha2::block_api::compress256;

    use super::*;
    use crate::hash::sha256::INITIAL;

    #[test]
    fn blocks_of_one_message_and_of_two_match_compression() {
        if !available() {
            return;
        }
        let block = |seed: usize| -> [u8; 64] { std::array::from_fn(|i| (i * i + seed * 37 + i * seed) as u8) };
        for seed in 0..20 {
            let (one, two) = (block(seed), block(seed + 1000));
            let (mut expected, mut other) = (INITIAL, INITIAL.map(|word| word.rotate_left(seed as u32)));
            let before = [expected, other];
            compress256(&mut expected, &[one, two]);
            compress256(&mut other, &[two]);
            // SAFETY: the processor has just been found to have the instructions.
            unsafe {
                let mut schedules = [Schedule::EMPTY; 2];
                expand(&one, &mut schedules[0]);
                expand(&two, &mut schedules[1]);
                let first = absorb(packed(before[0]), &schedules[0]);
                let mut more = [Schedule::EMPTY; 2];
                let [last, last_of_other] = more.each_mut();
                let with = [&schedules[1], &schedules[1]];
                let states = absorb_two([first, packed(before[1])], with);
                assert_eq!(states.map(|state| unpacked(state)), [expected, other], "{seed}");
                let states = absorb_and_expand([first, packed(before[1])], with, [&two, &one], [last, last_of_other]);
                assert_eq!(states.map(|state| unpacked(state)), [expected, other], "{seed}");
                assert!(more[0].0 == schedules[1].0 && more[1].0 == schedules[0].0, "{seed}");
            }
        }
    }
}
