//! Stages of proofs of space-time: window proofs, and winning ones.

use std::path::PathBuf;

use anyhow::ensure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filecash_engine::Error;
use filecash_engine::api::post::{self, PoStError, PoStRound, PoStSector, ReadLimits, WindowOptions};
use filecash_engine::backend::Phase;
use filecash_engine::field::Node;
use filecash_engine::sector::id::prover_id;
use filecash_engine::sector::{PoStKind, PoStProof, SectorId};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::context::Context;
use crate::report::{Failure, Kind};

/// The task of [`window_post`] and [`winning_post`].
#[derive(Deserialize)]
pub struct PoSt {
    miner_id: u64,
    proof_type: String,
    replicas: Vec<PoStReplica>,
    seed: [u8; 32],
}

#[derive(Deserialize)]
struct PoStReplica {
    sector_id: SectorId,
    comm_r: Node,
    cache_dir: PathBuf,
    sealed_file: PathBuf,
}

impl PoSt {
    /// The round and its sectors.
    fn round(self, context: &Context, kind: PoStKind) -> anyhow::Result<(PoStRound, Vec<PoStSector>)> {
        let proof = PoStProof::by_name(context.profile(), &self.proof_type)?;
        ensure!(proof.kind == kind, "{} is not of this stage", proof.name);
        let mut randomness = self.seed;
        // It comes masked; if not, the chain's rule is that it is.
        randomness[31] &= 0x3f;
        let round = PoStRound::new(&proof.config(), &randomness, &prover_id(self.miner_id))?;
        let sectors = self.replicas.into_iter().map(|PoStReplica { sector_id, comm_r, cache_dir, sealed_file }| {
            PoStSector { sector_id, comm_r, cache: cache_dir, sealed: sealed_file }
        });
        Ok((round, sectors.collect()))
    }
}

/// The proof of all sectors, or which of them are faulty.
pub fn window_post(context: &Context, task: PoSt) -> anyhow::Result<Box<RawValue>> {
    let (round, sectors) = task.round(context, PoStKind::Window)?;
    let job = context.job_on_devices(Phase::PoSt, round.config().params.size_bytes)?;
    let (proofs, faults) = match post::prove_window(&job, &round, &sectors, &WindowOptions::default()) {
        Ok(window) => (vec![STANDARD.encode(window.proof)], vec![]),
        Err(Error::PoSt(PoStError::Faulty { faulty, .. })) => {
            (vec![], faulty.iter().map(|faulty| faulty.sector_id).collect())
        }
        Err(error) => return Err(error.into()),
    };
    Ok(to_raw_value(&json!({ "proofs": proofs, "faults": faults }))?)
}

/// The proof of one sector.
pub fn winning_post(context: &Context, task: PoSt) -> anyhow::Result<Box<RawValue>> {
    let (round, sectors) = task.round(context, PoStKind::Winning)?;
    let [sector] = &sectors[..] else {
        let message = format!("{} sectors, a winning proof is of one", sectors.len());
        return Err(Failure::new(Kind::Input, message).into());
    };
    let job = context.job_on_devices(Phase::PoSt, round.config().params.size_bytes)?;
    let proof = post::prove_winning(&job, &round, sector, &ReadLimits::default())?;
    Ok(to_raw_value(&json!({ "proofs": [STANDARD.encode(proof)] }))?)
}
