//! One function per phase of a seal, over files, done by the reference.
//!
//! Nothing is computed here: arguments are read, one entry point of `filecoin-proofs-api` is called, its result is
//! written. The one exception are parameters, for which the reference has only an internal entry point: the blank
//! circuit goes through `CacheableParameters`, as its own tool `paramcache` does.

pub mod features;
pub mod lists;
pub mod post;
pub mod update;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use filecoin_proofs::constants::DefaultPieceHasher;
use filecoin_proofs::parameters::public_params;
use filecoin_proofs::types::PoRepConfig;
use filecoin_proofs::with_shape;
use filecoin_proofs_api::seal::{self, SealCommitPhase1Output, SealPreCommitPhase1Output, SealPreCommitPhase2Output};
use filecoin_proofs_api::{
    MerkleTreeTrait, PieceInfo, RegisteredSealProof, SectorId, UnpaddedByteIndex, UnpaddedBytesAmount,
};
use rand_core::OsRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use storage_proofs_core::compound_proof::CompoundProof;
use storage_proofs_core::parameter_cache::CacheableParameters;
use storage_proofs_porep::stacked::{StackedCompound, StackedDrg};

/// Who seals which sector when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The miner.
    pub prover_id: [u8; 32],
    /// The sector's number.
    pub sector: u64,
    /// Enters the replica id.
    pub ticket: [u8; 32],
}

/// Where a sector's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sector {
    /// Folder of layers, trees and auxiliary files.
    pub cache: PathBuf,
    /// The replica.
    pub sealed: PathBuf,
}

/// Reads a JSON file.
///
/// # Errors
/// When it cannot be read or has another form; names the file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    serde_json::from_reader(BufReader::new(file)).with_context(|| format!("reading {}", path.display()))
}

/// Writes a compact JSON file.
///
/// # Errors
/// When it cannot be written; names the file.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut file = BufWriter::new(File::create(path).with_context(|| format!("creating {}", path.display()))?);
    serde_json::to_writer(&mut file, value)?;
    file.flush().with_context(|| format!("writing {}", path.display()))
}

/// Makes `.params`, `.vk` and `.meta` of a PoRep's circuit in `FIL_PROOFS_PARAMETER_CACHE` unless they are there.
///
/// # Errors
/// What the reference reports.
pub fn params(proof: RegisteredSealProof) -> Result<PathBuf> {
    fn make<Tree: 'static + MerkleTreeTrait>(config: &PoRepConfig) -> Result<PathBuf> {
        type Compound<Tree> = StackedCompound<Tree, DefaultPieceHasher>;
        let params = public_params::<Tree>(config)?;
        let blank =
            || <Compound<Tree> as CompoundProof<StackedDrg<'_, Tree, DefaultPieceHasher>, _>>::blank_circuit(&params);
        Compound::<Tree>::get_param_metadata(blank(), &params)?;
        Compound::<Tree>::get_groth_params(Some(&mut OsRng), blank(), &params)?;
        Compound::<Tree>::get_verifying_key(Some(&mut OsRng), blank(), &params)?;
        config.get_cache_params_path::<Tree>()
    }
    let config = proof.as_v1_config();
    with_shape!(u64::from(config.sector_size), make, &config,)
}

/// Appends a piece to a staged file and to its list of pieces, which need not exist yet.
///
/// Zeros follow the source up to `size`; without it, the source's length is the size.
///
/// # Errors
/// What the reference reports.
pub fn add_piece(
    proof: RegisteredSealProof,
    source: &Path,
    staged: &Path,
    pieces: &Path,
    size: Option<u64>,
) -> Result<PieceInfo> {
    let mut list: Vec<PieceInfo> = if pieces.exists() { read_json(pieces)? } else { Vec::new() };
    let lengths: Vec<UnpaddedBytesAmount> = list.iter().map(|piece| piece.size).collect();
    let source = File::open(source).with_context(|| format!("opening {}", source.display()))?;
    let size = match size {
        Some(size) => size,
        None => source.metadata()?.len(),
    };
    let source = source.chain(io::repeat(0)).take(size);
    // The reference writes at the position of the handle: the end of what is already staged.
    let target = OpenOptions::new().create(true).append(true).read(true).open(staged)?;
    let (piece, _) = seal::add_piece(proof, source, target, UnpaddedBytesAmount(size), &lengths)?;
    list.push(piece.clone());
    write_json(pieces, &list)?;
    Ok(piece)
}

