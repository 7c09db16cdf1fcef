//! Words of 32 or 64 bits and the operations of SHA-2 on them, bit by bit from the least significant.
//!
//! Rotations and shifts move bits and cost nothing. Where no constraint is built, an operation works on whole words and
//! hands the new variables' values over in one piece; the bitwise text in [`super::bit`] says what they must be.
//!
//! Source: `spec/snark.md` 1.2 and 1.3.

use bellman::SynthesisError;

use super::bit::{self, Bit, Kind};
use crate::circuit::cs::{CircuitSystem, Wire};

/// A word of `BITS` bits, 32 or 64.
#[derive(Clone, Copy, Debug)]
pub struct Word<W, const BITS: usize> {
    pub(super) value: u64,
    /// Which bits are constants.
    constant: u64,
    /// Which bits are variables seen negated.
    negated: u64,
    wires: [W; BITS],
}

impl<W: Wire, const BITS: usize> Word<W, BITS> {
    const MASK: u64 = u64::MAX >> (64 - BITS);

    /// A constant: the low bits of `value`.
    pub fn constant(value: u64) -> Self {
        Self { value: value & Self::MASK, constant: Self::MASK, negated: 0, wires: [W::default(); BITS] }
    }

    /// Variables that something else constrains to 0 or 1.
    pub(super) fn plain(value: u64, wires: [W; BITS]) -> Self {
        Self { value: value & Self::MASK, constant: 0, negated: 0, wires }
    }

    /// Whether every bit is a constant.
    pub(super) fn is_constant(&self) -> bool {
        self.constant == Self::MASK
    }

    /// Bit `i`, counted from the least significant.
    pub(super) fn bit(&self, i: usize) -> Bit<W> {
        let kind = match (self.constant >> i & 1, self.negated >> i & 1) {
            (1, _) => Kind::Constant,
            (_, 1) => Kind::Negated,
            _ => Kind::Plain,
        };
        Bit { value: self.value >> i & 1 == 1, kind, wire: self.wires[i] }
    }

    fn set(&mut self, i: usize, bit: Bit<W>) {
        let put = |word: &mut u64, set: bool| *word = *word & !(1 << i) | u64::from(set) << i;
        put(&mut self.value, bit.value);
        put(&mut self.constant, bit.kind == Kind::Constant);
        put(&mut self.negated, bit.kind == Kind::Negated);
        self.wires[i] = bit.wire;
    }

    /// A word from its `BITS` bits, most significant first.
    pub fn from_bits_be(bits: &[Bit<W>]) -> Self {
        let mut word = Self::constant(0);
        bits.iter().rev().enumerate().for_each(|(i, bit)| word.set(i, *bit));
        word
    }

    /// The bits, most significant first.
    pub fn bits_be(&self) -> impl Iterator<Item = Bit<W>> + '_ {
        (0..BITS).rev().map(|i| self.bit(i))
    }

    /// Rotation right by `k`, below `BITS`.
    pub fn rotr(&self, k: usize) -> Self {
        let turn = |word: u64| (word >> k | word << (BITS - k)) & Self::MASK;
        Self {
            value: turn(self.value),
            constant: turn(self.constant),
            negated: turn(self.negated),
            wires: std::array::from_fn(|i| self.wires[(i + k) % BITS]),
        }
    }

    /// Shift right by `k`, filled with constant zeros.
    pub fn shr(&self, k: usize) -> Self {
        let mut word = self.rotr(k);
        let filled = Self::MASK & !(Self::MASK >> k);
        word.value &= !filled;
        word.constant |= filled;
        word.negated &= !filled;
        word
    }

    /// What the word is but for the names of its variables: the values of its constants, which bits are constants, and
    /// which are negated.
    pub(super) fn pattern(&self) -> [u64; 3] {
        [self.value & self.constant, self.constant, self.negated]
    }

    /// The names of its variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = W> + '_ {
        (0..BITS).filter(|i| self.constant >> i & 1 == 0).map(|i| self.wires[i])
    }

    /// The word with other names for its variables.
    pub(super) fn renamed(mut self, mut names: impl Iterator<Item = W>) -> Self {
        for i in (0..BITS).filter(|i| self.constant >> i & 1 == 0) {
            if let Some(name) = names.next() {
                self.wires[i] = name;
            }
        }
        self
    }

    /// Bits whose variables two operands both have.
    fn both_variable(&self, other: &Self) -> u64 {
        !(self.constant | other.constant) & Self::MASK
    }
}

