//! Updates of sealed sectors: encoding, decoding, removal, partition proofs, SNARK, verification.
//!
//! Steps between files, like those of sealing. Nothing of the old sector is changed by an encoding, and nothing gets its
//! name before all of it has been checked, so that a killed step can be repeated.
//!
//! Source: `spec/replication.md` 11, 14.1; `spec/snark.md` 2.4, 3.3.

use std::io::Write;
use std::path::Path;

use tracing::info_span;

use super::snark::{Prover, Resume};
use super::unseal::RangeError;
use crate::circuit::update::{UpdateChallenge, UpdateCircuit, UpdatePartition, UpdateWitnessError, public_inputs};
use crate::error::Error;
use crate::field::fr::from_node;
use crate::field::fr32::{RawRange, Unpadder};
use crate::field::{Fr, Node, NonCanonical};
use crate::groth16::{Proof, Verifier};
use crate::job::Job;
use crate::merkle::path::{MerkleProof, PathElement};
use crate::params::{CircuitKind, ParamId, ParamStore};
use crate::sector::Profile;
use crate::sector::params::NODE_SIZE;
use crate::sector::piece::{self, PaddedLen, PieceError, PieceInfo};
use crate::update::decode::{self, Decoder};
use crate::update::verify::Statement;
use crate::update::{
    ChallengeProof, Encoded, PartitionError, PartitionProof, Replica, UpdateCommitments, UpdateConfig, UpdateError,
    UpdateShape, open, replica,
};

