//! Verification of seal proofs, as the chain does it: from identity, commitments and seed alone.
//!
//! Source: `spec/snark.md` 2.2, 5.1 to 5.3.

use tracing::info_span;

use super::SectorIdentity;
pub use super::batch::{ProvenSeal, RejectedSeal, RejectedSeals, SealRejection, SealStatement, SealVerifier};
use crate::circuit::porep::{ChallengeIndices, public_inputs as partition_inputs};
use crate::error::Error;
use crate::field::fr::from_node;
use crate::field::{Fr, Node, NonCanonical};
use crate::graph::Graph;
use crate::job::Job;
use crate::sector::{PoRepConfig, ReplicaId};

/// A commitment that no sector can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum CommitmentError {
    #[error("{0} is all zero")]
    Zero(&'static str),
    #[error("{what} is no field element")]
    NonCanonical { what: &'static str, source: NonCanonical },
}

/// Refuses commitments that are zero or no field elements.
pub(super) fn check_commitments(comm_r: &Node, comm_d: &Node) -> Result<(), CommitmentError> {
    for (what, commitment) in [("comm_r", comm_r), ("comm_d", comm_d)] {
        if *commitment == [0; 32] {
            return Err(CommitmentError::Zero(what));
        }
        from_node(commitment).map_err(|source| CommitmentError::NonCanonical { what, source })?;
    }
    Ok(())
}

/// The public inputs of every partition.
pub(super) fn public_inputs(
    graph: &Graph,
    replica_id: &ReplicaId,
    comm_d: &Node,
    comm_r: &Node,
    challenges: &[Vec<u64>],
) -> Result<Vec<Vec<Fr>>, Error> {
    let indices = |&node: &u64| {
        // Challenges are below the number of nodes, itself below 2³².
        ChallengeIndices { node, parents: graph.parents(node as u32).map(u64::from) }
    };
    challenges
        .iter()
        .map(|partition| {
            let indices: Vec<_> = partition.iter().map(indices).collect();
            Ok(partition_inputs(replica_id, comm_d, comm_r, &indices)?)
        })
        .collect()
}

/// Accepts the proof of a sealed sector, or says why not.
///
/// # Errors
/// [`Error`]; [`Error::is_rejection`] tells a proof that is wrong from a check that could not be made.
#[allow(clippy::too_many_arguments, reason = "the statement as the chain gives it")]
pub fn verify_seal(
    job: &Job<'_>,
    config: &PoRepConfig,
    comm_r: &Node,
    comm_d: &Node,
    identity: &SectorIdentity,
    seed: &[u8; 32],
    proof: &[u8],
) -> Result<(), Error> {
    let _span = info_span!("verify", sector = identity.sector_id, size = config.params.name).entered();
    check_commitments(comm_r, comm_d)?;
    let statement = SealStatement { identity: *identity, comm_r: *comm_r, comm_d: *comm_d, seed: *seed };
    SealVerifier::open(job, config)?.verify(&ProvenSeal { statement, proof })
}

/// Accepts the proofs of many sealed sectors in one randomised batch, or says which are to be rejected.
///
/// # Errors
/// As [`SealVerifier::open`] and [`SealVerifier::verify_all`].
pub fn verify_seals(job: &Job<'_>, config: &PoRepConfig, seals: &[ProvenSeal<'_>]) -> Result<(), Error> {
    SealVerifier::open(job, config)?.verify_all(job, seals)
}
