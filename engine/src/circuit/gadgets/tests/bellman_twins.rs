//! The same constraint system and the same witness as bellman's own gadgets give, over operands of every kind.

use bellman::gadgets::boolean::{AllocatedBit, Boolean};
use bellman::gadgets::num::AllocatedNum;
use bellman::gadgets::sha256::sha256 as bellman_sha256;
use bellman::{ConstraintSystem, SynthesisError};
use ff::Field;

use crate::circuit::cs::{CircuitSystem, DebugSystem, ShapeRecorder, WitnessPass};
use crate::circuit::gadgets::bit::{self, Bit};
use crate::circuit::gadgets::num;
use crate::circuit::gadgets::sha::sha256;
use crate::circuit::{Shape, Witness};
use crate::field::Fr;

type Result<T = ()> = std::result::Result<T, SynthesisError>;

/// An operand: constant, bit or negated bit, of either value.
#[derive(Clone, Copy)]
struct Operand {
    kind: bit::Kind,
    value: bool,
}

/// All six of them, over and over.
fn operand(number: usize) -> Operand {
    let kind = [bit::Kind::Constant, bit::Kind::Plain, bit::Kind::Negated][number % 3];
    Operand { kind, value: number / 3 % 2 == 1 }
}

fn ours<CS: CircuitSystem>(cs: &mut CS, Operand { kind, value }: Operand) -> Result<Bit<CS::Wire>> {
    let alloc = |cs: &mut CS, value| Ok(bit::alloc_list(cs, &[u64::from(value)], 1)?[0]);
    match kind {
        bit::Kind::Constant => Ok(Bit::constant(value)),
        bit::Kind::Plain => alloc(cs, value),
        bit::Kind::Negated => alloc(cs, !value).map(|bit| !bit),
    }
}

fn theirs<CS: ConstraintSystem<Fr>>(cs: &mut CS, Operand { kind, value }: Operand) -> Result<Boolean> {
    Ok(match kind {
        bit::Kind::Constant => Boolean::constant(value),
        bit::Kind::Plain => Boolean::from(AllocatedBit::alloc(cs, Some(value))?),
        bit::Kind::Negated => Boolean::from(AllocatedBit::alloc(cs, Some(!value))?).not(),
    })
}

fn read(unit: impl FnOnce(&mut DebugSystem) -> Result) -> (Shape, Witness) {
    let mut cs = DebugSystem::new();
    unit(&mut cs).unwrap();
    cs.finish()
}

fn assert_same(name: &str, (shape, witness): (Shape, Witness), (their_shape, their_witness): (Shape, Witness)) {
    assert_eq!(shape.digest(), their_shape.digest(), "{name}");
    assert_eq!(witness, their_witness, "{name}");
    assert_eq!(shape.evaluate(&witness).first_unsatisfied(), None, "{name}");
}

#[test]
fn functions_of_bits_are_bellmans() {
    for number in 0..6 * 6 * 6 {
        let operands = [number % 6, number / 6 % 6, number / 36].map(operand);
        let ours = read(|cs| {
            let [a, b, c] = [ours(cs, operands[0])?, ours(cs, operands[1])?, ours(cs, operands[2])?];
            let results = [bit::xor(cs, a, b)?, bit::and(cs, a, b)?, bit::ch(cs, a, b, c)?, bit::maj(cs, a, b, c)?];
            num::pack_into_inputs(cs, &results)
        });
        let theirs = read(|cs| {
            let [a, b, c] = [theirs(cs, operands[0])?, theirs(cs, operands[1])?, theirs(cs, operands[2])?];
            let results = [
                Boolean::xor(&mut *cs, &a, &b)?,
                Boolean::and(&mut *cs, &a, &b)?,
                Boolean::sha256_ch(&mut *cs, &a, &b, &c)?,
                Boolean::sha256_maj(&mut *cs, &a, &b, &c)?,
            ];
            bellman::gadgets::multipack::pack_into_inputs(cs, &results)
        });
        assert_same(&format!("operands {number}"), ours, theirs);
    }
}

#[test]
fn sha256_is_bellmans() {
    // All bits, then a constant, plain and negated one in turn; whole bytes only, which bellman asks for.
    for (len, mixed) in [(0, false), (8, false), (256, true), (440, true), (448, false), (512, true), (768, true)] {
        let operand = |i: usize| if mixed { operand(i * i + i / 7) } else { operand(1 + 3 * (i / 5 % 2)) };
        let ours = |cs: &mut DebugSystem| {
            let bits = (0..len).map(|i| ours(cs, operand(i))).collect::<Result<Vec<_>>>()?;
            let digest = sha256(cs, &bits)?;
            num::pack_into_inputs(cs, &digest)
        };
        let theirs = |cs: &mut DebugSystem| {
            let bits = (0..len).map(|i| theirs(cs, operand(i))).collect::<Result<Vec<_>>>()?;
            let digest = bellman_sha256(&mut *cs, &bits)?;
            bellman::gadgets::multipack::pack_into_inputs(cs, &digest)
        };
        assert_same(&format!("{len} bits"), read(ours), read(theirs));
    }
}

#[test]
fn bits_of_a_number_are_bellmans() {
    for value in [Fr::ZERO, -Fr::ONE, Fr::from(0x1234_5678_9abc_def0).square()] {
        let ours = read(|cs| {
            let number = num::alloc(cs, Some(value))?;
            num::to_bits(cs, number).map(drop)
        });
        let theirs = read(|cs| {
            let number = AllocatedNum::alloc(&mut *cs, || Ok(value))?;
            number.to_bits_le(cs).map(drop)
        });
        assert_same("to_bits", ours, theirs);
    }
}

#[test]
fn every_reader_reads_bellmans_gadgets() {
    fn unit<CS: ConstraintSystem<Fr>>(cs: &mut CS) -> Result {
        let bits = (0..64).map(|i| theirs(cs, operand(i))).collect::<Result<Vec<_>>>()?;
        let digest = bellman_sha256(cs.namespace(|| "hash"), &bits)?;
        bellman::gadgets::multipack::pack_into_inputs(cs, &digest)
    }
    let (shape, witness) = read(unit);
    let mut recorder = ShapeRecorder::new();
    unit(&mut recorder).unwrap();
    assert_eq!(recorder.finish().digest(), shape.digest());
    let mut pass = WitnessPass::new();
    unit(&mut pass).unwrap();
    assert_eq!(pass.finish(), witness);
}
