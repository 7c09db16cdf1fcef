//! Addition of words modulo 2^w, several additions to one constraint.
//!
//! The sum of the operands, as an integer of n bits, is written as n new bits; the equality of both sides waits in a
//! queue of 254 bits, and one constraint `L · 1 = R` settles all that fit. Carry bits are constrained and dropped.
//!
//! Source: `spec/snark.md` 1.3 and 1.4.

use bellman::SynthesisError;

use super::bit::constrain_boolean;
use super::num::{CAPACITY, power_of_two};
use super::word::Word;
use crate::circuit::cs::{CircuitSystem, Lc, Wire};
use crate::circuit::shape::Column;

/// Equalities that wait for a common constraint. One to a compression, never shared.
#[derive(Debug, Default)]
pub struct Packer {
    left: Lc,
    right: Lc,
    used: usize,
}

impl Packer {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// The sum of 2 to 10 words modulo `2^BITS`.
    pub fn add<CS: CircuitSystem, const BITS: usize>(
        &mut self,
        cs: &mut CS,
        operands: &[Word<CS::Wire, BITS>],
    ) -> Result<Word<CS::Wire, BITS>, SynthesisError> {
        let sum: u128 = operands.iter().map(|word| u128::from(word.value)).sum();
        if operands.iter().all(Word::is_constant) {
            return Ok(Word::constant(sum as u64));
        }
        let greatest = operands.len() as u128 * u128::from(u64::MAX >> (64 - BITS));
        let carries = (128 - greatest.leading_zeros()) as usize - BITS;

        let mut wires = [CS::Wire::default(); BITS];
        let mut carry_wires = [CS::Wire::default(); 4];
        let carry_wires = &mut carry_wires[..carries];
        cs.alloc_bits(sum as u64, &mut wires)?;
        cs.alloc_bits((sum >> BITS) as u64, carry_wires)?;
        let result = wires.iter().chain(carry_wires.iter());
        result.clone().for_each(|wire| constrain_boolean(cs, *wire));

        if CS::BUILDS {
            if self.used + BITS + carries >= CAPACITY {
                self.flush(cs);
            }
            for word in operands {
                (0..BITS).for_each(|i| self.left.add_bit(word.bit(i), power_of_two(self.used + i)));
            }
            for (i, wire) in result.enumerate() {
                self.right.add(wire.column(), power_of_two(self.used + i));
            }
            self.used += BITS + carries;
        }
        Ok(Word::plain(sum as u64, wires))
    }

    /// Settles what waits.
    pub fn flush<CS: CircuitSystem>(&mut self, cs: &mut CS) {
        if self.used > 0 {
            cs.constrain(|a, b, c| {
                a.extend(&self.left);
                b.plus(Column::ONE);
                c.extend(&self.right);
            });
            self.left.clear();
            self.right.clear();
            self.used = 0;
        }
    }
}
