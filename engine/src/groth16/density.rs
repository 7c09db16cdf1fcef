//! Which variables a key has points for.
//!
//! A parameter file leaves out the points of variables that do not occur in A, or in B; so the prover has to know them
//! from the circuit. Their counts are also a strong test that a key and a circuit belong together.
//!
//! Source: `spec/snark.md` 3.2 and 4.3.

use crate::circuit::{Matrix, Shape};

/// A set of small integers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    count: usize,
}

impl Bits {
    fn new(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], count: 0 }
    }

    fn insert(&mut self, index: usize) {
        let word = &mut self.words[index / 64];
        let bit = 1 << (index % 64);
        self.count += usize::from(*word & bit == 0);
        *word |= bit;
    }

    fn memory_bytes(&self) -> usize {
        size_of_val(&self.words[..])
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// All, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.checked_ilog2().map(|_| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(64 * index + bit as usize)
            })
        })
    }
}

/// Counts of a circuit, and the variables that occur in A and in B.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Density {
    /// Inputs, with ONE. All occur in A, by the consistency rows.
    pub inputs: usize,
    /// Aux variables.
    pub aux: usize,
    /// Constraints of the circuit, without the consistency rows.
    pub constraints: usize,
    /// Aux variables in A.
    pub a_aux: Bits,
    /// Inputs in B.
    pub b_inputs: Bits,
    /// Aux variables in B.
    pub b_aux: Bits,
}

impl Density {
    /// Reads a circuit once.
    pub fn new(shape: &Shape) -> Self {
        let [a, b, _] = shape.matrices();
        let occurring = |matrix: Matrix<'_>| {
            let (mut inputs, mut aux) = (Bits::new(shape.inputs()), Bits::new(shape.aux()));
            for (_, row) in matrix.rows_of(0..matrix.rows()) {
                for (column, _) in row {
                    if column.is_aux() { &mut aux } else { &mut inputs }.insert(column.index());
                }
            }
            (inputs, aux)
        };
        let ((_, a_aux), (b_inputs, b_aux)) = rayon::join(|| occurring(a), || occurring(b));
        Self { inputs: shape.inputs(), aux: shape.aux(), constraints: shape.constraints(), a_aux, b_inputs, b_aux }
    }

    /// Bytes that the sets occupy.
    pub fn memory_bytes(&self) -> usize {
        [&self.a_aux, &self.b_inputs, &self.b_aux].into_iter().map(Bits::memory_bytes).sum()
    }

    /// Points in section A of the key.
    pub fn a_points(&self) -> usize {
        self.inputs + self.a_aux.count()
    }

    /// Points in each section B of the key.
    pub fn b_points(&self) -> usize {
        self.b_inputs.count() + self.b_aux.count()
    }

    /// Rows of the system with the consistency rows.
    pub fn rows(&self) -> usize {
        self.constraints + self.inputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::Column;
    use crate::field::Fr;
    use ff::Field;

    #[test]
    fn bits_are_ascending_and_counted_once() {
        let mut bits = Bits::new(200);
        [199, 0, 63, 64, 0].into_iter().for_each(|index| bits.insert(index));
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 63, 64, 199]);
        assert_eq!(bits.count(), 4);
    }

    #[test]
    fn cancelled_terms_do_not_count() {
        let mut shape = Shape::new();
        let (x, y) = (shape.push_aux(), shape.push_aux());
        let one = Fr::ONE;
        shape.push_constraint(
            &mut vec![(x, one), (y, one), (y, -one)],
            &mut vec![(Column::ONE, one)],
            &mut vec![(y, one)],
        );
        let density = Density::new(&shape);
        assert_eq!(density.a_aux.iter().collect::<Vec<_>>(), [0]);
        assert_eq!((density.a_points(), density.b_points(), density.rows()), (2, 1, 2));
    }
}
