//! Lists of seals whose proofs are simulated under a key of known secrets.
//!
//! An honest proof of a 2 KiB sector takes seconds, and verification of a thousand is to be measured. By who has the
//! secrets of the key, a proof of any statement is made in a millisecond ([`filecash_engine::groth16::Simulator`]); its
//! points are distributed like those of an honest one, and neither verifier can tell. Statements are those of real
//! sectors: identity, ticket, seed and commitments from which challenges and public inputs are derived as always.

use std::fs;
use std::path::Path;

use anyhow::Result;
use filecash_engine::api::SectorIdentity;
use filecash_engine::api::batch::{SealStatement, SealVerifier};
use filecash_engine::api::seal_list::SealList;
use filecash_engine::config::Config;
use filecash_engine::groth16::Simulator;
use filecash_engine::job::{Cancel, Job, Quiet};
use filecash_engine::params::{CircuitKind, FileKind, ParamId, ParamStore};
use filecash_engine::sector::{Profile, SealProof};
use rand_core::OsRng;

/// Public inputs of the PoRep of 2 KiB: replica id, two commitments; for two challenges the node, 14 parents and the
/// node three times more.
const INPUTS: usize = 3 + 2 * (1 + 14 + 3);

/// Writes a verifying key of the 2 KiB PoRep into an empty folder of parameters and gives `count` seals that hold
/// under it.
///
/// # Errors
/// When the folder cannot be written.
pub fn seals(folder: &Path, count: usize) -> Result<SealList> {
    let proof = SealProof::for_size(Profile::Filecoin, 2 << 10)?;
    let id = ParamId::new(Profile::Filecoin, CircuitKind::PoRep, 2 << 10)?;
    let simulator = Simulator::random(INPUTS, OsRng);
    fs::create_dir_all(folder)?;
    fs::write(ParamStore::new(folder).path(&id, FileKind::VerifyingKey), simulator.key().to_bytes())?;
    let config = Config { parameter_cache: folder.to_owned(), ..Config::default() };
    let verifier =
        SealVerifier::open(&Job { config: &config, progress: &Quiet, cancel: &Cancel::default() }, &proof.config())?;
    let seal = |index: usize| {
        // All below the field's modulus, and different from seal to seal.
        let bytes = |purpose: u8| {
            let mut bytes = [purpose; 32];
            bytes[..8].copy_from_slice(&(index as u64).to_le_bytes());
            bytes
        };
        let identity = SectorIdentity { prover_id: [9; 32], sector_id: index as u64, ticket: bytes(1) };
        let statement = SealStatement { identity, comm_r: bytes(2), comm_d: bytes(3), seed: bytes(4) };
        let inputs = verifier.inputs(&statement)?;
        let proofs = inputs.iter().flat_map(|inputs| simulator.prove(inputs, OsRng).to_bytes()).collect();
        Ok((statement, proofs))
    };
    Ok(SealList { proof, seals: (0..count).map(seal).collect::<Result<_>>()? })
}
