//! A circuit without values: the matrices A, B, C of its constraints `⟨A_i, z⟩ · ⟨B_i, z⟩ = ⟨C_i, z⟩`.
//!
//! Recorded once per circuit and read by set-up (the polynomials of each variable) and by the prover (the evaluations).
//! A PoRep repeats a few blocks thousands of times, and 99 % of its constraints are in them: so each distinct block is
//! kept once, over its own variables and a list of outside ones, and the circuit is a list of instances with single
//! rows between them. Coefficients are few, so each term is a variable and an index into a dictionary.
//!
//! Source: `spec/snark.md` 0.1, 0.3, 3.1, 6.1.

mod blocks;
mod evaluate;
mod rows;

use std::ops::Range;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::values::Values;
use crate::field::Fr;

use blocks::Instance;
pub(super) use blocks::Template;
pub use evaluate::Letter;
pub(super) use rows::canonicalise;
use rows::{Dictionary, Rows};

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

/// A recorded circuit.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// Inputs besides ONE.
    inputs: usize,
    aux: usize,
    constraints: usize,
    /// Rows outside of blocks.
    single: [Rows; 3],
    templates: Vec<Template>,
    instances: Vec<Instance>,
    /// Outside variables of all instances, one list after the other.
    outside: Vec<Column>,
    dictionary: Dictionary,
}

impl Shape {
    /// A circuit that has only the input ONE.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an input.
    pub fn push_input(&mut self) -> Column {
        self.inputs += 1;
        Column::input(self.inputs)
    }

    /// Adds an aux variable.
    pub fn push_aux(&mut self) -> Column {
        self.aux += 1;
        Column::aux(self.aux - 1)
    }

    /// Adds a constraint. Terms may repeat columns and have zero coefficients; they are sorted and summed in place.
    pub fn push_constraint(&mut self, a: &mut Vec<(Column, Fr)>, b: &mut Vec<(Column, Fr)>, c: &mut Vec<(Column, Fr)>) {
        for (terms, rows) in [a, b, c].into_iter().zip(&mut self.single) {
            rows.push(terms, &mut self.dictionary);
        }
        self.constraints += 1;
    }

    /// Inputs, with ONE.
    pub fn inputs(&self) -> usize {
        self.inputs + 1
    }

    /// Aux variables.
    pub fn aux(&self) -> usize {
        self.aux
    }

    /// Constraints that the circuit made, without the consistency rows of Groth16.
    pub fn constraints(&self) -> usize {
        self.constraints
    }

    /// The matrices A, B, C.
    pub fn matrices(&self) -> [Matrix<'_>; 3] {
        [0, 1, 2].map(|letter| Matrix { shape: self, letter })
    }

    /// The coefficient with a dictionary index.
    pub fn coefficient(&self, index: u32) -> &Fr {
        self.dictionary.get(index)
    }

    /// Bytes that the shape occupies.
    pub fn memory_bytes(&self) -> usize {
        self.single.iter().map(Rows::memory_bytes).sum::<usize>()
            + self.templates.iter().map(Template::memory_bytes).sum::<usize>()
            + size_of_val(&self.instances[..])
            + size_of_val(&self.outside[..])
            + self.dictionary.memory_bytes()
    }

    /// The digest that pins the whole system (`spec/snark.md` 0.3).
    pub fn digest(&self) -> [u8; 32] {
        const FLUSH: usize = 1 << 16;
        let mut hasher = Sha256::new();
        let coefficients = self.dictionary.reprs();
        let mut bytes = Vec::new();
        let mut terms: Vec<(Column, u32)> = Vec::new();
        for segment in self.segments(0..self.constraints) {
            for row in segment.rows.clone() {
                for letter in 0..3 {
                    terms.clear();
                    terms.extend(segment.row(letter, row));
                    if !terms.is_sorted_by_key(|(column, _)| *column) {
                        terms.sort_unstable_by_key(|(column, _)| *column);
                    }
                    bytes.extend((terms.len() as u32).to_le_bytes());
                    for (column, coefficient) in &terms {
                        bytes.push(u8::from(column.is_aux()));
                        bytes.extend((column.index() as u32).to_le_bytes());
                        bytes.extend(coefficients[*coefficient as usize]);
                    }
                }
                if bytes.len() > FLUSH {
                    hasher.update(&bytes);
                    bytes.clear();
                }
            }
        }
        for count in [self.inputs(), self.aux, self.constraints] {
            bytes.extend((count as u32).to_le_bytes());
        }
        hasher.update(&bytes);
        hasher.finalize().into()
    }

