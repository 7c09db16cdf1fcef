//! Where the vectors of a proof begin: the values of one matrix of the circuit, then those of the consistency rows, which
//! are the inputs in A and zeros in B and C, then zeros.

use ff::Field;
use rayon::prelude::*;

use super::scratch::{Scratch, ScratchError};
use crate::circuit::{Evaluations, Letter, Shape, Values, Witness};
use crate::field::Fr;

/// Elements that one task takes.
const PIECE: usize = 1 << 14;

/// Where `A·z`, `B·z` and `C·z` over the circuit's own constraints come from.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one value in a proof")]
pub enum Rows<'a> {
    /// They are there, compact where they are small.
    Compact(Evaluations),
    /// The circuit, of which each is computed when it is needed.
    Shape(&'a Shape),
}

impl From<Evaluations> for Rows<'_> {
    fn from(evaluations: Evaluations) -> Self {
        Self::Compact(evaluations)
    }
}

impl<'a> From<&'a Shape> for Rows<'a> {
    fn from(shape: &'a Shape) -> Self {
        Self::Shape(shape)
    }
}

impl<'a> Rows<'a> {
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Compact(Evaluations { a, b, c }) => [a, b, c].map(Values::memory_bytes).iter().sum(),
            Self::Shape(_) => 0,
        }
    }

    /// Values of each matrix.
    pub(super) fn lens(&self) -> [usize; 3] {
        match self {
            Self::Compact(Evaluations { a, b, c }) => [a, b, c].map(Values::len),
            Self::Shape(shape) => [shape.constraints(); 3],
        }
    }

    /// The vector of a matrix. Compact values belong to it from now on.
    pub(super) fn take<'w>(&mut self, letter: Letter, witness: &'w Witness) -> Column<'w>
    where
        'a: 'w,
    {
        let inputs = if letter == Letter::A { &witness.inputs[..] } else { &[] };
        let source = match self {
            Self::Compact(Evaluations { a, b, c }) => Source::Compact(std::mem::take(match letter {
                Letter::A => a,
                Letter::B => b,
                Letter::C => c,
            })),
            Self::Shape(shape) => Source::Shape(shape, letter, witness),
        };
        Column { source, inputs }
    }
}

/// A vector that is to be written.
pub(super) struct Column<'w> {
    source: Source<'w>,
    /// Values of the consistency rows.
    inputs: &'w [Fr],
}

enum Source<'w> {
    Compact(Values),
    Shape(&'w Shape, Letter, &'w Witness),
}

impl Column<'_> {
    /// Fills a vector.
    pub(super) fn fill(self, vector: &mut [Fr]) {
        match self.source {
            Source::Compact(values) => vector.par_chunks_mut(PIECE).enumerate().for_each(|(piece, vector)| {
                for (offset, element) in vector.iter_mut().enumerate() {
                    *element = compact(&values, self.inputs, piece * PIECE + offset);
                }
            }),
            Source::Shape(shape, letter, witness) => {
                let (own, rest) = vector.split_at_mut(shape.constraints());
                shape.evaluate_into(letter, witness, own);
                let (consistency, zeros) = rest.split_at_mut(self.inputs.len());
                consistency.copy_from_slice(self.inputs);
                zeros.fill(Fr::ZERO);
            }
        }
    }

    /// Writes what cannot be had strip by strip into a vector of a domain; whether there was anything.
    pub(super) fn spill(&self, vector: &Scratch, size: usize) -> Result<bool, ScratchError> {
        let Source::Shape(shape, letter, witness) = self.source else { return Ok(false) };
        shape.evaluate_pieces(letter, witness, |first, piece| vector.write(first, piece))?;
        let own = shape.constraints();
        vector.write(own, self.inputs)?;
        let zeros = vec![Fr::ZERO; PIECE];
        for first in (own + self.inputs.len()..size).step_by(PIECE) {
            vector.write(first, &zeros[..PIECE.min(size - first)])?;
        }
        Ok(true)
    }

    /// Fills a strip of the matrix that a vector is, of so many columns, with those from `first` on.
    pub(super) fn strip(&self, columns: usize, first: usize, strip: &mut [Fr], width: usize) {
        let Source::Compact(values) = &self.source else { return };
        strip.par_chunks_exact_mut(width).with_min_len(PIECE.div_ceil(width)).enumerate().for_each(|(row, piece)| {
            for (offset, element) in piece.iter_mut().enumerate() {
                *element = compact(values, self.inputs, row * columns + first + offset);
            }
        });
    }
}

fn compact(values: &Values, inputs: &[Fr], index: usize) -> Fr {
    if index < values.len() { values.get(index) } else { inputs.get(index - values.len()).copied().unwrap_or(Fr::ZERO) }
}
