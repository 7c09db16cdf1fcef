//! A circuit without values: the matrices A, B, C of its constraints `⟨A_i, z⟩ · ⟨B_i, z⟩ = ⟨C_i, z⟩`.
//!
//! Recorded once per circuit and read by set-up (the polynomials of each variable) and by the prover (the evaluations).
//! Coefficients are few, so each term is a column and an index into a dictionary.
//!
//! Source: `spec/snark.md` 0.1, 0.3, 3.1.

use std::collections::HashMap;

use ff::{Field, PrimeField};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::values::{Class, Values};
use crate::field::Fr;

/// A variable: input or aux, each kind numbered from 0 in order of allocation. Input 0 is ONE.
///
/// Orders inputs first, then by index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Column(u32);

const AUX: u32 = 1 << 31;

impl Column {
    /// The constant 1.
    pub const ONE: Self = Self(0);

    /// Input `index`, which is below 2³¹.
    pub fn input(index: usize) -> Self {
        debug_assert!(index < AUX as usize);
        Self(index as u32)
    }

    /// Aux variable `index`, which is below 2³¹.
    pub fn aux(index: usize) -> Self {
        debug_assert!(index < AUX as usize);
        Self(index as u32 | AUX)
    }

    /// Whether the variable is an aux variable.
    pub fn is_aux(self) -> bool {
        self.0 & AUX != 0
    }

    /// The number among its kind.
    pub fn index(self) -> usize {
        (self.0 & !AUX) as usize
    }
}

/// Rows of terms; repeated columns are summed and zero coefficients dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matrix {
    row_ends: Vec<u64>,
    columns: Vec<Column>,
    coefficients: Vec<u32>,
}

impl Matrix {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.row_ends.len()
    }

    /// Number of terms.
    pub fn non_zeros(&self) -> usize {
        self.columns.len()
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        let start = if row == 0 { 0 } else { self.row_ends[row - 1] };
        start as usize..self.row_ends[row] as usize
    }

    /// Terms of one row as columns and dictionary indices, sorted by column.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (Column, u32)> + '_ {
        let range = self.range(row);
        self.columns[range.clone()].iter().copied().zip(self.coefficients[range].iter().copied())
    }

    fn push_row(&mut self, terms: impl Iterator<Item = (Column, u32)>) {
        for (column, coefficient) in terms {
            self.columns.push(column);
            self.coefficients.push(coefficient);
        }
        self.row_ends.push(self.columns.len() as u64);
    }
}

/// A recorded circuit.
#[derive(Clone, Debug)]
pub struct Shape {
    inputs: usize,
    aux: usize,
    a: Matrix,
    b: Matrix,
    c: Matrix,
    dictionary: Vec<Fr>,
    numbers: HashMap<[u8; 32], u32>,
}

impl Default for Shape {
    fn default() -> Self {
        Self::new()
    }
}

