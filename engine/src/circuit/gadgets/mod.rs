//! Gadgets: pieces of circuits, each making exactly the variables and constraints of the reference's, in its order.
//!
//! In their lists "new v" is an aux variable and "bit v" one with the constraint `(1 − v) · v = 0`. They fail only where
//! the reader does: with [`SynthesisError::AssignmentMissing`](bellman::SynthesisError) when it needs values that a
//! blank circuit does not have.

pub mod bit;
pub mod insert;
pub mod label;
pub mod num;
pub mod packer;
pub mod path;
pub mod poseidon;
pub mod sha;
pub mod word;

/// First words of the keys of blocks ([`block`](super::cs::CircuitSystem::block)).
mod blocks {
    pub(super) const SHA: u64 = 0;
    pub(super) const POSEIDON: u64 = 1;
    pub(super) const BITS: u64 = 2;
    pub(super) const INSERT: u64 = 3;
}

#[cfg(test)]
mod tests;