/// Why partition proofs were not proven, where no other component says it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum UpdateProveError {
    #[error("the partition proofs do not hold")]
    Vanilla(#[source] PartitionError),
    #[error(transparent)]
    Witness(#[from] UpdateWitnessError),
}

/// Encodes the staged data of `pieces` into the sector key `old` and commits to the new replica `new`.
///
/// Reads the old replica and its `p_aux`; `t_aux` if it is there. Writes the new replica, TreeD, TreeR-last, `t_aux` and
/// `p_aux`. A staged file shorter than the sector counts as extended by zeros; the pieces have to fill the sector.
///
/// # Errors
/// [`Error`]; [`UpdateError::Data`] when the pieces are not what the staged file holds, [`UpdateError::Finished`] when
/// the new folder holds a sector already.
pub fn encode_into(
    job: &Job<'_>,
    config: &UpdateConfig,
    new: Replica<'_>,
    old: Replica<'_>,
    staged: &Path,
    pieces: &[PieceInfo],
) -> Result<Encoded, Error> {
    let _span = info_span!("update_encode", size = config.params.name).entered();
    let comm_d_new = comm_d(config, pieces)?;
    Ok(replica::encode_into(&*job.config.backend, job, config, old, staged, &comm_d_new, new)?)
}

/// What a finished [`encode_into`] with these arguments came to; `None` when `new` holds none, or that of another sector
/// or other pieces. The challenges of its proof are opened and checked, and nothing is computed again.
///
/// # Errors
/// [`Error`] when a file is malformed, damaged where it is challenged, or cannot be read.
pub fn find_encoded(
    job: &Job<'_>,
    config: &UpdateConfig,
    new: Replica<'_>,
    old: Replica<'_>,
    pieces: &[PieceInfo],
) -> Result<Option<Encoded>, Error> {
    Ok(replica::find_encoded(job, config, old, &comm_d(config, pieces)?, new)?)
}

fn comm_d(config: &UpdateConfig, pieces: &[PieceInfo]) -> Result<Node, PieceError> {
    piece::comm_d(PaddedLen::new(config.params.size_bytes)?, pieces)
}

/// Decodes the whole of an updated replica into the file `out`, padded data.
///
/// Of the sector key, the replica and `p_aux` are read.
///
/// # Errors
/// [`Error`]; [`UpdateError::Decoded`] when it is not the data of `comm_d_new`, and then nothing is written.
pub fn decode_from(
    job: &Job<'_>,
    config: &UpdateConfig,
    out: &Path,
    replica: &Path,
    old: Replica<'_>,
    comm_d_new: &Node,
) -> Result<(), Error> {
    let _span = info_span!("update_decode", size = config.params.name).entered();
    Ok(decode::decode_from(&*job.config.backend, job, config, replica, old, comm_d_new, out)?)
}

/// Writes raw bytes `[offset, offset + len)` of an updated sector to `out`; any offset will do.
///
/// The whole sector is compared with `comm_d_new`; of a part it is only asked that it is padded data.
///
/// # Errors
/// [`Error`]. `out` may have got a part, or all, by then.
#[allow(clippy::too_many_arguments, reason = "the sector, what it was made of, and what of it")]
pub fn decode_range(
    job: &Job<'_>,
    config: &UpdateConfig,
    replica: &Path,
    sector_key: &Path,
    comm_d_new: &Node,
    comm_r_old: &Node,
    range: RawRange,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let params = config.params;
    let _span = info_span!("update_decode", size = params.name).entered();
    let capacity = params.unpadded_bytes();
    let beyond = RangeError { offset: range.offset, len: range.len, capacity };
    let padded = range.padded().filter(|padded| padded.end <= params.size_bytes).ok_or(beyond)?;
    let nodes = padded.start / NODE_SIZE as u64..padded.end / NODE_SIZE as u64;
    let mut unpadder = Unpadder::range(out, range);
    let decoder = Decoder { config, new: replica, old: sector_key, comm_d_new, comm_r_old };
    decoder.decode_range(&*job.config.backend, job, nodes, &mut unpadder)?;
    unpadder.finish().map_err(UpdateError::Output)?;
    Ok(())
}

/// Takes the data out of an updated replica: recovers the sector key `old` with its TreeR-last, `t_aux` and `p_aux`.
///
/// Of `new`, the replica, `p_aux` and, if it is there, `t_aux` are read. `data` is the padded data.
///
/// # Errors
/// [`Error`]; [`UpdateError::Removed`] when what comes out is not the replica of `comm_r_old`.
pub fn remove_encoded_data(
    job: &Job<'_>,
    config: &UpdateConfig,
    old: Replica<'_>,
    new: Replica<'_>,
    data: &Path,
    commitments: &UpdateCommitments,
) -> Result<(), Error> {
    let _span = info_span!("update_remove", size = config.params.name).entered();
    Ok(replica::remove_data(&*job.config.backend, job, config, new, data, commitments, old)?)
}

/// Opens the challenges of every partition and checks what it opened.
///
/// # Errors
/// [`Error::Update`].
pub fn generate_partition_proofs(
    job: &Job<'_>,
    config: &UpdateConfig,
    commitments: &UpdateCommitments,
    old: Replica<'_>,
    new: Replica<'_>,
) -> Result<Vec<PartitionProof>, Error> {
    let _span = info_span!("update_vanilla", size = config.params.name).entered();
    Ok(open::open_all(job, config, commitments, old, new)?)
}

/// Accepts the partition proofs of an update, or says why not.
///
/// # Errors
/// [`Error`]; [`Error::is_rejection`] tells proofs that are wrong from a check that could not be made.
pub fn verify_partition_proofs(
    job: &Job<'_>,
    config: &UpdateConfig,
    commitments: &UpdateCommitments,
    proofs: &[PartitionProof],
) -> Result<(), Error> {
    let _span = info_span!("update_verify_vanilla", size = config.params.name).entered();
    commitments.check()?;
    Ok(Statement { shape: &config.shape, commitments }.verify(job, proofs)?)
}

/// Proves every partition; returns the proofs one after the other, 192 bytes each. Some are proven at a time.
///
/// # Errors
/// [`Error`]: the partition proofs do not hold, the parameters are missing or of another circuit, the memory budget is
/// too small.
pub fn prove(
    job: &Job<'_>,
    config: &UpdateConfig,
    commitments: &UpdateCommitments,
    proofs: &[PartitionProof],
) -> Result<Vec<u8>, Error> {
    prove_resumed(job, config, commitments, proofs, &Resume::NONE)
}

/// [`prove`] from where an earlier attempt was.
///
/// # Errors
/// As [`prove`].
pub fn prove_resumed(
    job: &Job<'_>,
    config: &UpdateConfig,
    commitments: &UpdateCommitments,
    proofs: &[PartitionProof],
    resume: &Resume<'_>,
) -> Result<Vec<u8>, Error> {
    let _span = info_span!("update_prove", size = config.params.name).entered();
    commitments.check()?;
    Statement { shape: &config.shape, commitments }.verify(job, proofs).map_err(|error| match error {
        PartitionError::Cancelled(cancelled) => Error::Cancelled(cancelled),
        error => UpdateProveError::Vanilla(error).into(),
    })?;
    let id = param_id(config)?;
    let inputs = inputs(&config.shape, commitments)?;
    let prover = Prover::open(job, &id, &UpdateCircuit::blank(config.shape))?;
    let circuit = |partition: usize| {
        let values = partition_values(&config.shape, commitments, partition, &proofs[partition])?;
        Ok(UpdateCircuit::new(config.shape, values).map_err(UpdateProveError::from)?)
    };
    prover.prove_all(job, 0..proofs.len(), &inputs, resume, circuit)
}

/// [`generate_partition_proofs`] and [`prove`] in one.
///
/// # Errors
/// Theirs.
pub fn prove_from_files(
    job: &Job<'_>,
    config: &UpdateConfig,
    commitments: &UpdateCommitments,
    old: Replica<'_>,
    new: Replica<'_>,
) -> Result<Vec<u8>, Error> {
    let proofs = generate_partition_proofs(job, config, commitments, old, new)?;
    prove(job, config, commitments, &proofs)
}

/// Accepts the proof of an update, or says why not: from the commitments alone, as the chain does it.
///
/// # Errors
/// [`Error`]; [`Error::is_rejection`] tells a proof that is wrong from a check that could not be made.
pub fn verify(
    job: &Job<'_>,
    config: &UpdateConfig,
    commitments: &UpdateCommitments,
    proof: &[u8],
) -> Result<(), Error> {
    let _span = info_span!("update_verify", size = config.params.name).entered();
    commitments.check()?;
    let proofs = Proof::many_from_bytes(proof, config.shape.partitions)?;
    let id = param_id(config)?;
    let inputs = inputs(&config.shape, commitments)?;
    let key =
        ParamStore::new(&job.config.parameter_cache).verifying_key_for(&id, inputs.first().map_or(0, Vec::len))?;
    Ok(Verifier::new(&key).verify_all(&proofs, &inputs)?)
}

fn param_id(config: &UpdateConfig) -> Result<ParamId, Error> {
    Ok(ParamId::new(Profile::Filecoin, CircuitKind::Update, config.params.size_bytes)?)
}

/// The public inputs of every partition.
fn inputs(shape: &UpdateShape, commitments: &UpdateCommitments) -> Result<Vec<Vec<Fr>>, NonCanonical> {
    (0..shape.partitions).map(|partition| public_inputs(shape, partition, commitments)).collect()
}

/// What the circuit reads of a partition's vanilla proof, which has been verified.
fn partition_values(
    shape: &UpdateShape,
    commitments: &UpdateCommitments,
    partition: usize,
    vanilla: &PartitionProof,
) -> Result<UpdatePartition, NonCanonical> {
    let UpdateCommitments { comm_r_old, comm_r_new, comm_d_new } = commitments;
    let first = vanilla.challenge_proofs.first();
    let root =
        |proof: fn(&ChallengeProof) -> &MerkleProof| first.map_or(Ok(Fr::default()), |p| from_node(proof(p).root()));
    let data_path = first.map_or(Ok(Vec::new()), |proof| siblings(&proof.proof_d_new))?;
    let challenge = |proof: &ChallengeProof| {
        Ok(UpdateChallenge {
            leaf_old: from_node(proof.proof_r_old.leaf())?,
            data: from_node(proof.proof_d_new.leaf())?,
            old_path: siblings(&proof.proof_r_old)?,
            new_path: siblings(&proof.proof_r_new)?,
            data_path: siblings(&proof.proof_d_new)?.into_iter().flatten().take(shape.data_levels()).collect(),
        })
    };
    Ok(UpdatePartition {
        partition,
        comm_r_old: from_node(comm_r_old)?,
        comm_d_new: from_node(comm_d_new)?,
        comm_r_new: from_node(comm_r_new)?,
        comm_c: from_node(&vanilla.comm_c)?,
        root_r_old: root(|proof| &proof.proof_r_old)?,
        root_r_new: root(|proof| &proof.proof_r_new)?,
        apex_leaves: vanilla.apex_leafs.iter().map(from_node).collect::<Result<_, _>>()?,
        // Of every challenge the same: those above the partition's range of nodes.
        partition_path: data_path.into_iter().flatten().skip(shape.challenge_bits()).collect(),
        challenges: vanilla.challenge_proofs.iter().map(challenge).collect::<Result<_, _>>()?,
    })
}

/// The siblings of every level of a path.
fn siblings(proof: &MerkleProof) -> Result<Vec<Vec<Fr>>, NonCanonical> {
    let level = |element: &PathElement| element.hashes.iter().map(from_node).collect();
    proof.levels().map(level).collect()
}

#[cfg(test)]
mod tests;