/// Hands over the bits of `values` at the places of `mask` as new variables' values.
fn push_masked<CS: CircuitSystem>(cs: &mut CS, values: u64, mask: u64) -> Result<(), SynthesisError> {
    let (mut packed, mut count, mut rest) = (0, 0, mask);
    // Runs of ones, so that a full mask takes one step.
    while rest != 0 {
        let start = rest.trailing_zeros();
        let run = (!(rest >> start)).trailing_zeros().min(64 - start);
        let ones = u64::MAX >> (64 - run);
        packed |= (values >> start & ones) << count;
        count += run as usize;
        rest &= !(ones << start);
    }
    cs.alloc_bits(packed, &mut [CS::Wire::default(); 64][..count])
}

/// `a ⊕ b`.
pub fn xor<CS: CircuitSystem, const BITS: usize>(
    cs: &mut CS,
    a: &Word<CS::Wire, BITS>,
    b: &Word<CS::Wire, BITS>,
) -> Result<Word<CS::Wire, BITS>, SynthesisError> {
    let mut out = Word::constant(0);
    if CS::BUILDS {
        for i in 0..BITS {
            out.set(i, bit::xor(cs, a.bit(i), b.bit(i))?);
        }
        return Ok(out);
    }
    let made = a.both_variable(b);
    push_masked(cs, a.value ^ a.negated ^ b.value ^ b.negated, made)?;
    out.value = a.value ^ b.value;
    out.constant = a.constant & b.constant;
    // Beside a constant, the other one stays, negated if the constant is 1.
    out.negated = made & (a.negated ^ b.negated)
        | a.constant & !b.constant & (a.value ^ b.negated)
        | b.constant & !a.constant & (b.value ^ a.negated);
    Ok(out)
}

/// `a ? b : c`.
pub fn ch<CS: CircuitSystem, const BITS: usize>(
    cs: &mut CS,
    a: &Word<CS::Wire, BITS>,
    b: &Word<CS::Wire, BITS>,
    c: &Word<CS::Wire, BITS>,
) -> Result<Word<CS::Wire, BITS>, SynthesisError> {
    if !CS::BUILDS && a.constant | b.constant | c.constant == 0 {
        let value = a.value & b.value | !a.value & c.value;
        cs.alloc_bits(value, &mut [CS::Wire::default(); BITS])?;
        return Ok(Word::plain(value, [CS::Wire::default(); BITS]));
    }
    let mut out = Word::constant(0);
    for i in 0..BITS {
        out.set(i, bit::ch(cs, a.bit(i), b.bit(i), c.bit(i))?);
    }
    Ok(out)
}

/// The majority of three bits, at every place.
pub fn maj<CS: CircuitSystem, const BITS: usize>(
    cs: &mut CS,
    a: &Word<CS::Wire, BITS>,
    b: &Word<CS::Wire, BITS>,
    c: &Word<CS::Wire, BITS>,
) -> Result<Word<CS::Wire, BITS>, SynthesisError> {
    if !CS::BUILDS && a.constant | b.constant | c.constant == 0 {
        let both = b.value & c.value;
        let value = both | a.value & (b.value | c.value);
        // Each result stands before the conjunction it needs.
        for half in (0..BITS).step_by(32) {
            let pairs = spread(value >> half) | spread(both >> half) << 1;
            cs.alloc_bits(pairs, &mut [CS::Wire::default(); 64])?;
        }
        return Ok(Word::plain(value, [CS::Wire::default(); BITS]));
    }
    let mut out = Word::constant(0);
    for i in 0..BITS {
        out.set(i, bit::maj(cs, a.bit(i), b.bit(i), c.bit(i))?);
    }
    Ok(out)
}

/// Moves bit i of the low half to bit 2 i.
fn spread(word: u64) -> u64 {
    let mut word = word & 0xffff_ffff;
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        word = (word | word << shift) & mask;
    }
    word
}
