//! Gadgets: pieces of circuits, each making exactly the variables and constraints of the reference's, in its order.

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
