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

#[cfg(test)]
mod tests;
