//! Sector updates done by the reference, over files: each function calls one entry point of `filecoin-proofs-api`.
//!
//! `update.json` is what `filecash update encode` writes: the commitments as lists of numbers. A file of partition proofs
//! is their number as a `u64` and the proofs, which all have one length, one after the other: what the reference hands
//! out, as bincode.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use filecoin_proofs::TreeRHasher;
use filecoin_proofs::types::PoRepConfig;
use filecoin_proofs::with_shape;
use filecoin_proofs_api::update;
use filecoin_proofs_api::{MerkleTreeTrait, PartitionProofBytes, PieceInfo, RegisteredUpdateProof};
use rand_core::OsRng;
use serde::{Deserialize, Serialize};
use storage_proofs_core::compound_proof::CompoundProof;
use storage_proofs_core::parameter_cache::CacheableParameters;
use storage_proofs_update::{EmptySectorUpdateCompound, PublicParams};

/// A replica and its cache folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The replica.
    pub path: PathBuf,
    /// Its trees.
    pub cache: PathBuf,
}

/// What an update is about, as `update.json` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// The registered update proof.
    pub registered_proof: Proof,
    /// The old replica.
    pub comm_r_old: [u8; 32],
    /// The new one.
    pub comm_r_new: [u8; 32],
    /// Root of its TreeR-last.
    pub comm_r_last_new: [u8; 32],
    /// Its data.
    pub comm_d_new: [u8; 32],
}

/// A registered update proof; JSON is its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// 2 KiB.
    #[serde(rename = "StackedDrg2KiBV1")]
    Kib2,
    /// 8 MiB.
    #[serde(rename = "StackedDrg8MiBV1")]
    Mib8,
}

impl From<Proof> for RegisteredUpdateProof {
    fn from(proof: Proof) -> Self {
        match proof {
            Proof::Kib2 => Self::StackedDrg2KiBV1,
            Proof::Mib8 => Self::StackedDrg8MiBV1,
        }
    }
}

/// Makes `.params`, `.vk` and `.meta` of an update's circuit in `FIL_PROOFS_PARAMETER_CACHE` unless they are there.
///
/// # Errors
/// What the reference reports.
pub fn params(proof: RegisteredUpdateProof) -> Result<PathBuf> {
    fn make<Tree: 'static + MerkleTreeTrait<Hasher = TreeRHasher>>(config: &PoRepConfig) -> Result<PathBuf> {
        type Compound<Tree> = EmptySectorUpdateCompound<Tree>;
        let params = PublicParams::from_sector_size(u64::from(config.sector_size));
        let blank = || Compound::<Tree>::blank_circuit(&params);
        Compound::<Tree>::get_param_metadata(blank(), &params)?;
        Compound::<Tree>::get_groth_params(Some(&mut OsRng), blank(), &params)?;
        Compound::<Tree>::get_verifying_key(Some(&mut OsRng), blank(), &params)?;
        let id = Compound::<Tree>::cache_identifier(&params);
        Ok(storage_proofs_core::parameter_cache::parameter_cache_params_path(&id))
    }
    let config = proof.as_v1_config();
    with_shape!(u64::from(config.sector_size), make, &config,)
}

/// Encodes staged data into a sector key.
///
/// # Errors
/// What the reference reports.
pub fn encode(proof: Proof, new: &Replica, old: &Replica, staged: &Path, pieces: &[PieceInfo]) -> Result<Update> {
    fs::create_dir_all(&new.cache)?;
    // The new replica has to exist, of the right length.
    File::create(&new.path)?.set_len(fs::metadata(&old.path)?.len())?;
    let encoded = update::empty_sector_update_encode_into(
        proof.into(),
        &new.path,
        &new.cache,
        &old.path,
        &old.cache,
        staged,
        pieces,
    )?;
    Ok(Update {
        registered_proof: proof,
        comm_r_old: comm_r(&old.cache)?,
        comm_r_new: encoded.comm_r_new,
        comm_r_last_new: encoded.comm_r_last_new,
        comm_d_new: encoded.comm_d_new,
    })
}

