//! SHA-256 and SHA-512 as circuits: one text over the word width.
//!
//! `compress(state, block)` follows FIPS 180-4, section 6, but the sums that make a and e wait until the next round
//! needs them, so that additions share constraints. Constants fold by the rules of [`super::bit`]: nothing here
//! treats a first or a padded block in a special way.
//!
//! Source: `spec/snark.md` 1.5 and 1.6; FIPS 180-4.

use bellman::SynthesisError;

use super::bit::Bit;
use super::blocks;
use super::packer::Packer;
use super::word::{Word, ch, maj, xor};
use crate::circuit::cs::CircuitSystem;

/// One member of the SHA-2 family.
struct Sha2 {
    rounds: usize,
    /// How far the SHA-512 constants are shifted to give this one's.
    shift: u32,
    /// Bits of the length at the end of the padding.
    length_bits: usize,
    /// σ0: two rotations and a shift.
    small0: [usize; 3],
    /// σ1: two rotations and a shift.
    small1: [usize; 3],
    /// Σ0: three rotations.
    large0: [usize; 3],
    /// Σ1: three rotations.
    large1: [usize; 3],
}

const SHA256: Sha2 = Sha2 {
    rounds: 64,
    shift: 32,
    length_bits: 64,
    small0: [7, 18, 3],
    small1: [17, 19, 10],
    large0: [2, 13, 22],
    large1: [6, 11, 25],
};

const SHA512: Sha2 = Sha2 {
    rounds: 80,
    shift: 0,
    length_bits: 128,
    small0: [1, 8, 7],
    small1: [19, 61, 6],
    large0: [28, 34, 39],
    large1: [14, 18, 41],
};

/// First 64 fractional bits of the square roots of the first 8 primes. SHA-256 has the first 32.
const INITIAL: [u64; 8] = [
    0x6a09e667f3bcc908,
    0xbb67ae8584caa73b,
    0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1,
    0x510e527fade682d1,
    0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b,
    0x5be0cd19137e2179,
];

/// First 64 fractional bits of the cube roots of the first 80 primes. SHA-256 has the first 32 of the first 64.
#[rustfmt::skip]
const ROUND: [u64; 80] = [
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
];

/// SHA-256 of a message of bits, each byte from its most significant: 256 bits in the same order.
pub fn sha256<CS: CircuitSystem>(cs: &mut CS, message: &[Bit<CS::Wire>]) -> Result<Vec<Bit<CS::Wire>>, SynthesisError> {
    hash::<CS, 32>(cs, &SHA256, message)
}

/// SHA-512 of a message of bits, each byte from its most significant: 512 bits in the same order.
pub fn sha512<CS: CircuitSystem>(cs: &mut CS, message: &[Bit<CS::Wire>]) -> Result<Vec<Bit<CS::Wire>>, SynthesisError> {
    hash::<CS, 64>(cs, &SHA512, message)
}

fn hash<CS: CircuitSystem, const BITS: usize>(
    cs: &mut CS,
    family: &Sha2,
    message: &[Bit<CS::Wire>],
) -> Result<Vec<Bit<CS::Wire>>, SynthesisError> {
    let block_bits = 16 * BITS;
    let mut padded = Vec::with_capacity(message.len() + 2 * block_bits);
    padded.extend_from_slice(message);
    padded.push(Bit::constant(true));
    while !(padded.len() + family.length_bits).is_multiple_of(block_bits) {
        padded.push(Bit::constant(false));
    }
    let length = message.len() as u128;
    padded.extend((0..family.length_bits).rev().map(|i| Bit::constant(length >> i & 1 == 1)));

    let mut state = INITIAL.map(|word| Word::<_, BITS>::constant(word >> family.shift));
    for (number, block) in padded.chunks(block_bits).enumerate() {
        cs.enter("block", number);
        let words = std::array::from_fn(|i| Word::from_bits_be(&block[i * BITS..(i + 1) * BITS]));
        state = compress(cs, family, &state, &words)?;
        cs.leave();
    }
    Ok(state.iter().flat_map(|word| word.bits_be().collect::<Vec<_>>()).collect())
}

/// `(x ⊕ y) ⊕ z`.
fn xor3<CS: CircuitSystem, const BITS: usize>(
    cs: &mut CS,
    x: Word<CS::Wire, BITS>,
    y: Word<CS::Wire, BITS>,
    z: Word<CS::Wire, BITS>,
) -> Result<Word<CS::Wire, BITS>, SynthesisError> {
    let xy = xor(cs, &x, &y)?;
    xor(cs, &xy, &z)
}

fn small<CS: CircuitSystem, const BITS: usize>(
    cs: &mut CS,
    word: &Word<CS::Wire, BITS>,
    [first, second, shift]: [usize; 3],
) -> Result<Word<CS::Wire, BITS>, SynthesisError> {
    xor3(cs, word.rotr(first), word.rotr(second), word.shr(shift))
}

