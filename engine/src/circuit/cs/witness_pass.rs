//! Computes the values of a circuit's variables and nothing else: no combination is built, no name is made.

use bellman::{ConstraintSystem, LinearCombination, SynthesisError, Variable};
use ff::Field;

use super::{CircuitSystem, Column, Lc, variable};
use crate::circuit::shape::Witness;
use crate::circuit::values::Values;
use crate::field::Fr;

/// Reads a circuit's values.
#[derive(Debug)]
pub struct WitnessPass {
    inputs: Vec<Fr>,
    aux: Values,
}

impl Default for WitnessPass {
    fn default() -> Self {
        Self::new()
    }
}

impl WitnessPass {
    /// A pass that knows only ONE.
    pub fn new() -> Self {
        Self { inputs: vec![Fr::ONE], aux: Values::new() }
    }

    /// The values of all variables.
    pub fn finish(self) -> Witness {
        Witness { inputs: self.inputs, aux: self.aux }
    }
}

impl CircuitSystem for WitnessPass {
    type Wire = ();
    const BUILDS: bool = false;
    const VALUES: bool = true;

    fn alloc(&mut self, value: Option<Fr>) -> Result<(), SynthesisError> {
        self.aux.push(value.ok_or(SynthesisError::AssignmentMissing)?);
        Ok(())
    }

    fn alloc_input(&mut self, value: Option<Fr>) -> Result<(), SynthesisError> {
        self.inputs.push(value.ok_or(SynthesisError::AssignmentMissing)?);
        Ok(())
    }

    #[inline]
    fn alloc_bits(&mut self, bits: u64, wires: &mut [()]) -> Result<(), SynthesisError> {
        self.aux.push_bits(bits, wires.len());
        Ok(())
    }

    #[inline]
    fn constrain(&mut self, _build: impl FnOnce(&mut Lc, &mut Lc, &mut Lc)) {}
}

impl ConstraintSystem<Fr> for WitnessPass {
    type Root = Self;

    fn alloc<F, A, AR>(&mut self, _annotation: A, value: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.aux.push(value()?);
        Ok(variable(Column::aux(self.aux.len() - 1)))
    }

    fn alloc_input<F, A, AR>(&mut self, _annotation: A, value: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.inputs.push(value()?);
        Ok(variable(Column::input(self.inputs.len() - 1)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _annotation: A, _a: LA, _b: LB, _c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LB: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LC: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
    {
    }

    fn push_namespace<NR: Into<String>, N: FnOnce() -> NR>(&mut self, _name: N) {}

    fn pop_namespace(&mut self) {}

    fn get_root(&mut self) -> &mut Self {
        self
    }
}
