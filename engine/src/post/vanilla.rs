//! Opening one sector for a proof of space-time, and checking what was opened.
//!
//! For every challenged leaf, TreeR-last is opened over the replica; then
//!
//! - each opening leads from its leaf to comm_r_last,
//! - `H(comm_c, comm_r_last) = comm_r`.
//!
//! What is not so is a *fault* of that sector and of no other: a file that is gone or cannot be read, a byte that has
//! changed where it was looked at, a commitment of other times. A prover leaves such sectors out; it does not fail.
//!
//! Source: `spec/replication.md` 10.4 to 10.6.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rayon::prelude::*;

use super::proof::{SectorProof, VanillaForm, VanillaPoSt};
use crate::field::{Node, NonCanonical};
use crate::hash::poseidon::hash2;
use crate::merkle::path::{MerkleProof, PathError};
use crate::merkle::tree_file::{TreeFile, TreeFileError};
use crate::porep::proof::MalformedProof;
use crate::sector::SectorId;
use crate::sector::geometry::Geometry;
use crate::store::aux::{AuxError, PAux};

/// A sealed sector and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoStSector {
    /// Its number.
    pub sector_id: SectorId,
    /// The commitment to its replica, as the chain has it.
    pub comm_r: Node,
    /// The folder of `p_aux` and TreeR-last.
    pub cache: PathBuf,
    /// The replica.
    pub sealed: PathBuf,
}

/// Why a sector cannot be proven.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum Fault {
    #[error("timed out: not read within {} s", limit.as_secs_f64())]
    TimedOut { limit: Duration },
    #[error(transparent)]
    Aux(#[from] AuxError),
    #[error(transparent)]
    Tree(#[from] TreeFileError),
    #[error(transparent)]
    Malformed(#[from] MalformedProof),
    #[error("{what} is {}, expected {}", hex::encode(.actual), hex::encode(.expected))]
    Commitment { what: &'static str, expected: Node, actual: Node },
    #[error("opening of TreeR-last at leaf {leaf}")]
    Opening { leaf: u64, source: PathError },
    #[error(transparent)]
    NonCanonical(#[from] NonCanonical),
}

/// A sector that cannot be proven, and why.
#[derive(Debug, thiserror::Error)]
#[error("sector {sector_id}")]
pub struct FaultySector {
    /// Its number.
    pub sector_id: SectorId,
    /// Why.
    #[source]
    pub fault: Fault,
}

impl FaultySector {
    /// The fault and its causes on a line.
    pub fn reason(&self) -> String {
        let mut text = self.fault.to_string();
        let mut cause = std::error::Error::source(&self.fault);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// Some faulty sectors on a line: `sector 5 (…), sector 9 (…)`.
pub(crate) struct Faults<'a>(pub(crate) &'a [FaultySector]);

impl fmt::Display for Faults<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, faulty) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}sector {} ({})", faulty.sector_id, faulty.reason())?;
        }
        Ok(())
    }
}

fn same(what: &'static str, expected: &Node, actual: &Node) -> Result<(), Fault> {
    if expected == actual {
        return Ok(());
    }
    Err(Fault::Commitment { what, expected: *expected, actual: *actual })
}

impl PoStSector {
    /// Opens the challenged leaves of a sector of this geometry; [`VanillaPoSt::verify`] has to follow.
    ///
    /// # Errors
    /// [`Fault`] when a file is missing, damaged or of another sector.
    pub fn open(&self, geometry: Geometry, leaves: &[u64]) -> Result<VanillaPoSt, Fault> {
        let PAux { comm_c, comm_r_last } = PAux::read(&self.cache)?;
        same("comm_r", &self.comm_r, &hash2(&comm_c, &comm_r_last)?)?;
        let tree = TreeFile::open_tree_r_last(&self.cache, &self.sealed, geometry)?;
        same("comm_r_last", &comm_r_last, &tree.root())?;
        let kind = VanillaForm { nodes: geometry.nodes(), tree: geometry.shape(), challenges: leaves.len() }.kind();
        let open = |&leaf: &u64| {
            MerkleProof::new(kind, tree.root(), tree.leaf(leaf)?, tree.levels(leaf)?)
                .map_err(|source| Fault::Opening { leaf, source })
        };
        let inclusion_proofs = leaves.iter().map(open).collect::<Result<_, _>>()?;
        let proof = SectorProof { inclusion_proofs, comm_c, comm_r_last };
        Ok(VanillaPoSt { sector_id: self.sector_id, comm_r: self.comm_r, proof })
    }
}

impl VanillaPoSt {
    /// Checks that the proof opens these leaves of the replica of its `comm_r`, in a sector of this geometry.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn verify(&self, geometry: Geometry, leaves: &[u64]) -> Result<(), Fault> {
        let form = VanillaForm { nodes: geometry.nodes(), tree: geometry.shape(), challenges: leaves.len() };
        form.check(&self.proof)?;
        let SectorProof { inclusion_proofs, comm_c, comm_r_last } = &self.proof;
        same("comm_r", &self.comm_r, &hash2(comm_c, comm_r_last)?)?;
        let check = |(proof, &leaf): (&MerkleProof, &u64)| {
            proof.verify(form.kind(), form.nodes, leaf).map_err(|source| Fault::Opening { leaf, source })?;
            same("comm_r_last", comm_r_last, proof.root())
        };
        // All of them, so that the first fault is always the same.
        inclusion_proofs.par_iter().zip(leaves).map(check).collect::<Vec<_>>().into_iter().collect()
    }
}
