//! Verification of seal proofs, as the chain does it: from identity, commitments and seed alone.
//!
//! Source: `spec/snark.md` 2.2, 5.1 to 5.3.

use std::ops::Range;

use tracing::info_span;

use super::SectorIdentity;
use super::aggregate::{NON_INTERACTIVE, verify_aggregate};
pub use super::batch::{ProvenSeal, RejectedSeal, RejectedSeals, SealRejection, SealStatement, SealVerifier};
use super::prove::CommitError;
use crate::circuit::porep::{ChallengeIndices, public_inputs as partition_inputs};
use crate::error::Error;
use crate::field::fr::from_node;
use crate::field::{Fr, Node, NonCanonical};
use crate::graph::Graph;
use crate::groth16::{Proof, Verifier};
use crate::job::Job;
use crate::params::{CircuitKind, ParamId, ParamStore};
use crate::porep::challenges::{Challenges, layout};
use crate::sector::{Feature, PoRepConfig, ReplicaId};

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
/// A non-interactive proof is an aggregate. It has no seed, and what is given as one is not looked at.
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
    layout(config)?;
    check_commitments(comm_r, comm_d)?;
    let statement = SealStatement { identity: *identity, comm_r: *comm_r, comm_d: *comm_d, seed: *seed };
    if config.feature == Feature::NonInteractive {
        return verify_aggregate(job, config, NON_INTERACTIVE, &[statement], proof);
    }
    SealVerifier::open(job, config)?.verify(&ProvenSeal { statement, proof })
}

/// Accepts the proofs of many sealed sectors in one randomised batch, or says which are to be rejected.
///
/// Of non-interactive seals these are the proofs of all partitions, before they are aggregated.
///
/// # Errors
/// As [`SealVerifier::open`] and [`SealVerifier::verify_all`].
pub fn verify_seals(job: &Job<'_>, config: &PoRepConfig, seals: &[ProvenSeal<'_>]) -> Result<(), Error> {
    SealVerifier::open(job, config)?.verify_all(job, seals)
}

/// Accepts the proofs of some partitions of a sealed sector, as [`prove_partitions`] puts them together.
///
/// # Errors
/// As [`verify_seal`].
///
/// [`prove_partitions`]: super::prove::prove_partitions
#[allow(clippy::too_many_arguments, reason = "the statement as the chain gives it, and which part of it")]
pub fn verify_partitions(
    job: &Job<'_>,
    config: &PoRepConfig,
    comm_r: &Node,
    comm_d: &Node,
    identity: &SectorIdentity,
    seed: &[u8; 32],
    partitions: Range<usize>,
    proof: &[u8],
) -> Result<(), Error> {
    let _span = info_span!("verify", sector = identity.sector_id, size = config.params.name, ?partitions).entered();
    check_commitments(comm_r, comm_d)?;
    let (expected, _) = layout(config)?;
    if partitions.is_empty() || partitions.end > expected {
        return Err(CommitError::NoSuchPartitions { asked: partitions, partitions: expected }.into());
    }
    let proofs = Proof::many_from_bytes(proof, partitions.len())?;
    let inputs = seal_inputs(config, comm_r, comm_d, identity, seed, partitions)?;
    let id = ParamId::new(config.profile, CircuitKind::PoRep, config.params.size_bytes)?;
    let key =
        ParamStore::new(&job.config.parameter_cache).verifying_key_for(&id, inputs.first().map_or(0, Vec::len))?;
    Ok(Verifier::new(&key).verify_all(&proofs, &inputs)?)
}

/// The public inputs of some partitions of a seal proof: what a verifier of the SNARKs, aggregated or not, needs.
///
/// # Errors
/// [`Error`]: commitments that no sector can have, challenges that the network does not know.
pub fn seal_inputs(
    config: &PoRepConfig,
    comm_r: &Node,
    comm_d: &Node,
    identity: &SectorIdentity,
    seed: &[u8; 32],
    partitions: Range<usize>,
) -> Result<Vec<Vec<Fr>>, Error> {
    check_commitments(comm_r, comm_d)?;
    let replica_id = identity.replica_id(config, comm_d);
    let challenges = Challenges { config, replica_id: &replica_id, comm_r, seed }.of(partitions)?;
    public_inputs(&Graph::new(config), &replica_id, comm_d, comm_r, &challenges)
}