/// Labels a sector (PC1).
///
/// # Errors
/// What the reference reports.
pub fn pc1(
    proof: RegisteredSealProof,
    sector: &Sector,
    staged: &Path,
    identity: &Identity,
    pieces: &[PieceInfo],
) -> Result<SealPreCommitPhase1Output> {
    fs::create_dir_all(&sector.cache)?;
    // The replica has to exist as a file.
    OpenOptions::new().create(true).append(true).open(&sector.sealed)?;
    seal::seal_pre_commit_phase1(
        proof,
        &sector.cache,
        staged,
        &sector.sealed,
        identity.prover_id,
        SectorId::from(identity.sector),
        identity.ticket,
        pieces,
    )
}

/// Encodes a sector and builds its trees (PC2).
///
/// # Errors
/// What the reference reports.
pub fn pc2(output: SealPreCommitPhase1Output, sector: &Sector) -> Result<SealPreCommitPhase2Output> {
    seal::seal_pre_commit_phase2(output, &sector.cache, &sector.sealed)
}

/// Opens the challenges (C1).
///
/// # Errors
/// What the reference reports.
pub fn c1(
    output: SealPreCommitPhase2Output,
    sector: &Sector,
    identity: &Identity,
    seed: [u8; 32],
    pieces: &[PieceInfo],
) -> Result<SealCommitPhase1Output> {
    seal::seal_commit_phase1(
        &sector.cache,
        &sector.sealed,
        identity.prover_id,
        SectorId::from(identity.sector),
        identity.ticket,
        seed,
        output,
        pieces,
    )
}

/// Proves (C2), with the parameters in `FIL_PROOFS_PARAMETER_CACHE`. 192 bytes a partition.
///
/// # Errors
/// What the reference reports.
pub fn c2(output: SealCommitPhase1Output, identity: &Identity) -> Result<Vec<u8>> {
    Ok(seal::seal_commit_phase2(output, identity.prover_id, SectorId::from(identity.sector))?.proof)
}

/// Verifies a proof, with the key in `FIL_PROOFS_PARAMETER_CACHE`. `comms` are CommR and CommD.
///
/// # Errors
/// What the reference reports; a proof that does not hold is `false`.
pub fn verify(
    proof: RegisteredSealProof,
    comms: [[u8; 32]; 2],
    identity: &Identity,
    seed: [u8; 32],
    bytes: &[u8],
) -> Result<bool> {
    let [comm_r, comm_d] = comms;
    let sector = SectorId::from(identity.sector);
    seal::verify_seal(proof, comm_r, comm_d, identity.prover_id, sector, identity.ticket, seed, bytes)
}

/// Writes `length` unpadded bytes from `offset` of the sector's data to `output`.
///
/// # Errors
/// What the reference reports, or a short result.
pub fn unseal(
    proof: RegisteredSealProof,
    sector: &Sector,
    output: &Path,
    identity: &Identity,
    comm_d: [u8; 32],
    range: [u64; 2],
) -> Result<()> {
    let [offset, length] = range;
    fs::create_dir_all(&sector.cache)?;
    let written = seal::get_unsealed_range(
        proof,
        sector.cache.as_path(),
        sector.sealed.as_path(),
        output,
        identity.prover_id,
        SectorId::from(identity.sector),
        comm_d,
        identity.ticket,
        UnpaddedByteIndex(offset),
        UnpaddedBytesAmount(length),
    )?;
    ensure!(u64::from(written) == length, "unsealed {} bytes of {length}", u64::from(written));
    Ok(())
}
