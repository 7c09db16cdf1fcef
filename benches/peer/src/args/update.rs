//! `filecash-peer update …`: steps and flags of `filecash update`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use filecoin_proofs_api::RegisteredUpdateProof;
use serde_json::{Value, json};

use super::super::phases::update::{self, Proof, Replica, Update};
use super::super::phases::{read_json, write_json};
use super::judged;

/// A step of an update.
#[derive(Debug, Subcommand)]
pub enum UpdatePhase {
    /// Make the parameters of 2 KiB in FIL_PROOFS_PARAMETER_CACHE.
    Params,
    /// Encode staged data into a sector key.
    Encode {
        /// Name of a registered update proof.
        #[arg(long, value_parser = proof, default_value = "StackedDrg2KiBV1")]
        registered_proof: Proof,
        #[command(flatten)]
        replicas: Replicas,
        /// The padded data.
        #[arg(long)]
        staged: PathBuf,
        /// List of pieces.
        #[arg(long)]
        pieces: PathBuf,
        /// Where the output goes.
        #[arg(long)]
        out: PathBuf,
    },
    /// Decode a whole replica into padded data.
    Decode {
        #[command(flatten)]
        replicas: Replicas,
        /// Output of encode.
        #[arg(long)]
        update: PathBuf,
        /// Where the data goes.
        #[arg(long)]
        out: PathBuf,
    },
    /// Open the challenges.
    Vanilla {
        #[command(flatten)]
        replicas: Replicas,
        /// Output of encode.
        #[arg(long)]
        update: PathBuf,
        /// Where the partition proofs go.
        #[arg(long)]
        out: PathBuf,
    },
    /// Verify partition proofs.
    VerifyVanilla {
        /// Output of encode.
        #[arg(long)]
        update: PathBuf,
        /// Output of vanilla.
        #[arg(long)]
        vanilla: PathBuf,
    },
    /// Prove.
    Prove {
        /// Output of encode.
        #[arg(long)]
        update: PathBuf,
        /// Output of vanilla.
        #[arg(long)]
        vanilla: PathBuf,
        /// Where the proof goes: 192 bytes a partition.
        #[arg(long)]
        out: PathBuf,
    },
    /// Verify a proof.
    Verify {
        /// Output of encode.
        #[arg(long)]
        update: PathBuf,
        /// Output of prove.
        #[arg(long = "proof")]
        proof_file: PathBuf,
    },
}

/// Both replicas.
#[derive(Debug, Args)]
pub struct Replicas {
    /// The old replica.
    #[arg(long)]
    sector_key: PathBuf,
    /// The old replica's cache folder.
    #[arg(long)]
    sector_key_cache: PathBuf,
    /// The new replica.
    #[arg(long)]
    replica: PathBuf,
    /// The new replica's cache folder.
    #[arg(long)]
    cache: PathBuf,
}

impl From<Replicas> for [Replica; 2] {
    fn from(Replicas { sector_key, sector_key_cache, replica, cache }: Replicas) -> Self {
        [Replica { path: sector_key, cache: sector_key_cache }, Replica { path: replica, cache }]
    }
}

fn proof(text: &str) -> Result<Proof> {
    serde_json::from_value(Value::from(text)).context("no such registered update proof")
}

/// Does a step; gives its name, whether what it checks holds, and what it found.
pub fn run(phase: UpdatePhase) -> Result<(&'static str, bool, Value)> {
    Ok(match phase {
        UpdatePhase::Params => {
            ("update-params", true, json!({ "params": update::params(RegisteredUpdateProof::StackedDrg2KiBV1)? }))
        }
        UpdatePhase::Encode { registered_proof, replicas, staged, pieces, out } => {
            let [old, new] = replicas.into();
            let output = update::encode(registered_proof, &new, &old, &staged, &read_json::<Vec<_>>(&pieces)?)?;
            write_json(&out, &output)?;
            ("update-encode", true, json!({ "comm_r": hex::encode(output.comm_r_new) }))
        }
        UpdatePhase::Decode { replicas, update, out } => {
            let [old, new] = replicas.into();
            update::decode(&read_json(&update)?, &out, &new.path, &old)?;
            ("update-decode", true, json!({ "bytes": fs::metadata(&out)?.len() }))
        }
        UpdatePhase::Vanilla { replicas, update, out } => {
            let [old, new] = replicas.into();
            let proofs = update::vanilla(&read_json(&update)?, &old, &new)?;
            update::write_proofs(&out, &proofs)?;
            ("update-vanilla", true, json!({ "partitions": proofs.len() }))
        }
        UpdatePhase::VerifyVanilla { update, vanilla } => {
            let statement: Update = read_json(&update)?;
            let (holds, result) = judged(update::verify_vanilla(&statement, &update::read_proofs(&vanilla)?))?;
            ("update-verify-vanilla", holds, result)
        }
        UpdatePhase::Prove { update, vanilla, out } => {
            let proof = update::prove(&read_json(&update)?, update::read_proofs(&vanilla)?)?;
            fs::write(&out, &proof).with_context(|| format!("writing {}", out.display()))?;
            ("update-prove", true, json!({ "proof": hex::encode(proof) }))
        }
        UpdatePhase::Verify { update, proof_file } => {
            let bytes = fs::read(&proof_file).with_context(|| format!("reading {}", proof_file.display()))?;
            let (holds, result) = judged(update::verify(&read_json(&update)?, &bytes))?;
            ("update-verify", holds, result)
        }
    })
}
