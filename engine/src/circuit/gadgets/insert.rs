//! Places a node among its siblings, and selects one of a list, by index bits.
//!
//! Source: `spec/snark.md` 1.8.

use bellman::SynthesisError;
use ff::Field;

use super::bit::{Bit, Kind};
use super::blocks;
use super::num::{Num, alloc, pick};
use crate::circuit::cs::CircuitSystem;
use crate::field::Fr;

/// The children of a parent: `element` at the index that `bits` give (least significant first), `siblings` in stored
/// order around it. 2, 4 or 8 children. A block of the circuit.
pub fn insert<CS: CircuitSystem>(
    cs: &mut CS,
    element: Num<CS::Wire>,
    siblings: &[Num<CS::Wire>],
    bits: &[Bit<CS::Wire>],
) -> Result<Vec<Num<CS::Wire>>, SynthesisError> {
    if !CS::BLOCKS || bits.iter().any(|bit| bit.kind != Kind::Plain) {
        return place(cs, element, siblings, bits);
    }
    let numbers = std::iter::once(&element).chain(siblings);
    let outside: Vec<_> = numbers.map(|number| number.wire).chain(bits.iter().map(|bit| bit.wire)).collect();
    let results = cs.block(&[blocks::INSERT, siblings.len() as u64], &outside, |cs, names| {
        let (numbers, bits) = names.split_at(1 + siblings.len());
        let numbers: Vec<_> = numbers.iter().copied().map(Num::without_value).collect();
        let bits: Vec<_> = bits.iter().map(|wire| Bit::plain(false, *wire)).collect();
        Ok(place(cs, numbers[0], &numbers[1..], &bits)?.into_iter().map(|child| child.wire).collect())
    })?;
    Ok(results.into_iter().map(Num::without_value).collect())
}

fn place<CS: CircuitSystem>(
    cs: &mut CS,
    element: Num<CS::Wire>,
    siblings: &[Num<CS::Wire>],
    bits: &[Bit<CS::Wire>],
) -> Result<Vec<Num<CS::Wire>>, SynthesisError> {
    match (siblings, bits) {
        (&[s], &[b0]) => Ok(vec![pick(cs, b0, s, element)?, pick(cs, b0, element, s)?]),
        (&[b, c, d], &[b0, b1]) => four(cs, [element, b, c, d], [b0, b1]),
        (&[b, c, d, e, f, g, h], &[b0, b1, b2]) => eight(cs, [element, b, c, d, e, f, g, h], [b0, b1, b2]),
        _ => Err(SynthesisError::Unsatisfiable),
    }
}

fn four<CS: CircuitSystem>(
    cs: &mut CS,
    [a, b, c, d]: [Num<CS::Wire>; 4],
    [b0, b1]: [Bit<CS::Wire>; 2],
) -> Result<Vec<Num<CS::Wire>>, SynthesisError> {
    let t = pick(cs, b0, b, a)?;
    let p0 = pick(cs, b1, b, t)?;
    let t = pick(cs, b0, a, b)?;
    let p1 = pick(cs, b1, c, t)?;
    let t = pick(cs, b0, d, a)?;
    let p2 = pick(cs, b1, t, c)?;
    let t = pick(cs, b0, a, d)?;
    let p3 = pick(cs, b1, t, d)?;
    Ok(vec![p0, p1, p2, p3])
}

fn eight<CS: CircuitSystem>(
    cs: &mut CS,
    [a, b, c, d, e, f, g, h]: [Num<CS::Wire>; 8],
    [b0, b1, b2]: [Bit<CS::Wire>; 3],
) -> Result<Vec<Num<CS::Wire>>, SynthesisError> {
    let neither = product(cs, !b0, !b1)?;
    let both = product(cs, b0, b1)?;
    let t = pick(cs, neither, a, b)?;
    let p0 = pick(cs, b2, b, t)?;
    let t = pick(cs, b0, a, b)?;
    let t = pick(cs, b1, c, t)?;
    let p1 = pick(cs, b2, c, t)?;
    let t = pick(cs, b0, d, a)?;
    let t = pick(cs, b1, t, c)?;
    let p2 = pick(cs, b2, d, t)?;
    let t = pick(cs, both, a, d)?;
    let p3 = pick(cs, b2, e, t)?;
    let t = pick(cs, neither, a, f)?;
    let p4 = pick(cs, b2, t, e)?;
    let t = pick(cs, b0, a, f)?;
    let t = pick(cs, b1, g, t)?;
    let p5 = pick(cs, b2, t, f)?;
    let t = pick(cs, b0, h, a)?;
    let t = pick(cs, b1, t, g)?;
    let p6 = pick(cs, b2, t, g)?;
    let t = pick(cs, both, a, h)?;
    let p7 = pick(cs, b2, t, h)?;
    Ok(vec![p0, p1, p2, p3, p4, p5, p6, p7])
}

/// The element of a list of `2^k` numbers at the index that k `bits` give, least significant first: halves the list by
/// the most significant bit, then by the next.
pub fn select<CS: CircuitSystem>(
    cs: &mut CS,
    list: &[Num<CS::Wire>],
    bits: &[Bit<CS::Wire>],
) -> Result<Num<CS::Wire>, SynthesisError> {
    if list.len() != 1 << bits.len() {
        return Err(SynthesisError::Unsatisfiable);
    }
    let mut rest = list.to_vec();
    for bit in bits.iter().rev() {
        let (low, high) = rest.split_at(rest.len() / 2);
        rest = low.iter().zip(high).map(|(low, high)| pick(cs, *bit, *high, *low)).collect::<Result<_, _>>()?;
    }
    Ok(rest[0])
}

/// `new c`; `x · y = c` of two bits.
fn product<CS: CircuitSystem>(
    cs: &mut CS,
    x: Bit<CS::Wire>,
    y: Bit<CS::Wire>,
) -> Result<Bit<CS::Wire>, SynthesisError> {
    let value = x.value() && y.value();
    let number = alloc(cs, Some(Fr::from(u64::from(value))))?;
    cs.constrain(|a, b, c| {
        a.add_bit(x, Fr::ONE);
        b.add_bit(y, Fr::ONE);
        c.plus(number.column());
    });
    Ok(Bit::plain(value, number.wire))
}