/// The comm_r that the `p_aux` of a folder gives.
fn comm_r(cache: &Path) -> Result<[u8; 32]> {
    use filecoin_hashers::poseidon::{PoseidonDomain, PoseidonFunction};
    use filecoin_hashers::{Domain, HashFunction};
    let aux = fs::read(cache.join("p_aux")).context("reading p_aux")?;
    ensure!(aux.len() == 64, "p_aux has {} bytes", aux.len());
    let [comm_c, comm_r_last] = [&aux[..32], &aux[32..]].map(PoseidonDomain::try_from_bytes);
    Ok(PoseidonFunction::hash2(&comm_c?, &comm_r_last?).into())
}

/// Decodes a whole replica: padded data.
///
/// # Errors
/// What the reference reports.
pub fn decode(update: &Update, out: &Path, replica: &Path, old: &Replica) -> Result<()> {
    File::create(out)?.set_len(fs::metadata(&old.path)?.len())?;
    let proof = update.registered_proof.into();
    update::empty_sector_update_decode_from(proof, out, replica, &old.path, &old.cache, update.comm_d_new)
}

/// Opens the challenges of every partition.
///
/// # Errors
/// What the reference reports.
pub fn vanilla(update: &Update, old: &Replica, new: &Replica) -> Result<Vec<PartitionProofBytes>> {
    update::generate_partition_proofs(
        update.registered_proof.into(),
        update.comm_r_old,
        update.comm_r_new,
        update.comm_d_new,
        &old.path,
        &old.cache,
        &new.path,
        &new.cache,
    )
}

/// Whether partition proofs hold.
///
/// # Errors
/// What the reference reports.
pub fn verify_vanilla(update: &Update, proofs: &[PartitionProofBytes]) -> Result<bool> {
    let Update { registered_proof, comm_r_old, comm_r_new, comm_d_new, .. } = *update;
    update::verify_partition_proofs(registered_proof.into(), proofs, comm_r_old, comm_r_new, comm_d_new)
}

/// Proves, with the parameters in `FIL_PROOFS_PARAMETER_CACHE`. 192 bytes a partition.
///
/// # Errors
/// What the reference reports.
pub fn prove(update: &Update, proofs: Vec<PartitionProofBytes>) -> Result<Vec<u8>> {
    let Update { registered_proof, comm_r_old, comm_r_new, comm_d_new, .. } = *update;
    let proof = registered_proof.into();
    Ok(update::generate_empty_sector_update_proof_with_vanilla(proof, proofs, comm_r_old, comm_r_new, comm_d_new)?.0)
}

/// Verifies a proof, with the key in `FIL_PROOFS_PARAMETER_CACHE`.
///
/// # Errors
/// What the reference reports; a proof that does not hold is `false`.
pub fn verify(update: &Update, bytes: &[u8]) -> Result<bool> {
    let Update { registered_proof, comm_r_old, comm_r_new, comm_d_new, .. } = *update;
    update::verify_empty_sector_update_proof(registered_proof.into(), bytes, comm_r_old, comm_r_new, comm_d_new)
}

/// Reads a file of partition proofs.
///
/// # Errors
/// When it cannot be read or its length does not divide.
pub fn read_proofs(path: &Path) -> Result<Vec<PartitionProofBytes>> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let (head, rest) = bytes.split_first_chunk::<8>().context("a file of partition proofs begins with their number")?;
    let count = u64::from_le_bytes(*head) as usize;
    ensure!(count > 0 && rest.len() % count == 0, "{} bytes of {count} proofs", rest.len());
    Ok(rest.chunks(rest.len() / count).map(|proof| PartitionProofBytes(proof.to_vec())).collect())
}

/// Writes a file of partition proofs.
///
/// # Errors
/// When it cannot be written.
pub fn write_proofs(path: &Path, proofs: &[PartitionProofBytes]) -> Result<()> {
    let mut bytes = (proofs.len() as u64).to_le_bytes().to_vec();
    proofs.iter().for_each(|proof| bytes.extend_from_slice(&proof.0));
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}
