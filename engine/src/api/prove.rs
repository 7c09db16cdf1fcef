//! Commit phase 2: from vanilla proofs to a SNARK of 192 bytes for each partition.
//!
//! Partitions are proven some at a time, and every proof is verified before any is handed out. Memory beside the prover's
//! is that of the vanilla proofs, at most 0.2 GB for the 126 partitions of a non-interactive proof.
//!
//! The partitions of a non-interactive proof are aggregated, and the aggregate is the proof.
//!
//! Source: `spec/snark.md` 2.2, 3.3, 3.4, 5.4.

use std::ops::Range;

use tracing::info_span;

use super::SectorIdentity;
use super::aggregate::{self, NON_INTERACTIVE, aggregate_seals};
use super::batch::{ProvenSeal, SealStatement};
use super::snark::{Prover, Resume};
use super::verify::{check_commitments, public_inputs};
use crate::circuit::Level;
use crate::circuit::porep::{
    ChallengeWitness, ColumnWitness, PoRepCircuit, PoRepPartition, PoRepShape, PoRepWitnessError,
};
use crate::error::Error;
use crate::field::fr::from_node;
use crate::field::{Fr, NonCanonical};
use crate::graph::Graph;
use crate::job::Job;
use crate::merkle::path::MerkleProof;
use crate::params::{CircuitKind, ParamId};
use crate::porep::challenges::{Challenges, layout};
use crate::porep::outputs::Commit1Output;
use crate::porep::proof::{ColumnProof, Proof, ProofShape, count};
use crate::porep::verify::{Statement, VanillaError};
use crate::sector::{Feature, PoRepConfig};

