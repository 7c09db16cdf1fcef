//! Numbers: field elements as variables, their bits, and bits packed into numbers.
//!
//! Source: `spec/snark.md` 1.1 and 1.7.

use std::sync::LazyLock;

use bellman::SynthesisError;
use ff::{Field, PrimeField};

use super::bit::{self, Bit};
use super::blocks;
use crate::circuit::cs::{CircuitSystem, Lc, Wire};
use crate::circuit::shape::Column;
use crate::field::Fr;

/// Bits of a number: those of the modulus.
pub const NUM_BITS: usize = 255;
/// Bits that always fit into a number.
pub const CAPACITY: usize = 254;

/// `2^i` for i below [`NUM_BITS`].
static POWERS: LazyLock<[Fr; NUM_BITS]> = LazyLock::new(|| {
    let mut power = Fr::ONE;
    std::array::from_fn(|_| {
        let this = power;
        power = power.double();
        this
    })
});

/// `2^exponent`, for exponents below [`NUM_BITS`].
pub(super) fn power_of_two(exponent: usize) -> Fr {
    POWERS[exponent]
}

/// A number. Its value means nothing to readers that ignore values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Num<W> {
    pub(super) wire: W,
    pub(super) value: Fr,
}

impl<W: Wire> Num<W> {
    /// The number's value.
    pub fn value(&self) -> Fr {
        self.value
    }

    /// A number whose value nobody asks for, because the reader ignores values.
    pub(super) fn without_value(wire: W) -> Self {
        Self { wire, value: Fr::ZERO }
    }

    /// The number's column.
    pub(in crate::circuit) fn column(&self) -> Column {
        self.wire.column()
    }
}

/// A new number: `new v`.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] where the reader needs values and there is none.
pub fn alloc<CS: CircuitSystem>(cs: &mut CS, value: Option<Fr>) -> Result<Num<CS::Wire>, SynthesisError> {
    Ok(Num { wire: cs.alloc(value)?, value: value.unwrap_or(Fr::ZERO) })
}

/// A new public input equal to `v`: `in i`; `i · 1 = v`.
pub fn inputize<CS: CircuitSystem>(cs: &mut CS, v: Num<CS::Wire>) -> Result<(), SynthesisError> {
    let input = cs.alloc_input(Some(v.value))?;
    cs.constrain(|a, b, c| {
        a.plus(input.column());
        b.plus(Column::ONE);
        c.plus(v.column());
    });
    Ok(())
}

/// `x · 1 = y`.
pub fn equal<CS: CircuitSystem>(cs: &mut CS, x: Num<CS::Wire>, y: Num<CS::Wire>) {
    cs.constrain(|a, b, c| {
        a.plus(x.column());
        b.plus(Column::ONE);
        c.plus(y.column());
    });
}

/// `new s`; `(key + value) · 1 = s`.
pub fn encode<CS: CircuitSystem>(
    cs: &mut CS,
    key: Num<CS::Wire>,
    value: Num<CS::Wire>,
) -> Result<Num<CS::Wire>, SynthesisError> {
    let sum = alloc(cs, Some(key.value + value.value))?;
    cs.constrain(|a, b, c| {
        a.plus(key.column());
        a.plus(value.column());
        b.plus(Column::ONE);
        c.plus(sum.column());
    });
    Ok(sum)
}

/// `new p`; `x · y = p`.
pub fn product<CS: CircuitSystem>(
    cs: &mut CS,
    x: Num<CS::Wire>,
    y: Num<CS::Wire>,
) -> Result<Num<CS::Wire>, SynthesisError> {
    let out = alloc(cs, Some(x.value * y.value))?;
    cs.constrain(|a, b, c| {
        a.plus(x.column());
        b.plus(y.column());
        c.plus(out.column());
    });
    Ok(out)
}

/// `new p`; `x · bit = p`.
pub fn product_with_bit<CS: CircuitSystem>(
    cs: &mut CS,
    x: Num<CS::Wire>,
    bit: Bit<CS::Wire>,
) -> Result<Num<CS::Wire>, SynthesisError> {
    let out = alloc(cs, Some(if bit.value() { x.value } else { Fr::ZERO }))?;
    cs.constrain(|a, b, c| {
        a.plus(x.column());
        b.add_bit(bit, Fr::ONE);
        c.plus(out.column());
    });
    Ok(out)
}

/// `new s`; `(Σ x_i) · 1 = s`.
pub fn total<CS: CircuitSystem>(cs: &mut CS, numbers: &[Num<CS::Wire>]) -> Result<Num<CS::Wire>, SynthesisError> {
    let sum = alloc(cs, Some(numbers.iter().map(|number| number.value).sum()))?;
    cs.constrain(|a, b, c| {
        numbers.iter().for_each(|number| a.plus(number.column()));
        b.plus(Column::ONE);
        c.plus(sum.column());
    });
    Ok(sum)
}

/// `a` if the bit is set, else `b`: `new c`; `(b − a) · bit = b − c`.
pub fn pick<CS: CircuitSystem>(
    cs: &mut CS,
    condition: Bit<CS::Wire>,
    a: Num<CS::Wire>,
    b: Num<CS::Wire>,
) -> Result<Num<CS::Wire>, SynthesisError> {
    let out = alloc(cs, Some(if condition.value() { a.value } else { b.value }))?;
    cs.constrain(|left, right, result| {
        left.plus(b.column());
        left.minus(a.column());
        right.add_bit(condition, Fr::ONE);
        result.plus(b.column());
        result.minus(out.column());
    });
    Ok(out)
}

