//! Rows, blocks and evaluations on circuits of a few constraints.

use bellman::SynthesisError;
use ff::Field;

use super::*;
use crate::circuit::cs::{CircuitSystem, DebugSystem, ShapeRecorder, Wire};

/// x · x = y, then (x + 1 − 1 + 0 · y) · 1 = x.
fn square() -> Shape {
    let mut shape = Shape::new();
    let y = shape.push_input();
    let x = shape.push_aux();
    let one = Fr::ONE;
    shape.push_constraint(&mut vec![(x, one)], &mut vec![(x, one)], &mut vec![(y, one)]);
    shape.push_constraint(
        &mut vec![(x, one), (Column::ONE, one), (y, Fr::ZERO), (Column::ONE, -one)],
        &mut vec![(Column::ONE, one)],
        &mut vec![(x, one)],
    );
    shape
}

#[test]
fn repeated_and_zero_terms_vanish() {
    let shape = square();
    let [a, ..] = shape.matrices();
    assert_eq!(a.row(1).map(|(column, _)| column).collect::<Vec<_>>(), [Column::aux(0)]);
    assert_eq!(shape.matrices().map(|matrix| matrix.non_zeros()), [2, 2, 2]);
}

#[test]
fn a_wrong_value_is_found() {
    let shape = square();
    let witness =
        |x: u64, y: u64| Witness { inputs: vec![Fr::ONE, Fr::from(y)], aux: [Fr::from(x)].into_iter().collect() };
    assert_eq!(shape.evaluate(&witness(3, 9)).first_unsatisfied(), None);
    assert_eq!(shape.evaluate(&witness(3, 8)).first_unsatisfied(), Some(0));
}

/// A block: `x · y = p`, then `(3 p − x) · 1 = q`; gives q.
fn block<CS: CircuitSystem>(cs: &mut CS, [x, y]: [(CS::Wire, u64); 2]) -> Result<(CS::Wire, u64), SynthesisError> {
    let [p, q] = [x.1 * y.1, 3 * x.1 * y.1 - x.1];
    let wires = cs.block(&[77], &[x.0, y.0], |cs, names| {
        let product = cs.alloc(Some(Fr::from(p)))?;
        cs.constrain(|a, b, c| {
            a.plus(names[0].column());
            b.plus(names[1].column());
            c.plus(product.column());
        });
        let result = cs.alloc(Some(Fr::from(q)))?;
        cs.constrain(|a, b, c| {
            a.add(product.column(), Fr::from(3));
            a.minus(names[0].column());
            b.plus(Column::ONE);
            c.plus(result.column());
        });
        Ok(vec![result])
    })?;
    Ok((wires[0], q))
}

/// Blocks beside single rows, over inputs, over each other's results, in any order, and over one variable twice.
fn blocks<CS: CircuitSystem>(cs: &mut CS) -> Result<(), SynthesisError> {
    let x = (cs.alloc_input(Some(Fr::from(5)))?, 5);
    let y = (cs.alloc(Some(Fr::ONE))?, 1);
    let first = block(cs, [x, y])?;
    let second = block(cs, [first, x])?;
    cs.constrain(|a, b, c| {
        a.plus(x.0.column());
        b.plus(y.0.column());
        c.plus(x.0.column());
    });
    let twice = block(cs, [y, y])?;
    let again = block(cs, [twice, twice])?;
    let last = block(cs, [again, second])?;
    cs.constrain(|a, b, c| {
        a.add(last.0.column(), Fr::from(2));
        b.plus(Column::ONE);
        c.plus(last.0.column());
        c.plus(last.0.column());
    });
    Ok(())
}

#[test]
fn blocks_are_only_another_way_to_store_rows() {
    let mut recorder = ShapeRecorder::new();
    blocks(&mut recorder).unwrap();
    let compressed = recorder.finish();
    let mut debug = DebugSystem::new();
    blocks(&mut debug).unwrap();
    let (flat, witness) = debug.finish();

    assert_eq!((compressed.templates.len(), flat.templates.len()), (2, 0));
    assert_eq!(compressed.digest(), flat.digest());
    assert_eq!(compressed.evaluate(&witness), flat.evaluate(&witness));
    assert_eq!(compressed.evaluate(&witness).first_unsatisfied(), None);
    let Evaluations { a, b, c } = flat.evaluate(&witness);
    for (letter, expected) in [(Letter::A, a), (Letter::B, b), (Letter::C, c)] {
        let mut values = vec![Fr::from(77); flat.constraints()];
        compressed.evaluate_into(letter, &witness, &mut values);
        assert_eq!(values, expected.iter().collect::<Vec<_>>());
    }
    for (compressed_matrix, flat_matrix) in compressed.matrices().into_iter().zip(flat.matrices()) {
        assert_eq!(compressed_matrix.non_zeros(), flat_matrix.non_zeros());
        let sorted = |shape: &Shape, row: Row<'_>| {
            let mut terms: Vec<_> = row.map(|(column, number)| (column, *shape.coefficient(number))).collect();
            terms.sort_by_key(|(column, _)| *column);
            terms
        };
        for row in 0..flat.constraints() {
            let flat_row = sorted(&flat, flat_matrix.row(row));
            assert_eq!(sorted(&compressed, compressed_matrix.row(row)), flat_row);
        }
        for range in [0..flat.constraints(), 1..4, 3..3, 2..9] {
            let listed: Vec<_> =
                compressed_matrix.rows_of(range.clone()).map(|(row, terms)| (row, terms.count())).collect();
            let single: Vec<_> = range.map(|row| (row, compressed_matrix.row(row).count())).collect();
            assert_eq!(listed, single);
        }
    }
}
