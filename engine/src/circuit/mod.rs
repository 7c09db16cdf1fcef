//! Circuits: one text per proof, and the constraint systems that read it.
//!
//! A circuit is written once over [`CircuitSystem`]. [`ShapeRecorder`] reads it for set-up, [`WitnessPass`] for the
//! prover, [`DebugSystem`] for tests; [`Plain`] hands it to any constraint system of bellman 0.14.

pub mod cs;
pub mod gadgets;
pub mod porep;
pub mod shape;
pub mod values;

pub use cs::{CircuitSystem, DebugSystem, DigestRecorder, Plain, ShapeRecorder, WitnessPass};
pub use gadgets::path::Level;
pub use porep::{ChallengeIndices, ChallengeWitness, ColumnWitness, PoRepCircuit, PoRepPartition, PoRepShape};
pub use shape::{Column, Evaluations, Matrix, Shape, Witness};
pub use values::Values;
