//! Many seals at once, by the reference: verification one by one and in a batch, aggregation and its verification.
//!
//! The list is the file of `filecash seal list`: JSON with bytes in hexadecimal.

use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use filecoin_proofs::types::PoRepConfig;
use filecoin_proofs::{verify_batch_seal, with_shape};
use filecoin_proofs_api::seal::{self, SealCommitPhase2Output};
use filecoin_proofs_api::{MerkleTreeTrait, RegisteredAggregationProof, RegisteredSealProof, SectorId};
use serde::Deserialize;

use super::read_json;

/// Seals of one registered proof.
#[derive(Clone, Debug, Deserialize)]
pub struct SealList {
    registered_proof: RegisteredSealProof,
    seals: Vec<Entry>,
}

#[derive(Clone, Debug, Deserialize)]
struct Entry {
    prover_id: String,
    sector: u64,
    ticket: String,
    seed: String,
    comm_r: String,
    comm_d: String,
    #[serde(default)]
    proof: String,
}

/// An entry with its bytes read.
struct Seal {
    prover_id: [u8; 32],
    sector: SectorId,
    ticket: [u8; 32],
    seed: [u8; 32],
    comm_r: [u8; 32],
    comm_d: [u8; 32],
    proof: Vec<u8>,
}

impl SealList {
    /// Reads a list.
    ///
    /// # Errors
    /// When the file cannot be read or is no list.
    pub fn read(path: &Path) -> Result<Self> {
        read_json(path)
    }

    fn seals(&self) -> Result<Vec<Seal>> {
        let bytes = |text: &str| -> Result<[u8; 32]> {
            hex::decode(text)?.try_into().map_err(|bytes: Vec<u8>| anyhow!("{} bytes, expected 32", bytes.len()))
        };
        let read = |entry: &Entry| {
            Ok(Seal {
                prover_id: bytes(&entry.prover_id)?,
                sector: SectorId::from(entry.sector),
                ticket: bytes(&entry.ticket)?,
                seed: bytes(&entry.seed)?,
                comm_r: bytes(&entry.comm_r)?,
                comm_d: bytes(&entry.comm_d)?,
                proof: hex::decode(&entry.proof)?,
            })
        };
        self.seals.iter().map(read).collect()
    }

    /// Verifies the proofs one after the other.
    ///
    /// # Errors
    /// What the reference reports; false when a proof does not hold.
    pub fn verify(&self) -> Result<bool> {
        for seal in self.seals()? {
            let Seal { prover_id, sector, ticket, seed, comm_r, comm_d, proof } = seal;
            let kind = self.registered_proof;
            if !seal::verify_seal(kind, comm_r, comm_d, prover_id, sector, ticket, seed, &proof)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Verifies all proofs together.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_batch(&self) -> Result<bool> {
        fn verify<Tree: 'static + MerkleTreeTrait>(config: &PoRepConfig, seals: &[Seal]) -> Result<bool> {
            let of = |field: fn(&Seal) -> [u8; 32]| seals.iter().map(field).collect::<Vec<_>>();
            let sectors: Vec<_> = seals.iter().map(|seal| seal.sector).collect();
            let proofs: Vec<_> = seals.iter().map(|seal| &seal.proof[..]).collect();
            let [comm_rs, comm_ds] = [of(|seal| seal.comm_r), of(|seal| seal.comm_d)];
            let [provers, tickets, seeds] = [of(|seal| seal.prover_id), of(|seal| seal.ticket), of(|seal| seal.seed)];
            verify_batch_seal::<Tree>(config, &comm_rs, &comm_ds, &provers, &sectors, &tickets, &seeds, &proofs)
        }
        let config = self.registered_proof.as_v1_config();
        with_shape!(u64::from(config.sector_size), verify, &config, &self.seals()?,)
    }

    /// Aggregates the proofs with the reference string in `FIL_PROOFS_PARAMETER_CACHE`.
    ///
    /// # Errors
    /// What the reference reports.
    pub fn aggregate(&self, version: u32) -> Result<Vec<u8>> {
        let seals = self.seals()?;
        let comm_rs: Vec<_> = seals.iter().map(|seal| seal.comm_r).collect();
        let seeds: Vec<_> = seals.iter().map(|seal| seal.seed).collect();
        let outputs: Vec<_> = seals.into_iter().map(|seal| SealCommitPhase2Output { proof: seal.proof }).collect();
        seal::aggregate_seal_commit_proofs(self.registered_proof, registered(version)?, &comm_rs, &seeds, &outputs)
    }

    /// Verifies an aggregate of the list.
    ///
    /// # Errors
    /// What the reference reports; false when it does not hold.
    pub fn verify_aggregate(&self, version: u32, aggregate: Vec<u8>) -> Result<bool> {
        let seals = self.seals()?;
        let comm_rs: Vec<_> = seals.iter().map(|seal| seal.comm_r).collect();
        let seeds: Vec<_> = seals.iter().map(|seal| seal.seed).collect();
        let mut inputs = Vec::new();
        for seal in &seals {
            let Seal { prover_id, sector, ticket, seed, comm_r, comm_d, .. } = *seal;
            let kind = self.registered_proof;
            inputs.extend(seal::get_seal_inputs(kind, comm_r, comm_d, prover_id, sector, ticket, seed)?);
        }
        let version = registered(version)?;
        let kind = self.registered_proof;
        seal::verify_aggregate_seal_commit_proofs(kind, version, aggregate, &comm_rs, &seeds, inputs)
    }
}

fn registered(version: u32) -> Result<RegisteredAggregationProof> {
    ensure!((1..=2).contains(&version), "no SnarkPack version {version}");
    let all = [RegisteredAggregationProof::SnarkPackV1, RegisteredAggregationProof::SnarkPackV2];
    Ok(all[version as usize - 1])
}
