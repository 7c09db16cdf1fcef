//! Bits: constants, boolean variables, and boolean variables seen negated.
//!
//! Negating is free and constants fold, so which variables a function makes depends on the kinds of its operands; the
//! first matching rule wins. "Constant" is a kind: a bit whose value happens to be unknown is never one.
//!
//! Source: `spec/snark.md` 0.1, 1.1, 1.2.

use bellman::SynthesisError;
use ff::Field;

use crate::circuit::cs::{CircuitSystem, Lc, Wire};
use crate::circuit::shape::Column;
use crate::field::Fr;

/// How a bit comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Known in the shape.
    Constant,
    /// A variable.
    Plain,
    /// 1 minus a variable.
    Negated,
}

/// A bit. Its value means nothing to readers that ignore values, unless it is constant.
#[derive(Clone, Copy, Debug)]
pub struct Bit<W> {
    pub(super) value: bool,
    pub(super) kind: Kind,
    pub(super) wire: W,
}

impl<W: Wire> Bit<W> {
    /// A constant.
    pub fn constant(value: bool) -> Self {
        Self { value, kind: Kind::Constant, wire: W::default() }
    }

    /// A variable that something else constrains to 0 or 1.
    pub(super) fn plain(value: bool, wire: W) -> Self {
        Self { value, kind: Kind::Plain, wire }
    }

    /// The bit's value.
    pub fn value(self) -> bool {
        self.value
    }

    /// The value if the bit is constant.
    fn known(self) -> Option<bool> {
        (self.kind == Kind::Constant).then_some(self.value)
    }

    /// The value of the variable underneath.
    fn underlying(self) -> bool {
        self.value ^ (self.kind == Kind::Negated)
    }
}

impl<W> std::ops::Not for Bit<W> {
    type Output = Self;

    fn not(mut self) -> Self {
        self.value = !self.value;
        self.kind = match self.kind {
            Kind::Constant => Kind::Constant,
            Kind::Plain => Kind::Negated,
            Kind::Negated => Kind::Plain,
        };
        self
    }
}

impl Lc {
    /// Adds `coefficient · bit`.
    pub fn add_bit<W: Wire>(&mut self, bit: Bit<W>, coefficient: Fr) {
        match bit.kind {
            Kind::Constant if bit.value => self.add(Column::ONE, coefficient),
            Kind::Constant => {}
            Kind::Plain => self.add(bit.wire.column(), coefficient),
            Kind::Negated => {
                self.add(Column::ONE, coefficient);
                self.add(bit.wire.column(), -coefficient);
            }
        }
    }
}

/// The constraint `(1 − v) · v = 0`.
pub(super) fn constrain_boolean<CS: CircuitSystem>(cs: &mut CS, wire: CS::Wire) {
    cs.constrain(|a, b, _| {
        a.plus(Column::ONE);
        a.minus(wire.column());
        b.plus(wire.column());
    });
}

/// A new aux variable with a bit's value, not yet constrained.
fn unconstrained<CS: CircuitSystem>(cs: &mut CS, value: bool) -> Result<Bit<CS::Wire>, SynthesisError> {
    let mut wire = [CS::Wire::default()];
    cs.alloc_bits(u64::from(value), &mut wire)?;
    Ok(Bit::plain(value, wire[0]))
}

/// `count` new bits, each with its constraint: those of the little-endian words `limbs`, from the lowest.
pub fn alloc_list<CS: CircuitSystem>(
    cs: &mut CS,
    limbs: &[u64],
    count: usize,
) -> Result<Vec<Bit<CS::Wire>>, SynthesisError> {
    let mut bits = Vec::with_capacity(count);
    for (start, limb) in (0..count).step_by(64).zip(limbs) {
        let mut wires = [CS::Wire::default(); 64];
        let wires = &mut wires[..(count - start).min(64)];
        cs.alloc_bits(*limb, wires)?;
        for (i, wire) in wires.iter().enumerate() {
            constrain_boolean(cs, *wire);
            bits.push(Bit::plain(limb >> i & 1 == 1, *wire));
        }
    }
    Ok(bits)
}

/// `a ⊕ b`.
pub fn xor<CS: CircuitSystem>(
    cs: &mut CS,
    a: Bit<CS::Wire>,
    b: Bit<CS::Wire>,
) -> Result<Bit<CS::Wire>, SynthesisError> {
    match (a.known(), b.known()) {
        (Some(false), _) => return Ok(b),
        (_, Some(false)) => return Ok(a),
        (Some(true), _) => return Ok(!b),
        (_, Some(true)) => return Ok(!a),
        _ => {}
    }
    // The plain one comes first where one is negated.
    let (x, y) = if (a.kind, b.kind) == (Kind::Negated, Kind::Plain) { (b, a) } else { (a, b) };
    let c = unconstrained(cs, x.underlying() ^ y.underlying())?;
    cs.constrain(|left, right, out| {
        left.add(x.wire.column(), Fr::ONE.double());
        right.plus(y.wire.column());
        out.plus(x.wire.column());
        out.plus(y.wire.column());
        out.minus(c.wire.column());
    });
    Ok(if x.kind == y.kind { c } else { !c })
}

