//! Shape and witness in one reading, and the name of the first constraint that does not hold. For tests and diagnosis.

use bellman::{ConstraintSystem, LinearCombination, SynthesisError, Variable};

use super::{CircuitSystem, Lc, ShapeRecorder, WitnessPass, variable};
use crate::circuit::shape::{Column, Shape, Witness};
use crate::field::Fr;

/// Reads a circuit's shape and values and remembers the names of its parts.
#[derive(Debug, Default)]
pub struct DebugSystem {
    shape: ShapeRecorder,
    witness: WitnessPass,
    constraints: usize,
    path: Vec<String>,
    /// From which constraint on which path holds.
    paths: Vec<(usize, String)>,
}

impl DebugSystem {
    /// A system that has seen only ONE.
    pub fn new() -> Self {
        Self::default()
    }

    /// Shape and witness.
    pub fn finish(self) -> (Shape, Witness) {
        (self.shape.finish(), self.witness.finish())
    }

    /// The names around the first constraint that does not hold, and its number among those of the same name.
    pub fn first_unsatisfied(self) -> Option<String> {
        let Self { shape, witness, paths, .. } = self;
        let row = shape.finish().evaluate(&witness.finish()).first_unsatisfied()?;
        let place = paths.partition_point(|(from, _)| *from <= row);
        Some(match place.checked_sub(1).map(|place| &paths[place]) {
            Some((from, path)) => format!("{path}, constraint {} ({row} of all)", row - from),
            None => format!("constraint {row}"),
        })
    }

    fn push(&mut self, name: String) {
        self.path.push(name);
        self.note();
    }

    fn pop(&mut self) {
        self.path.pop();
        self.note();
    }

    fn note(&mut self) {
        let path = self.path.join("/");
        match self.paths.last_mut() {
            Some((from, last)) if *from == self.constraints => *last = path,
            _ => self.paths.push((self.constraints, path)),
        }
    }
}

impl CircuitSystem for DebugSystem {
    type Wire = Column;
    const BUILDS: bool = true;
    const VALUES: bool = true;

    fn alloc(&mut self, value: Option<Fr>) -> Result<Column, SynthesisError> {
        CircuitSystem::alloc(&mut self.witness, value)?;
        CircuitSystem::alloc(&mut self.shape, value)
    }

    fn alloc_input(&mut self, value: Option<Fr>) -> Result<Column, SynthesisError> {
        CircuitSystem::alloc_input(&mut self.witness, value)?;
        CircuitSystem::alloc_input(&mut self.shape, value)
    }

    fn alloc_bits(&mut self, bits: u64, wires: &mut [Column]) -> Result<(), SynthesisError> {
        self.witness.alloc_bits(bits, &mut vec![(); wires.len()])?;
        self.shape.alloc_bits(bits, wires)
    }

    fn constrain(&mut self, build: impl FnOnce(&mut Lc, &mut Lc, &mut Lc)) {
        self.constraints += 1;
        self.shape.constrain(build);
    }

    fn enter(&mut self, name: &'static str, index: usize) {
        self.push(format!("{name} {index}"));
    }

    fn leave(&mut self) {
        self.pop();
    }
}

impl ConstraintSystem<Fr> for DebugSystem {
    type Root = Self;

    fn alloc<F, A, AR>(&mut self, _annotation: A, value: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        CircuitSystem::alloc(self, Some(value()?)).map(variable)
    }

    fn alloc_input<F, A, AR>(&mut self, _annotation: A, value: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        CircuitSystem::alloc_input(self, Some(value()?)).map(variable)
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, annotation: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LB: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LC: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
    {
        self.push(annotation().into());
        self.constraints += 1;
        self.shape.enforce(|| "", a, b, c);
        self.pop();
    }

    fn push_namespace<NR: Into<String>, N: FnOnce() -> NR>(&mut self, name: N) {
        self.push(name().into());
    }

    fn pop_namespace(&mut self) {
        self.pop();
    }

    fn get_root(&mut self) -> &mut Self {
        self
    }
}
