//! What synthetic and non-interactive proofs of replication have besides the phases of a seal.
//!
//! The reference proves all partitions of a non-interactive PoRep at once and verifies them only aggregated. The proofs of
//! the first few come from its entry point for the bare proofs, given vanilla proofs of no more; they are verified by its
//! compound proof set up for as many partitions.

use anyhow::{Result, anyhow};
use bellperson::groth16::prepare_verifying_key;
use filecoin_hashers::{Domain, Hasher};
use filecoin_proofs::constants::{DefaultPieceDomain, DefaultPieceHasher};
use filecoin_proofs::parameters::setup_params;
use filecoin_proofs::with_shape;
use filecoin_proofs_api::seal::{self, SealPreCommitPhase2Output};
use filecoin_proofs_api::{MerkleTreeTrait, PieceInfo, RegisteredSealProof, SectorId};
use rand_core::OsRng;
use serde_json::Value;
use storage_proofs_core::compound_proof::{self, CompoundProof};
use storage_proofs_core::multi_proof::MultiProof;
use storage_proofs_core::parameter_cache::CacheableParameters;
use storage_proofs_porep::stacked::{
    ChallengeRequirements, PublicInputs, StackedCompound, StackedDrg, Tau, generate_replica_id,
};

use super::{Identity, Sector};

/// Bytes of one Groth16 proof.
const PROOF_BYTES: usize = 192;

/// Proves the synthetic set of a sector into its cache folder.
///
/// # Errors
/// What the reference reports.
pub fn synth(
    output: SealPreCommitPhase2Output,
    sector: &Sector,
    identity: &Identity,
    pieces: &[PieceInfo],
) -> Result<()> {
    let number = SectorId::from(identity.sector);
    seal::generate_synth_proofs(
        &sector.cache,
        &sector.sealed,
        identity.prover_id,
        number,
        identity.ticket,
        output,
        pieces,
    )
}

/// Proves the first partitions of C1's output, given as JSON.
///
/// # Errors
/// What the reference reports.
pub fn prove_partitions(mut output: Value, identity: &Identity, partitions: usize) -> Result<Vec<u8>> {
    let by_size = output["vanilla_proofs"].as_object_mut().and_then(|by_size| by_size.values_mut().next());
    let proofs = by_size.and_then(Value::as_array_mut).ok_or_else(|| anyhow!("no vanilla proofs"))?;
    proofs.truncate(partitions);
    let output = serde_json::from_value(output)?;
    Ok(seal::seal_commit_phase2_circuit_proofs(output, SectorId::from(identity.sector))?.proof)
}

/// Verifies the proofs of the first partitions, as many as there are. `comms` are CommR and CommD.
///
/// # Errors
/// What the reference reports; proofs that do not hold are `false`.
pub fn verify_partitions(
    proof: RegisteredSealProof,
    comms: [[u8; 32]; 2],
    identity: &Identity,
    seed: [u8; 32],
    bytes: &[u8],
) -> Result<bool> {
    with_shape!(u64::from(proof.sector_size()), verify_shape, proof, comms, identity, seed, bytes,)
}

fn verify_shape<Tree: 'static + MerkleTreeTrait>(
    proof: RegisteredSealProof,
    [comm_r, comm_d]: [[u8; 32]; 2],
    identity: &Identity,
    seed: [u8; 32],
    bytes: &[u8],
) -> Result<bool> {
    type Compound<Tree> = StackedCompound<Tree, DefaultPieceHasher>;
    type Scheme<'a, Tree> = StackedDrg<'a, Tree, DefaultPieceHasher>;
    let config = proof.as_v1_config();
    let partitions = bytes.len() / PROOF_BYTES;
    let setup = compound_proof::SetupParams {
        vanilla_params: setup_params(&config)?,
        partitions: Some(partitions),
        priority: false,
    };
    let params = <Compound<Tree> as CompoundProof<Scheme<'_, Tree>, _>>::setup(&setup)?;
    let comm_d = DefaultPieceDomain::try_from_bytes(&comm_d)?;
    let replica_id = generate_replica_id::<Tree::Hasher, _>(
        &identity.prover_id,
        identity.sector,
        &identity.ticket,
        comm_d,
        &config.porep_id,
    );
    let comm_r = <Tree::Hasher as Hasher>::Domain::try_from_bytes(&comm_r)?;
    let inputs = PublicInputs { replica_id, tau: Some(Tau { comm_d, comm_r }), k: None, seed: Some(seed) };
    let blank = <Compound<Tree> as CompoundProof<Scheme<'_, Tree>, _>>::blank_circuit(&params.vanilla_params);
    let key = Compound::<Tree>::get_verifying_key(Some(&mut OsRng), blank, &params.vanilla_params)?;
    let key = prepare_verifying_key(&key);
    let proofs = MultiProof::new_from_bytes(Some(partitions), bytes, &key)?;
    let requirements = ChallengeRequirements { minimum_challenges: partitions };
    <Compound<Tree> as CompoundProof<Scheme<'_, Tree>, _>>::verify(&params, &inputs, &proofs, &requirements)
}