/// `a ∧ b`.
pub fn and<CS: CircuitSystem>(
    cs: &mut CS,
    a: Bit<CS::Wire>,
    b: Bit<CS::Wire>,
) -> Result<Bit<CS::Wire>, SynthesisError> {
    match (a.known(), b.known()) {
        (Some(false), _) | (_, Some(false)) => return Ok(Bit::constant(false)),
        (Some(true), _) => return Ok(b),
        (_, Some(true)) => return Ok(a),
        _ => {}
    }
    let (x, y) = if (a.kind, b.kind) == (Kind::Negated, Kind::Plain) { (b, a) } else { (a, b) };
    let c = unconstrained(cs, x.value && y.value)?;
    cs.constrain(|left, right, out| {
        left.add_bit(x, Fr::ONE);
        right.add_bit(y, Fr::ONE);
        out.plus(c.wire.column());
    });
    Ok(c)
}

/// `a ? b : c`, the choice of SHA-2.
pub fn ch<CS: CircuitSystem>(
    cs: &mut CS,
    a: Bit<CS::Wire>,
    b: Bit<CS::Wire>,
    c: Bit<CS::Wire>,
) -> Result<Bit<CS::Wire>, SynthesisError> {
    let value = if a.value { b.value } else { c.value };
    match (a.known(), b.known(), c.known()) {
        (Some(_), Some(_), Some(_)) => return Ok(Bit::constant(value)),
        (Some(false), ..) => return Ok(c),
        (_, Some(false), _) => return and(cs, !a, c),
        (_, _, Some(false)) => return and(cs, a, b),
        (_, _, Some(true)) => return Ok(!and(cs, a, !b)?),
        (_, Some(true), _) => return Ok(!and(cs, !a, !c)?),
        _ => {}
    }
    let v = unconstrained(cs, value)?;
    cs.constrain(|left, right, out| {
        left.add_bit(b, Fr::ONE);
        left.add_bit(c, -Fr::ONE);
        right.add_bit(a, Fr::ONE);
        out.plus(v.wire.column());
        out.add_bit(c, -Fr::ONE);
    });
    Ok(v)
}

/// The majority of three bits.
pub fn maj<CS: CircuitSystem>(
    cs: &mut CS,
    a: Bit<CS::Wire>,
    b: Bit<CS::Wire>,
    c: Bit<CS::Wire>,
) -> Result<Bit<CS::Wire>, SynthesisError> {
    let value = [a, b, c].iter().filter(|bit| bit.value).count() >= 2;
    match (a.known(), b.known(), c.known()) {
        (Some(_), Some(_), Some(_)) => return Ok(Bit::constant(value)),
        (Some(false), ..) => return and(cs, b, c),
        (_, Some(false), _) => return and(cs, a, c),
        (_, _, Some(false)) => return and(cs, a, b),
        (_, _, Some(true)) => return Ok(!and(cs, !a, !b)?),
        (_, Some(true), _) => return Ok(!and(cs, !a, !c)?),
        (Some(true), ..) => return Ok(!and(cs, !b, !c)?),
        _ => {}
    }
    let v = unconstrained(cs, value)?;
    let both = and(cs, b, c)?;
    cs.constrain(|left, right, out| {
        left.add_bit(both, Fr::ONE.double());
        left.add_bit(b, -Fr::ONE);
        left.add_bit(c, -Fr::ONE);
        right.add_bit(a, Fr::ONE);
        out.add_bit(both, Fr::ONE);
        out.minus(v.wire.column());
    });
    Ok(v)
}

/// Turns bits of a little-endian value into the bit order of SHA-2 and back: the bits inside each byte are reversed.
pub fn reverse_in_bytes<W: Copy>(bits: &[Bit<W>]) -> Vec<Bit<W>> {
    bits.chunks(8).flat_map(|byte| byte.iter().rev().copied()).collect()
}

/// The value of at most 64 bits, least significant first.
pub(super) fn to_u64<W: Wire>(bits: &[Bit<W>]) -> u64 {
    bits.iter().rev().fold(0, |sum, bit| sum << 1 | u64::from(bit.value))
}
