//! Proofs of space-time by the reference: challenges, vanilla proofs, SNARKs, verification.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use filecoin_proofs::parameters::{window_post_public_params, winning_post_public_params};
use filecoin_proofs::types::{PoStConfig, PoStType};
use filecoin_proofs::with_shape;
use filecoin_proofs_api::post;
use filecoin_proofs_api::{MerkleTreeTrait, PrivateReplicaInfo, PublicReplicaInfo, RegisteredPoStProof, SectorId};
use rand_core::OsRng;
use serde::{Deserialize, Deserializer};
use storage_proofs_core::compound_proof::CompoundProof;
use storage_proofs_core::parameter_cache::CacheableParameters;
use storage_proofs_post::fallback::{FallbackPoSt, FallbackPoStCircuit, FallbackPoStCompound};

/// A sector as a list of sectors has it; verification needs no paths.
#[derive(Clone, Debug, Deserialize)]
pub struct Sector {
    /// Its number.
    pub sector_id: u64,
    /// The commitment to its replica.
    #[serde(deserialize_with = "hex32")]
    pub comm_r: [u8; 32],
    /// The folder of `p_aux` and TreeR-last.
    #[serde(default)]
    pub cache: PathBuf,
    /// The replica.
    #[serde(default)]
    pub sealed: PathBuf,
}

fn hex32<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let mut bytes = [0; 32];
    let text = String::deserialize(deserializer)?;
    hex::decode_to_slice(text, &mut bytes).map_err(serde::de::Error::custom)?;
    Ok(bytes)
}

/// What is proven, when, by whom.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// The registered proof.
    pub proof: RegisteredPoStProof,
    /// Randomness of the chain.
    pub randomness: [u8; 32],
    /// The miner.
    pub prover_id: [u8; 32],
}

impl Round {
    fn is_winning(&self) -> bool {
        self.proof.typ() == PoStType::Winning
    }
}

/// The place of the winning sector.
///
/// # Errors
/// What the reference reports, as in the other functions.
pub fn winner(round: &Round, sectors: u64) -> Result<u64> {
    let places =
        post::generate_winning_post_sector_challenge(round.proof, &round.randomness, sectors, round.prover_id)?;
    places.first().copied().context("no sector wins")
}

/// Leaves of every sector.
///
/// # Errors
/// What the reference reports.
pub fn challenges(round: &Round, sectors: &[u64]) -> Result<BTreeMap<u64, Vec<u64>>> {
    let ids: Vec<SectorId> = sectors.iter().map(|sector| SectorId::from(*sector)).collect();
    let challenges = post::generate_fallback_sector_challenges(round.proof, &round.randomness, &ids, round.prover_id)?;
    Ok(challenges.into_iter().map(|(sector, leaves)| (sector.into(), leaves)).collect())
}

fn private(round: &Round, sector: &Sector) -> PrivateReplicaInfo {
    PrivateReplicaInfo::new(round.proof, sector.comm_r, sector.cache.clone(), sector.sealed.clone())
}

/// The vanilla proof of each sector, in ascending order.
///
/// # Errors
/// What the reference reports.
pub fn vanilla(round: &Round, sectors: &[Sector]) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut ids: Vec<u64> = sectors.iter().map(|sector| sector.sector_id).collect();
    ids.sort_unstable();
    let challenges = challenges(round, &ids)?;
    let one = |id: &u64| {
        let sector = sectors.iter().find(|sector| sector.sector_id == *id).context("a sector of the list")?;
        let replica = private(round, sector);
        let bytes = post::generate_single_vanilla_proof(round.proof, SectorId::from(*id), &replica, &challenges[id])?;
        Ok((*id, bytes))
    };
    ids.iter().map(one).collect()
}

/// The proof of all sectors, from their files.
///
/// # Errors
/// What the reference reports.
pub fn prove(round: &Round, sectors: &[Sector]) -> Result<Vec<u8>> {
    let replicas: BTreeMap<SectorId, PrivateReplicaInfo> =
        sectors.iter().map(|sector| (SectorId::from(sector.sector_id), private(round, sector))).collect();
    let proofs = if round.is_winning() {
        post::generate_winning_post(&round.randomness, &replicas, round.prover_id)?
    } else {
        post::generate_window_post(&round.randomness, &replicas, round.prover_id)?
    };
    one(proofs)
}

/// The proof of vanilla proofs in this order; with a partition, of that one alone.
///
/// # Errors
/// What the reference reports.
pub fn prove_vanilla(round: &Round, vanilla: &[Vec<u8>], partition: Option<usize>) -> Result<Vec<u8>> {
    let Round { proof, randomness, prover_id } = round;
    match partition {
        Some(partition) => {
            Ok(post::generate_single_window_post_with_vanilla(*proof, randomness, *prover_id, vanilla, partition)?.0)
        }
        None if round.is_winning() => {
            one(post::generate_winning_post_with_vanilla(*proof, randomness, *prover_id, vanilla)?)
        }
        None => one(post::generate_window_post_with_vanilla(*proof, randomness, *prover_id, vanilla)?),
    }
}

fn one(proofs: Vec<(RegisteredPoStProof, Vec<u8>)>) -> Result<Vec<u8>> {
    match <[_; 1]>::try_from(proofs) {
        Ok([(_, proof)]) => Ok(proof),
        Err(proofs) => bail!("{} proofs, expected one", proofs.len()),
    }
}

/// Whether a proof holds.
///
/// # Errors
/// What the reference reports; a proof that does not hold is `false`.
pub fn verify(round: &Round, sectors: &[Sector], proof: &[u8]) -> Result<bool> {
    let public =
        |sector: &Sector| (SectorId::from(sector.sector_id), PublicReplicaInfo::new(round.proof, sector.comm_r));
    let replicas: BTreeMap<SectorId, PublicReplicaInfo> = sectors.iter().map(public).collect();
    if round.is_winning() {
        post::verify_winning_post(&round.randomness, proof, &replicas, round.prover_id)
    } else {
        post::verify_window_post(&round.randomness, &[(round.proof, proof)], &replicas, round.prover_id)
    }
}

/// Makes `.params`, `.vk` and `.meta` of a proof's circuit in `FIL_PROOFS_PARAMETER_CACHE` unless they are there.
///
/// # Errors
/// What the reference reports.
pub fn params(proof: RegisteredPoStProof) -> Result<PathBuf> {
    fn make<Tree: 'static + MerkleTreeTrait>(config: &PoStConfig) -> Result<PathBuf> {
        type Compound<Tree> = FallbackPoStCompound<Tree>;
        let params = match config.typ {
            PoStType::Winning => winning_post_public_params::<Tree>(config)?,
            PoStType::Window => window_post_public_params::<Tree>(config)?,
        };
        let blank = || {
            <Compound<Tree> as CompoundProof<FallbackPoSt<'_, Tree>, FallbackPoStCircuit<Tree>>>::blank_circuit(&params)
        };
        Compound::<Tree>::get_param_metadata(blank(), &params)?;
        Compound::<Tree>::get_groth_params(Some(&mut OsRng), blank(), &params)?;
        Compound::<Tree>::get_verifying_key(Some(&mut OsRng), blank(), &params)?;
        config.get_cache_params_path::<Tree>()
    }
    let config = proof.as_v1_config();
    with_shape!(u64::from(config.sector_size), make, &config,)
}
