//! Stages of sealing: PC1, PC2, C2.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use filecash_engine::api::{SectorIdentity, prove, seal};
use filecash_engine::backend::Phase;
use filecash_engine::porep::outputs::{Commit1Output, PreCommit1Output};
use filecash_engine::sector::id::prover_id;
use filecash_engine::sector::piece::PieceInfo;
use filecash_engine::sector::{ProverId, SealProof, SectorId};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::context::Context;
use crate::phase::Codec;

/// The task of [`pc1`].
#[derive(Deserialize)]
pub struct Pc1 {
    registered_proof: String,
    cache_path: PathBuf,
    in_path: PathBuf,
    out_path: PathBuf,
    prover_id: ProverId,
    sector_id: SectorId,
    ticket: [u8; 32],
    piece_infos: Vec<PieceInfo>,
}

/// Tree-d and layers.
pub fn pc1(context: &Context, task: Pc1) -> anyhow::Result<Box<RawValue>> {
    let proof = SealProof::by_name(context.profile(), &task.registered_proof)?;
    let Pc1 { cache_path, in_path, out_path, prover_id, sector_id, ticket, piece_infos, .. } = task;
    let identity = SectorIdentity { prover_id, sector_id, ticket };
    let job = context.job_on_devices(Phase::Pc1, proof.config().params.size_bytes)?;
    let output =
        seal::pre_commit_phase1(&job, &proof.config(), &cache_path, &in_path, &out_path, &identity, &piece_infos)?;
    encoded(&output, &proof)
}

/// The task of [`pc2`].
#[derive(Deserialize)]
pub struct Pc2<'a> {
    #[serde(borrow)]
    pc1out: &'a RawValue,
    cache_dir: PathBuf,
    sealed_file: PathBuf,
}

/// The replica and its trees.
pub fn pc2(context: &Context, task: Pc2<'_>) -> anyhow::Result<Box<RawValue>> {
    let (proof, pc1) = decoded::<PreCommit1Output>(context, task.pc1out)?;
    let job = context.job_on_devices(Phase::Pc2, proof.config().params.size_bytes)?;
    let output = seal::pre_commit_phase2(&job, &proof.config(), &pc1, &task.cache_dir, &task.sealed_file)?;
    encoded(&output, &proof)
}

/// The task of [`c2`].
#[derive(Deserialize)]
pub struct C2<'a> {
    #[serde(borrow)]
    c1out: &'a RawValue,
    prover_id: ProverId,
    sector_id: SectorId,
    miner_id: u64,
}

/// The SNARK of a seal.
pub fn c2(context: &Context, task: C2<'_>) -> anyhow::Result<Box<RawValue>> {
    let miner = task.miner_id;
    ensure!(task.prover_id == prover_id(miner), "the prover id is not that of miner f0{miner}");
    let (proof, c1) = decoded::<Commit1Output>(context, task.c1out)?;
    let identity = SectorIdentity { prover_id: task.prover_id, sector_id: task.sector_id, ticket: c1.ticket };
    let job = context.job_on_devices(Phase::C2, proof.config().params.size_bytes)?;
    let bytes = prove::commit_phase2(&job, &proof.config(), &c1, &identity)?;
    Ok(to_raw_value(&json!({ "proof": bytes }))?)
}

/// Another phase's output out of a task.
fn decoded<T: Codec>(context: &Context, json: &RawValue) -> anyhow::Result<(SealProof, T)> {
    let profile = context.profile();
    T::decode(profile, json.get().as_bytes()).with_context(|| format!("this is no {} of profile {profile}", T::NAME))
}

/// A phase's output as JSON.
fn encoded<T: Codec>(output: &T, proof: &SealProof) -> anyhow::Result<Box<RawValue>> {
    let mut json = Vec::new();
    output.encode(proof, &mut json)?;
    Ok(RawValue::from_string(String::from_utf8(json)?)?)
}