/// The canonical value as four little-endian words.
fn limbs(value: &Fr) -> [u64; 4] {
    let bytes = value.to_repr();
    std::array::from_fn(|i| {
        let mut limb = [0; 8];
        limb.copy_from_slice(&bytes[8 * i..8 * i + 8]);
        u64::from_le_bytes(limb)
    })
}

/// The 255 bits of a number, least significant first: 255 `bit`s, then `0 · 0 = Σ 2^i·b_i − v`.
///
/// Nothing says that the integer is below the modulus, so small values have two decompositions. The reference accepts
/// that, and so must we.
pub fn to_bits<CS: CircuitSystem>(cs: &mut CS, v: Num<CS::Wire>) -> Result<Vec<Bit<CS::Wire>>, SynthesisError> {
    let limbs = limbs(&v.value);
    let wires = cs.block(&[blocks::BITS], &[v.wire], |cs, outside| {
        let bits = bit::alloc_list(cs, &limbs, NUM_BITS)?;
        cs.constrain(|_, _, c| {
            c.add_bits(&bits);
            c.minus(outside[0].column());
        });
        Ok(bits.into_iter().map(|bit| bit.wire).collect())
    })?;
    let value = |i: usize| limbs[i / 64] >> (i % 64) & 1 == 1;
    Ok(wires.into_iter().enumerate().map(|(i, wire)| Bit::plain(value(i), wire)).collect())
}

/// As [`to_bits`], with the last constraint `(Σ 2^i·b_i) · 1 = v`: the update's way.
pub fn to_bits_in_a<CS: CircuitSystem>(cs: &mut CS, v: Num<CS::Wire>) -> Result<Vec<Bit<CS::Wire>>, SynthesisError> {
    let bits = bit::alloc_list(cs, &limbs(&v.value), NUM_BITS)?;
    equal_to_bits(cs, &bits, v);
    Ok(bits)
}

/// `(Σ 2^i·b_i) · 1 = v`, of at most 255 bits.
pub fn equal_to_bits<CS: CircuitSystem>(cs: &mut CS, bits: &[Bit<CS::Wire>], v: Num<CS::Wire>) {
    cs.constrain(|a, b, c| {
        a.add_bits(bits);
        b.plus(Column::ONE);
        c.plus(v.column());
    });
}

/// The 256 bits of a number as a hash reads them: bytes as stored, each from its most significant bit; the 256th bit
/// is a constant.
pub fn to_hash_bits<CS: CircuitSystem>(cs: &mut CS, v: Num<CS::Wire>) -> Result<Vec<Bit<CS::Wire>>, SynthesisError> {
    let mut bits = to_bits(cs, v)?;
    bits.push(Bit::constant(false));
    Ok(bit::reverse_in_bytes(&bits))
}

/// The number whose 254 low bits a hash's first 256 bits give.
pub fn from_hash_bits<CS: CircuitSystem>(
    cs: &mut CS,
    digest: &[Bit<CS::Wire>],
) -> Result<Num<CS::Wire>, SynthesisError> {
    pack(cs, &bit::reverse_in_bytes(&digest[..256])[..CAPACITY])
}

/// `Σ 2^i · bit i` for at most 254 bits.
fn packed_value<W: Wire>(bits: &[Bit<W>]) -> Fr {
    let limb = |i: usize| bits.chunks(64).nth(i).map_or(0, bit::to_u64);
    let mut repr = [0; 32];
    (0..4).for_each(|i| repr[8 * i..8 * i + 8].copy_from_slice(&limb(i).to_le_bytes()));
    Option::from(Fr::from_repr(repr)).expect("254 bits are below the modulus")
}

/// At most 254 bits as a new number: `new v`; `(Σ 2^i·b_i) · 1 = v`. No bits make a number too.
pub fn pack<CS: CircuitSystem>(cs: &mut CS, bits: &[Bit<CS::Wire>]) -> Result<Num<CS::Wire>, SynthesisError> {
    debug_assert!(bits.len() <= CAPACITY);
    let v = alloc(cs, Some(packed_value(bits)))?;
    equal_to_bits(cs, bits, v);
    Ok(v)
}

/// Bits as public inputs, 254 to each: `in v`; `(Σ 2^i·b_i) · 1 = v`. No bits make no input.
pub fn pack_into_inputs<CS: CircuitSystem>(cs: &mut CS, bits: &[Bit<CS::Wire>]) -> Result<(), SynthesisError> {
    for bits in bits.chunks(CAPACITY) {
        let input = cs.alloc_input(Some(packed_value(bits)))?;
        cs.constrain(|a, b, c| {
            a.add_bits(bits);
            b.plus(Column::ONE);
            c.plus(input.column());
        });
    }
    Ok(())
}

impl Lc {
    /// Adds `Σ 2^i · bit i`.
    pub fn add_bits<W: Wire>(&mut self, bits: &[Bit<W>]) {
        bits.iter().zip(POWERS.iter()).for_each(|(bit, power)| self.add_bit(*bit, *power));
    }
}