/// Why vanilla proofs were not proven, where no other component says it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum CommitError {
    #[error(
        "the vanilla proofs are of replica {}, this sector's is {}: another sector, ticket or profile",
        hex::encode(actual),
        hex::encode(expected)
    )]
    OtherSector { expected: [u8; 32], actual: [u8; 32] },
    #[error("the seed is all zero")]
    ZeroSeed,
    #[error("partitions {} to {} were asked for, the proof has {partitions}", asked.start, asked.end)]
    NoSuchPartitions { asked: Range<usize>, partitions: usize },
    #[error(transparent)]
    Vanilla(#[from] VanillaError),
    #[error(transparent)]
    Witness(#[from] PoRepWitnessError),
}

/// Proves a sector; returns the proof that goes to the chain: those of its partitions one after the other, 192 bytes
/// each, or for a non-interactive proof their aggregate.
///
/// # Errors
/// [`Error`]: the vanilla proofs are of another sector or do not hold, the parameters or the reference string are missing
/// or of another circuit, the memory budget is too small.
pub fn commit_phase2(
    job: &Job<'_>,
    config: &PoRepConfig,
    phase1: &Commit1Output,
    identity: &SectorIdentity,
) -> Result<Vec<u8>, Error> {
    commit_phase2_resumed(job, config, phase1, identity, &Resume::NONE)
}

/// [`commit_phase2`] from where an earlier attempt was.
///
/// # Errors
/// As [`commit_phase2`].
pub fn commit_phase2_resumed(
    job: &Job<'_>,
    config: &PoRepConfig,
    phase1: &Commit1Output,
    identity: &SectorIdentity,
    resume: &Resume<'_>,
) -> Result<Vec<u8>, Error> {
    let (partitions, _) = layout(config)?;
    if config.feature != Feature::NonInteractive {
        return prove_some(job, config, phase1, identity, 0..partitions, resume);
    }
    // Better missed now than after all partitions.
    aggregate::check_srs(job, partitions)?;
    let proof = prove_some(job, config, phase1, identity, 0..partitions, resume)?;
    let Commit1Output { comm_r, comm_d, seed, .. } = *phase1;
    let statement = SealStatement { identity: *identity, comm_r, comm_d, seed };
    aggregate_seals(job, config, NON_INTERACTIVE, &[ProvenSeal { statement, proof: &proof }])
}

/// Proves some partitions of a sector, in order; returns their proofs one after the other, 192 bytes each.
///
/// The partitions of a large proof, such as the 126 of a non-interactive one, can so be proven at several places; the
/// proofs put together in order are those of the whole.
///
/// # Errors
/// As [`commit_phase2`]; [`CommitError::NoSuchPartitions`].
pub fn prove_partitions(
    job: &Job<'_>,
    config: &PoRepConfig,
    phase1: &Commit1Output,
    identity: &SectorIdentity,
    partitions: Range<usize>,
) -> Result<Vec<u8>, Error> {
    prove_some(job, config, phase1, identity, partitions, &Resume::NONE)
}

fn prove_some(
    job: &Job<'_>,
    config: &PoRepConfig,
    phase1: &Commit1Output,
    identity: &SectorIdentity,
    partitions: Range<usize>,
    resume: &Resume<'_>,
) -> Result<Vec<u8>, Error> {
    let _span = info_span!("c2", sector = identity.sector_id, size = config.params.name, ?partitions).entered();
    check_commitments(&phase1.comm_r, &phase1.comm_d)?;
    let replica_id = identity.replica_id(config, &phase1.comm_d);
    if replica_id != phase1.replica_id || identity.ticket != phase1.ticket {
        return Err(CommitError::OtherSector { expected: replica_id, actual: phase1.replica_id }.into());
    }
    if phase1.seed == [0; 32] {
        return Err(CommitError::ZeroSeed.into());
    }
    let (expected, _) = layout(config)?;
    count("partitions", expected, phase1.vanilla_proofs.len())
        .map_err(|error| CommitError::Vanilla(VanillaError::Malformed(error)))?;
    let vanilla = phase1.vanilla_proofs.get(partitions.clone()).filter(|vanilla| !vanilla.is_empty());
    let vanilla = vanilla.ok_or(CommitError::NoSuchPartitions { asked: partitions.clone(), partitions: expected })?;

    let graph = Graph::new(config);
    let source = Challenges { config, replica_id: &replica_id, comm_r: &phase1.comm_r, seed: &phase1.seed };
    let challenges = source.of(partitions.clone())?;
    let parents = |node| graph.parents(node);
    let statement = Statement {
        shape: ProofShape::from(config),
        replica_id: &replica_id,
        comm_d: &phase1.comm_d,
        comm_r: &phase1.comm_r,
        parents: &parents,
    };
    statement.verify(job, &challenges, vanilla).map_err(|error| CommitError::from(error.in_place(partitions.start)))?;

    let id = ParamId::new(config.profile, CircuitKind::PoRep, config.params.size_bytes)?;
    let inputs = public_inputs(&graph, &replica_id, &phase1.comm_d, &phase1.comm_r, &challenges)?;
    let prover = Prover::open(job, &id, &PoRepShape::new(config.profile, config.params).blank())?;
    let circuit = |partition: usize| {
        let shape = PoRepShape::new(config.profile, config.params);
        let values = partition_values(phase1, &vanilla[partition - partitions.start])?;
        Ok(PoRepCircuit::new(shape, values).map_err(CommitError::from)?)
    };
    prover.prove_all(job, partitions.clone(), &inputs, resume, circuit)
}

/// What the circuit reads of a partition's vanilla proofs, which have been verified.
fn partition_values(phase1: &Commit1Output, vanilla: &[Proof]) -> Result<PoRepPartition, NonCanonical> {
    let root =
        |proof: fn(&Proof) -> &MerkleProof| vanilla.first().map_or(Ok(Fr::default()), |p| from_node(proof(p).root()));
    Ok(PoRepPartition {
        replica_id: from_node(&phase1.replica_id)?,
        comm_d: from_node(&phase1.comm_d)?,
        comm_r: from_node(&phase1.comm_r)?,
        comm_c: root(|proof| &proof.replica_column_proofs.c_x.inclusion_proof)?,
        comm_r_last: root(|proof| &proof.comm_r_last_proof)?,
        challenges: vanilla.iter().map(challenge_values).collect::<Result<_, _>>()?,
    })
}

fn challenge_values(proof: &Proof) -> Result<ChallengeWitness, NonCanonical> {
    Ok(ChallengeWitness {
        node: proof.challenge(),
        data: from_node(proof.comm_d_proofs.leaf())?,
        data_path: Level::all(&proof.comm_d_proofs)?,
        parents: proof.columns().skip(1).map(column_values).collect::<Result<_, _>>()?,
        replica_path: Level::all(&proof.comm_r_last_proof)?,
        column_path: Level::all(&proof.replica_column_proofs.c_x.inclusion_proof)?,
    })
}

fn column_values(column: &ColumnProof) -> Result<ColumnWitness, NonCanonical> {
    Ok(ColumnWitness {
        node: u64::from(column.column.index),
        labels: column.column.rows.iter().map(from_node).collect::<Result<_, _>>()?,
        path: Level::all(&column.inclusion_proof)?,
    })
}
