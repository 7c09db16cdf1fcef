//! The CPU backend: rayon, always compiled, the oracle of every other backend.

pub mod trees;

use super::{Backend, BackendError};
use crate::field::Node;

pub mod curve;
pub mod digits;
pub mod fixed_base;
pub mod msm;
pub mod ntt;

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