    /// The pieces of a range of rows, in order: rows of one instance, or single rows.
    fn segments(&self, range: Range<usize>) -> impl Iterator<Item = Segment<'_>> {
        let mut next = range.start;
        std::iter::from_fn(move || {
            if next >= range.end {
                return None;
            }
            let mut segment = self.segment(next);
            segment.rows.end = segment.rows.end.min(range.end);
            next = segment.rows.end;
            Some(segment)
        })
    }

    /// The piece that begins at a row and goes on to the end of its block or of the single rows.
    fn segment(&self, row: usize) -> Segment<'_> {
        let after = self.instances.partition_point(|instance| instance.first_row as usize <= row);
        let mut rows_before = 0;
        if let Some(instance) = after.checked_sub(1).map(|last| &self.instances[last]) {
            let template = &self.templates[instance.template as usize];
            let end = instance.first_row as usize + template.constraints();
            if row < end {
                let outside = instance.first_outside as usize;
                return Segment {
                    rows: row..end,
                    source: &template.rows,
                    first: instance.first_row as usize,
                    block: Some(Block {
                        template,
                        first_aux: instance.first_aux as usize,
                        outside: &self.outside[outside..outside + template.outside],
                    }),
                };
            }
            rows_before = instance.rows_before as usize + template.constraints();
        }
        let end = self.instances.get(after).map_or(self.constraints, |next| next.first_row as usize);
        Segment { rows: row..end, source: &self.single, first: rows_before, block: None }
    }
}

/// Consecutive rows from one source.
struct Segment<'a> {
    rows: Range<usize>,
    source: &'a [Rows; 3],
    /// The circuit's row that the source's first row stands for.
    first: usize,
    block: Option<Block<'a>>,
}

/// An instance of a template.
#[derive(Clone, Copy)]
struct Block<'a> {
    template: &'a Template,
    first_aux: usize,
    outside: &'a [Column],
}

impl<'a> Segment<'a> {
    /// A row of the circuit, out of this piece.
    fn row(&self, letter: usize, row: usize) -> Row<'a> {
        let (columns, coefficients) = self.source[letter].row(row - self.first);
        Row { terms: columns.iter().zip(coefficients), block: self.block }
    }
}

/// One of the matrices of a circuit.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    shape: &'a Shape,
    letter: usize,
}

impl<'a> Matrix<'a> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.shape.constraints
    }

    /// Number of terms.
    pub fn non_zeros(&self) -> usize {
        let instance = |instance: &Instance| &self.shape.templates[instance.template as usize].rows[self.letter];
        self.shape.single[self.letter].non_zeros()
            + self.shape.instances.iter().map(|block| instance(block).non_zeros()).sum::<usize>()
    }

    /// Terms of one row as columns and dictionary indices, each column once, in no particular order.
    pub fn row(&self, row: usize) -> Row<'a> {
        self.shape.segment(row).row(self.letter, row)
    }

    /// All rows of a range in order, each with its number: faster than one [`row`](Self::row) after the other.
    pub fn rows_of(&self, range: Range<usize>) -> impl Iterator<Item = (usize, Row<'a>)> {
        let letter = self.letter;
        self.shape
            .segments(range)
            .flat_map(move |segment| segment.rows.clone().map(move |row| (row, segment.row(letter, row))))
    }
}

/// The terms of one row.
#[derive(Clone)]
pub struct Row<'a> {
    terms: std::iter::Zip<std::slice::Iter<'a, u32>, std::slice::Iter<'a, u32>>,
    block: Option<Block<'a>>,
}

impl Iterator for Row<'_> {
    type Item = (Column, u32);

    fn next(&mut self) -> Option<(Column, u32)> {
        let (&column, &coefficient) = self.terms.next()?;
        let column = match &self.block {
            None => Column(column),
            Some(block) => block.column(column as usize),
        };
        Some((column, coefficient))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.terms.size_hint()
    }
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
mod tests;
