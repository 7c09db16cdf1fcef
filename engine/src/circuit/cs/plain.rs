//! Lets a circuit run in any constraint system of bellman 0.14: its set-up, its prover, its test system.

use bellman::{ConstraintSystem, LinearCombination, SynthesisError};

use super::{CircuitSystem, Lc, Row, column, variable};
use crate::circuit::shape::Column;
use crate::field::Fr;

/// A bellman constraint system as circuits see it.
pub struct Plain<'a, CS> {
    system: &'a mut CS,
    row: Row,
}

impl<'a, CS: ConstraintSystem<Fr>> Plain<'a, CS> {
    /// Wraps `system`.
    pub fn new(system: &'a mut CS) -> Self {
        Self { system, row: Row::default() }
    }
}

fn combination(lc: &Lc) -> LinearCombination<Fr> {
    lc.terms()
        .iter()
        .fold(LinearCombination::zero(), |sum, (column, coefficient)| sum + (*coefficient, variable(*column)))
}

impl<CS: ConstraintSystem<Fr>> CircuitSystem for Plain<'_, CS> {
    type Wire = Column;
    const BUILDS: bool = true;
    const VALUES: bool = true;

    fn alloc(&mut self, value: Option<Fr>) -> Result<Column, SynthesisError> {
        self.system.alloc(|| "", || value.ok_or(SynthesisError::AssignmentMissing)).map(column)
    }

    fn alloc_input(&mut self, value: Option<Fr>) -> Result<Column, SynthesisError> {
        self.system.alloc_input(|| "", || value.ok_or(SynthesisError::AssignmentMissing)).map(column)
    }

    fn alloc_bits(&mut self, bits: u64, wires: &mut [Column]) -> Result<(), SynthesisError> {
        for (i, wire) in wires.iter_mut().enumerate() {
            *wire = CircuitSystem::alloc(self, Some(Fr::from(bits >> i & 1)))?;
        }
        Ok(())
    }

    fn constrain(&mut self, build: impl FnOnce(&mut Lc, &mut Lc, &mut Lc)) {
        let Row { a, b, c } = self.row.build(build);
        self.system.enforce(|| "", |_| combination(a), |_| combination(b), |_| combination(c));
    }
}
