//! The CPU backend: rayon, always compiled, the oracle of every other backend.

pub mod trees;

use super::{Backend, BackendError};
use crate::field::Node;

/// All cores of the machine, or what rayon's pool has.
#[derive(Debug, Default, Clone, Copy)]
pub struct Cpu;

impl Backend for Cpu {
    fn name(&self) -> &str {
        "cpu"
    }

    fn poseidon_level(&self, arity: usize, children: &[Node], parents: &mut [Node]) -> Result<(), BackendError> {
        trees::poseidon_level(arity, children, parents)
    }

    fn sha_level(&self, children: &[Node], parents: &mut [Node]) {
        trees::sha_level(children, parents);
    }
}
