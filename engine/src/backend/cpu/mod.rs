//! The CPU backend: rayon, always compiled, the oracle of every other backend.

pub mod subgroup;
pub mod sums;
pub mod trees;

use blstrs::{G1Projective, G2Projective};

use self::curve::{PortableG1, PortableG2};
use self::ntt::{Part, Pass};
use super::points::{SharedBlocks, SumPlan};
use super::{Backend, BackendError, SharedBackend};
use crate::field::Node;

pub mod curve;
#[cfg(target_arch = "x86_64")]
pub mod curve_ifma;
pub mod digits;
pub mod fixed_base;
#[cfg(target_arch = "x86_64")]
mod lanes;
pub mod msm;
pub mod multiples;
pub mod ntt;
#[cfg(target_arch = "x86_64")]
mod ntt_ifma;
pub mod pairing;

/// The fastest arithmetic of this kind of machine; portable arithmetic where there is none or it is not available.
pub mod fast {
    #[cfg(target_arch = "x86_64")]
    pub use super::curve_ifma::{IfmaG1 as G1, IfmaG2 as G2, available};

    #[cfg(not(target_arch = "x86_64"))]
    pub use super::curve::{PortableG1 as G1, PortableG2 as G2};

    /// Whether this machine has instructions for it.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn available() -> bool {
        false
    }
}

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

    fn sha_level(&self, children: &[Node], parents: &mut [Node]) -> Result<(), BackendError> {
        if children.len() != 2 * parents.len() {
            return Err(BackendError::Lengths { arity: 2, children: children.len(), parents: parents.len() });
        }
        trees::sha_level(children, parents);
        Ok(())
    }

    fn pass(&self, pass: &Pass, part: Part<'_>) -> Result<(), BackendError> {
        pass.check(&part)?;
        pass.compute_all(part);
        Ok(())
    }

    fn sums_g1(
        &self,
        sums: usize,
        plan: &SumPlan,
        blocks: &mut SharedBlocks<'_>,
    ) -> Result<Vec<G1Projective>, BackendError> {
        match fast::available() {
            true => sums::sums::<fast::G1>(sums, plan, blocks),
            false => sums::sums::<PortableG1>(sums, plan, blocks),
        }
    }

    fn sums_g2(
        &self,
        sums: usize,
        plan: &SumPlan,
        blocks: &mut SharedBlocks<'_>,
    ) -> Result<Vec<G2Projective>, BackendError> {
        match fast::available() {
            true => sums::sums::<fast::G2>(sums, plan, blocks),
            false => sums::sums::<PortableG2>(sums, plan, blocks),
        }
    }

    fn urgent(&self) -> SharedBackend {
        SharedBackend::default()
    }
}
