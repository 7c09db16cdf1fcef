//! Circuits: one text per proof, and the constraint systems that read it.
//!
//! A circuit is written once over [`CircuitSystem`]. [`ShapeRecorder`] reads it for set-up, [`WitnessPass`] for the
//! prover, [`DebugSystem`] for tests; [`Plain`] hands it to any constraint system of bellman 0.14.

pub mod cs;
pub mod gadgets;
pub mod porep;
pub mod post;
pub mod shape;
pub mod update;
pub mod values;
#[cfg(test)]
mod witness_checks;

use bellman::SynthesisError;

pub use cs::{CircuitSystem, DebugSystem, DigestRecorder, Plain, ShapeRecorder, WitnessPass};
pub use gadgets::path::Level;
pub use porep::{ChallengeIndices, ChallengeWitness, ColumnWitness, PoRepCircuit, PoRepPartition, PoRepShape};
pub use post::{LeafWitness, PoStCircuit, PoStShape, SlotInputs, SlotWitness};
pub use shape::{Column, Evaluations, Letter, Matrix, Shape, Witness};
pub use update::{UpdateCircuit, UpdatePartition};
pub use values::Values;

/// A circuit of one proof: its shape, and its values unless it is blank.
pub trait ProofCircuit {
    /// Reads the circuit.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] where `cs` needs values and the circuit is blank.
    fn read<CS: CircuitSystem>(&self, cs: &mut CS) -> Result<(), SynthesisError>;

    /// Records the constraints; values do not matter.
    fn record(&self) -> Shape {
        let mut recorder = ShapeRecorder::new();
        self.read(&mut recorder).expect("recording fails only where values are needed");
        recorder.finish()
    }

    /// The values of all variables.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the circuit is blank.
    fn witness(&self) -> Result<Witness, SynthesisError> {
        let mut pass = WitnessPass::new();
        self.read(&mut pass)?;
        Ok(pass.finish())
    }
}
