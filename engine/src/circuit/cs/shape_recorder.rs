//! Records the constraints of a circuit; values are never computed, so a blank circuit will do (`spec/snark.md` 2.6).

use bellman::{ConstraintSystem, LinearCombination, SynthesisError, Variable};

use super::{CircuitSystem, Lc, Row, bellman_row, column, variable};
use crate::circuit::shape::{Column, Shape};
use crate::field::Fr;

/// Reads a circuit's shape.
#[derive(Debug, Default)]
pub struct ShapeRecorder {
    shape: Shape,
    row: Row,
}

impl ShapeRecorder {
    /// A recorder that has seen only ONE.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was recorded.
    pub fn finish(self) -> Shape {
        self.shape
    }
}

impl CircuitSystem for ShapeRecorder {
    type Wire = Column;
    const BUILDS: bool = true;
    const VALUES: bool = false;

    fn alloc(&mut self, _value: Option<Fr>) -> Result<Column, SynthesisError> {
        Ok(self.shape.push_aux())
    }

    fn alloc_input(&mut self, _value: Option<Fr>) -> Result<Column, SynthesisError> {
        Ok(self.shape.push_input())
    }

    fn alloc_bits(&mut self, _bits: u64, wires: &mut [Column]) -> Result<(), SynthesisError> {
        wires.fill_with(|| self.shape.push_aux());
        Ok(())
    }

    fn constrain(&mut self, build: impl FnOnce(&mut Lc, &mut Lc, &mut Lc)) {
        let Row { a, b, c } = self.row.build(build);
        self.shape.push_constraint(&mut a.0, &mut b.0, &mut c.0);
    }
}

impl ConstraintSystem<Fr> for ShapeRecorder {
    type Root = Self;

    fn alloc<F, A, AR>(&mut self, _annotation: A, _value: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        Ok(variable(self.shape.push_aux()))
    }

    fn alloc_input<F, A, AR>(&mut self, _annotation: A, _value: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        Ok(variable(self.shape.push_input()))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _annotation: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LB: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LC: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
    {
        self.constrain(bellman_row!(a, b, c));
    }

    fn push_namespace<NR: Into<String>, N: FnOnce() -> NR>(&mut self, _name: N) {}

    fn pop_namespace(&mut self) {}

    fn get_root(&mut self) -> &mut Self {
        self
    }
}
