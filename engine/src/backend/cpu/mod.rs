//! The CPU backend: rayon, always compiled, the oracle of every other backend.

use super::Backend;

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
}
