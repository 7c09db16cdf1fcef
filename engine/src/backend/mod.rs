//! The heavy stages, each over a whole batch, each equal bit for bit to the CPU's.

mod choice;
pub mod cpu;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod points;

pub use choice::{DEFAULT_MAX_VRAM, DeviceChoice, DevicePlan, NoDeviceNamed, Phase};

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use blstrs::{G1Projective, G2Projective};

use self::cpu::curve::BadPoint;
use self::cpu::ntt::{Domain, Part, Pass, Transform};
use self::points::{PointBlocks, SharedBlocks, SumPlan};
use crate::field::{Fr, Node};

/// Why a device could not compute a stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum BackendError {
    #[error(transparent)]
    NonCanonical(#[from] crate::field::NonCanonical),
    #[error("{children} children of {parents} nodes of arity {arity}")]
    Lengths { arity: usize, children: usize, parents: usize },
    #[error("{actual} values of a domain of {expected} points")]
    Points { expected: usize, actual: usize },
    #[error("{actual} values are no rows or columns of {len} elements, eight at a time")]
    Part { len: usize, actual: usize },
    #[error("point {index} {problem}")]
    Point { index: u64, problem: BadPoint },
    #[error("no GPU can go on: {reasons}")]
    NoDevice { reasons: String },
}

/// What stands between the names of devices that compute together, in [`Backend::name`].
pub const BETWEEN_NAMES: &str = " + ";

/// A device that computes stages.
pub trait Backend: Send + Sync {
    /// For logs and records.
    fn name(&self) -> &str;

    /// `parents[i] = Poseidon(children[i·arity], …, children[i·arity + arity − 1])`, under the tag of Merkle trees.
    ///
    /// # Errors
    /// [`BackendError`] when the lengths do not fit or a child is no field element.
    fn poseidon_level(&self, arity: usize, children: &[Node], parents: &mut [Node]) -> Result<(), BackendError>;

    /// `parents[i] = sha_node(children[2i], children[2i + 1])`.
    ///
    /// # Errors
    /// [`BackendError`] when the lengths do not fit.
    fn sha_level(&self, children: &[Node], parents: &mut [Node]) -> Result<(), BackendError>;

    /// Transforms rows or columns of a vector in place.
    ///
    /// # Errors
    /// [`BackendError::Part`] when it is none of this pass; the part may hold anything after any other error.
    fn pass(&self, pass: &Pass, part: Part<'_>) -> Result<(), BackendError>;

    /// Transforms the values or coefficients of a polynomial in place, one transform after the other. Values are in
    /// natural order, coefficients in bit-reversed order. What is too small for rows and columns of eight is computed here.
    ///
    /// # Errors
    /// [`BackendError::Points`] when there are not as many elements as the domain has points; `values` may hold anything
    /// after any other error.
    fn transform(&self, domain: &Domain, values: &mut [Fr], transforms: &[Transform]) -> Result<(), BackendError> {
        if values.len() != domain.size() {
            return Err(BackendError::Points { expected: domain.size(), actual: values.len() });
        }
        match domain.passes(transforms) {
            Some(passes) => passes.iter().try_for_each(|pass| self.pass(pass, Part::whole(values))),
            None => {
                domain.transform(values, transforms);
                Ok(())
            }
        }
    }

    /// So many sums of points of G1, of those with a scalar their multiples, over all blocks. The plan is each one's.
    ///
    /// # Errors
    /// [`BackendError::Point`] for a point that is none; [`BackendError`] when nobody can compute it.
    fn sums_g1(
        &self,
        sums: usize,
        plan: &SumPlan,
        blocks: &mut SharedBlocks<'_>,
    ) -> Result<Vec<G1Projective>, BackendError>;

    /// As [`Self::sums_g1`], of points of G2.
    ///
    /// # Errors
    /// As [`Self::sums_g1`].
    fn sums_g2(
        &self,
        sums: usize,
        plan: &SumPlan,
        blocks: &mut SharedBlocks<'_>,
    ) -> Result<Vec<G2Projective>, BackendError>;

    /// One sum of [`Self::sums_g1`].
    ///
    /// # Errors
    /// As [`Self::sums_g1`].
    fn sum_g1(&self, plan: &SumPlan, blocks: &mut PointBlocks<'_>) -> Result<G1Projective, BackendError> {
        Ok(self.sums_g1(1, plan, &mut blocks.map(|block| vec![block]))?.into_iter().sum())
    }

    /// One sum of [`Self::sums_g2`].
    ///
    /// # Errors
    /// As [`Self::sums_g1`].
    fn sum_g2(&self, plan: &SumPlan, blocks: &mut PointBlocks<'_>) -> Result<G2Projective, BackendError> {
        Ok(self.sums_g2(1, plan, &mut blocks.map(|block| vec![block]))?.into_iter().sum())
    }

    /// Whether devices take part whose results nobody has seen in full.
    fn has_devices(&self) -> bool {
        false
    }

    /// The same devices for work that must not wait: while they do it, they take no other block.
    fn urgent(&self) -> SharedBackend;

    /// Takes all devices out of use, as one of them must have been wrong; what was computed has to be computed again.
    fn leave_devices_out(&self, _reason: &str) {}
}

/// The backend of a job's stages; the CPU unless something else was opened.
#[derive(Clone)]
pub struct SharedBackend(Arc<dyn Backend>);

impl SharedBackend {
    /// Shares a backend.
    pub fn new(backend: impl Backend + 'static) -> Self {
        Self(Arc::new(backend))
    }
}

impl Default for SharedBackend {
    fn default() -> Self {
        Self::new(cpu::Cpu)
    }
}

impl Deref for SharedBackend {
    type Target = dyn Backend;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for SharedBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for SharedBackend {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for SharedBackend {}
