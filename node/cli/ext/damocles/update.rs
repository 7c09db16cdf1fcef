//! Stages of updates: the new replica, and its SNARK.

use std::path::PathBuf;

use anyhow::ensure;
use filecash_engine::api::update;
use filecash_engine::backend::Phase;
use filecash_engine::field::Node;
use filecash_engine::sector::piece::PieceInfo;
use filecash_engine::update::{PartitionProof, Replica, UpdateCommitments, UpdateProof};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::context::Context;

/// The task of [`snap_encode`].
#[derive(Deserialize)]
pub struct SnapEncode {
    registered_proof: String,
    new_replica_path: PathBuf,
    new_cache_path: PathBuf,
    sector_path: PathBuf,
    sector_cache_path: PathBuf,
    staged_data_path: PathBuf,
    piece_infos: Vec<PieceInfo>,
}

/// The new replica of an update and its trees.
pub fn snap_encode(context: &Context, task: &SnapEncode) -> anyhow::Result<Box<RawValue>> {
    let config = UpdateProof::by_name(context.profile(), &task.registered_proof)?.config();
    let (old, new) = (
        Replica { path: &task.sector_path, cache: &task.sector_cache_path },
        Replica { path: &task.new_replica_path, cache: &task.new_cache_path },
    );
    // The worker may ask again for what it has not heard of.
    let encoded = match update::find_encoded(&context.job(), &config, new, old, &task.piece_infos)? {
        Some(encoded) => encoded,
        None => {
            let job = context.job_on_devices(Phase::Update, config.params.size_bytes)?;
            update::encode_into(&job, &config, new, old, &task.staged_data_path, &task.piece_infos)?
        }
    };
    let UpdateCommitments { comm_r_new, comm_d_new, .. } = encoded.commitments;
    let comm_r_last_new = encoded.comm_r_last_new;
    Ok(to_raw_value(
        &json!({ "comm_r_new": comm_r_new, "comm_r_last_new": comm_r_last_new, "comm_d_new": comm_d_new }),
    )?)
}

/// The task of [`snap_prove`].
#[derive(Deserialize)]
pub struct SnapProve {
    registered_proof: String,
    /// Spelled so.
    vannilla_proofs: Vec<Vec<u8>>,
    comm_r_old: Node,
    comm_r_new: Node,
    comm_d_new: Node,
}

/// The SNARK of an update.
pub fn snap_prove(context: &Context, task: SnapProve) -> anyhow::Result<Box<RawValue>> {
    let proof = UpdateProof::by_name(context.profile(), &task.registered_proof)?;
    let (config, partitions) = (proof.config(), task.vannilla_proofs.len());
    ensure!(partitions == config.shape.partitions, "{partitions} partitions, expected {}", config.shape.partitions);
    let proofs = task.vannilla_proofs.iter().enumerate();
    let proofs: Result<Vec<_>, _> =
        proofs.map(|(partition, bytes)| PartitionProof::from_bytes(&config.shape, partition, bytes)).collect();
    let commitments =
        UpdateCommitments { comm_r_old: task.comm_r_old, comm_r_new: task.comm_r_new, comm_d_new: task.comm_d_new };
    let job = context.job_on_devices(Phase::Update, config.params.size_bytes)?;
    Ok(to_raw_value(&update::prove(&job, &config, &commitments, &proofs?)?)?)
}