impl Shape {
    /// A circuit that has only the input ONE.
    pub fn new() -> Self {
        Self {
            inputs: 1,
            aux: 0,
            a: Matrix::default(),
            b: Matrix::default(),
            c: Matrix::default(),
            dictionary: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    /// Adds an input.
    pub fn push_input(&mut self) -> Column {
        self.inputs += 1;
        Column::input(self.inputs - 1)
    }

    /// Adds an aux variable.
    pub fn push_aux(&mut self) -> Column {
        self.aux += 1;
        Column::aux(self.aux - 1)
    }

    /// Adds a constraint. Terms may repeat columns and have zero coefficients; they are sorted and summed in place.
    pub fn push_constraint(&mut self, a: &mut Vec<(Column, Fr)>, b: &mut Vec<(Column, Fr)>, c: &mut Vec<(Column, Fr)>) {
        for (terms, matrix) in [(a, &mut self.a), (b, &mut self.b), (c, &mut self.c)] {
            canonicalise(terms);
            matrix.push_row(terms.iter().map(|(column, coefficient)| {
                let next = self.dictionary.len() as u32;
                let number = *self.numbers.entry(coefficient.to_repr()).or_insert(next);
                if number == next {
                    self.dictionary.push(*coefficient);
                }
                (*column, number)
            }));
        }
    }

    /// Inputs, with ONE.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Aux variables.
    pub fn aux(&self) -> usize {
        self.aux
    }

    /// Constraints that the circuit made, without the consistency rows of Groth16.
    pub fn constraints(&self) -> usize {
        self.a.rows()
    }

    /// The matrices A, B, C.
    pub fn matrices(&self) -> [&Matrix; 3] {
        [&self.a, &self.b, &self.c]
    }

    /// The coefficient with a dictionary index.
    pub fn coefficient(&self, index: u32) -> &Fr {
        &self.dictionary[index as usize]
    }

    /// The digest that pins the whole system (`spec/snark.md` 0.3).
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let repr: Vec<[u8; 32]> = self.dictionary.iter().map(Fr::to_repr).collect();
        let mut bytes = Vec::new();
        for row in 0..self.constraints() {
            for matrix in self.matrices() {
                bytes.clear();
                bytes.extend((matrix.range(row).len() as u32).to_le_bytes());
                for (column, coefficient) in matrix.row(row) {
                    bytes.push(u8::from(column.is_aux()));
                    bytes.extend((column.index() as u32).to_le_bytes());
                    bytes.extend(repr[coefficient as usize]);
                }
                hasher.update(&bytes);
            }
        }
        for count in [self.inputs, self.aux, self.constraints()] {
            hasher.update((count as u32).to_le_bytes());
        }
        hasher.finalize().into()
    }

    /// `A·z`, `B·z`, `C·z` over the circuit's own constraints.
    pub fn evaluate(&self, witness: &Witness) -> Evaluations {
        let [a, b, c] = self.matrices().map(|matrix| self.product(matrix, witness));
        Evaluations { a, b, c }
    }

    fn product(&self, matrix: &Matrix, witness: &Witness) -> Values {
        /// A multiple of 64, so that the pieces can be joined.
        const ROWS: usize = 1 << 14;
        let pieces: Vec<Values> = (0..matrix.rows().div_ceil(ROWS))
            .into_par_iter()
            .map(|piece| {
                (piece * ROWS..matrix.rows().min((piece + 1) * ROWS))
                    .map(|row| {
                        let mut sum = Fr::ZERO;
                        for (column, number) in matrix.row(row) {
                            let coefficient = &self.dictionary[number as usize];
                            if column.is_aux() {
                                match witness.aux.class(column.index()) {
                                    Class::Zero => {}
                                    Class::One => sum += coefficient,
                                    Class::Wide => sum += coefficient * witness.aux.get(column.index()),
                                }
                            } else {
                                sum += coefficient * witness.inputs[column.index()];
                            }
                        }
                        sum
                    })
                    .collect()
            })
            .collect();
        let mut all = Values::new();
        pieces.into_iter().for_each(|piece| all.append(piece));
        all
    }
}

/// Sorts terms by column, sums repeated columns, drops zeros.
pub(super) fn canonicalise(terms: &mut Vec<(Column, Fr)>) {
    terms.sort_unstable_by_key(|(column, _)| *column);
    let mut kept = 0;
    for index in 0..terms.len() {
        let (column, coefficient) = terms[index];
        if kept > 0 && terms[kept - 1].0 == column {
            terms[kept - 1].1 += coefficient;
        } else {
            if kept > 0 && terms[kept - 1].1 == Fr::ZERO {
                kept -= 1;
            }
            terms[kept] = (column, coefficient);
            kept += 1;
        }
    }
    if kept > 0 && terms[kept - 1].1 == Fr::ZERO {
        kept -= 1;
    }
    terms.truncate(kept);
}

/// Values for all variables of a circuit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// Inputs, ONE first.
    pub inputs: Vec<Fr>,
    /// Aux variables.
    pub aux: Values,
}

/// `A·z`, `B·z` and `C·z`, one element per constraint of the circuit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluations {
    /// `A·z`.
    pub a: Values,
    /// `B·z`.
    pub b: Values,
    /// `C·z`.
    pub c: Values,
}

impl Evaluations {
    /// The first constraint that does not hold.
    pub fn first_unsatisfied(&self) -> Option<usize> {
        (0..self.a.len()).into_par_iter().find_first(|&row| self.a.get(row) * self.b.get(row) != self.c.get(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(shape.matrices().map(Matrix::non_zeros), [2, 2, 2]);
    }

    #[test]
    fn a_wrong_value_is_found() {
        let shape = square();
        let witness =
            |x: u64, y: u64| Witness { inputs: vec![Fr::ONE, Fr::from(y)], aux: [Fr::from(x)].into_iter().collect() };
        assert_eq!(shape.evaluate(&witness(3, 9)).first_unsatisfied(), None);
        assert_eq!(shape.evaluate(&witness(3, 8)).first_unsatisfied(), Some(0));
    }
}