fn large<CS: CircuitSystem, const BITS: usize>(
    cs: &mut CS,
    word: &Word<CS::Wire, BITS>,
    turns: [usize; 3],
) -> Result<Word<CS::Wire, BITS>, SynthesisError> {
    let [x, y, z] = turns.map(|turn| word.rotr(turn));
    xor3(cs, x, y, z)
}

/// The compression function on one block of 16 words, as a block of the circuit.
fn compress<CS: CircuitSystem, const BITS: usize>(
    cs: &mut CS,
    family: &Sha2,
    state: &[Word<CS::Wire, BITS>; 8],
    block: &[Word<CS::Wire, BITS>; 16],
) -> Result<[Word<CS::Wire, BITS>; 8], SynthesisError> {
    let inputs = || state.iter().chain(block);
    if !CS::BLOCKS || inputs().all(Word::is_constant) {
        return rounds(cs, family, state, block);
    }
    let mut key = vec![blocks::SHA, BITS as u64];
    key.extend(inputs().flat_map(Word::pattern));
    let outside: Vec<_> = inputs().flat_map(Word::variables).collect();
    let results = cs.block(&key, &outside, |cs, names| {
        let mut names = names.iter().copied();
        let state = state.map(|word| word.renamed(&mut names));
        let block = block.map(|word| word.renamed(&mut names));
        let out = rounds(cs, family, &state, &block)?;
        Ok(out.iter().flat_map(Word::variables).collect())
    })?;
    // Every sum with a variable among its operands is made of new variables, and each word of the result is one.
    debug_assert_eq!(results.len(), 8 * BITS);
    let mut results = results.into_iter();
    Ok([(); 8].map(|()| Word::plain(0, [CS::Wire::default(); BITS]).renamed(&mut results)))
}

fn rounds<CS: CircuitSystem, const BITS: usize>(
    cs: &mut CS,
    family: &Sha2,
    state: &[Word<CS::Wire, BITS>; 8],
    block: &[Word<CS::Wire, BITS>; 16],
) -> Result<[Word<CS::Wire, BITS>; 8], SynthesisError> {
    let mut packer = Packer::new();
    let mut schedule = Vec::with_capacity(family.rounds);
    schedule.extend_from_slice(block);
    for i in 16..family.rounds {
        let s0 = small(cs, &schedule[i - 15], family.small0)?;
        let s1 = small(cs, &schedule[i - 2], family.small1)?;
        schedule.push(packer.add(cs, &[schedule[i - 16], s0, schedule[i - 7], s1])?);
    }

    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    // What the next a and e are the sums of.
    let mut pending: Option<([_; 7], [_; 6])> = None;
    for (word, constant) in schedule.into_iter().zip(ROUND) {
        if let Some((_, for_e)) = &pending {
            e = packer.add(cs, for_e)?;
        }
        let sum1 = large(cs, &e, family.large1)?;
        let choice = ch(cs, &e, &f, &g)?;
        let [t0, t1, t2, t3, t4] = [h, sum1, choice, Word::constant(constant >> family.shift), word];
        if let Some((for_a, _)) = &pending {
            a = packer.add(cs, for_a)?;
        }
        let sum0 = large(cs, &a, family.large0)?;
        let majority = maj(cs, &a, &b, &c)?;
        pending = Some(([t0, t1, t2, t3, t4, sum0, majority], [t0, t1, t2, t3, t4, d]));
        (h, g, f, d, c, b) = (g, f, e, c, b, a);
    }

    let Some((for_a, for_e)) = pending else { return Ok(*state) };
    let mut sum = |operands: &[_]| packer.add(cs, operands);
    let out = [
        sum(&[&for_a[..], &state[..1]].concat())?,
        sum(&[state[1], b])?,
        sum(&[state[2], c])?,
        sum(&[state[3], d])?,
        sum(&[&for_e[..], &state[4..5]].concat())?,
        sum(&[state[5], f])?,
        sum(&[state[6], g])?,
        sum(&[state[7], h])?,
    ];
    packer.flush(cs);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::cs::DigestRecorder;
    use crate::circuit::gadgets::bit;

    /// spec/snark.md 1.6, 7.1, 7.2.
    #[test]
    fn one_sha512_compression_matches_the_fork() {
        let mut cs = DigestRecorder::new();
        let bits = bit::alloc_list(&mut cs, &[0; 16], 1024).unwrap();
        let block = std::array::from_fn(|i| Word::from_bits_be(&bits[64 * i..64 * i + 64]));
        compress(&mut cs, &SHA512, &INITIAL.map(Word::<_, 64>::constant), &block).unwrap();
        let summary = cs.finish();
        assert_eq!(summary.constraints, 1024 + 66_099);
        assert_eq!(summary.non_zeros, [156_906, 67_187, 147_430]);
        assert_eq!(hex::encode(summary.digest), "3c3929881808f165643079eee207904d7b27766e87404cfca222add8ec099714");
    }
}
