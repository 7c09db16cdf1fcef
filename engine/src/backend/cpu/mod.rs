//! The CPU backend: rayon, always compiled, the oracle of every other backend.

use super::Backend;

/// All cores of the machine, or what rayon's pool has.
#[derive(Debug, Default, Clone, Copy)]
pub struct Cpu;

impl Backend for Cpu {
    fn name(&self) -> &str {
        "cpu"
    }
}
