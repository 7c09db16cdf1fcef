//! Circuits: one text per proof, and the constraint systems that read it.

pub mod shape;
pub mod values;

pub use shape::{Column, Evaluations, Matrix, Shape, Witness};
pub use values::Values;
