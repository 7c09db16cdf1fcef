//! `filecash-peer post …`: proofs of space-time.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use filecoin_proofs_api::RegisteredPoStProof;
use serde_json::{Value, json};

use super::{hex32, judged};
use crate::phases::post::{self, Round, Sector};
use crate::phases::read_json;

/// A step of a proof of space-time. Winning or window is what the registered proof says.
#[derive(Debug, Subcommand)]
pub enum Post {
    /// Make parameters, verifying key and metadata in FIL_PROOFS_PARAMETER_CACHE.
    Params {
        #[command(flatten)]
        proof: ProofArg,
    },
    /// The place of the winning sector, or the leaves of sectors in the order given.
    Challenges {
        #[command(flatten)]
        round: RoundArgs,
        /// How many sectors there are to win.
        #[arg(long)]
        sector_count: Option<u64>,
        /// Numbers of sectors.
        #[arg(long, value_delimiter = ',')]
        sectors: Vec<u64>,
    },
    /// Open the challenges of each sector.
    Vanilla {
        #[command(flatten)]
        round: RoundArgs,
        /// List of sectors.
        #[arg(long)]
        sectors: PathBuf,
        /// Folder for the vanilla proofs, one file for each sector: `sector-N`.
        #[arg(long)]
        out: PathBuf,
    },
    /// Prove sectors.
    Prove {
        #[command(flatten)]
        round: RoundArgs,
        /// List of sectors.
        #[arg(long)]
        sectors: Option<PathBuf>,
        /// Vanilla proofs in order, instead.
        #[arg(long, num_args = 1..)]
        vanilla: Vec<PathBuf>,
        /// Prove this partition alone, from its vanilla proofs.
        #[arg(long)]
        partition: Option<usize>,
        /// Where the proof goes.
        #[arg(long)]
        out: PathBuf,
    },
    /// Verify a proof.
    Verify {
        #[command(flatten)]
        round: RoundArgs,
        /// List of sectors.
        #[arg(long)]
        sectors: PathBuf,
        /// The proof.
        #[arg(long)]
        proof: PathBuf,
    },
}

/// Which proof.
#[derive(Clone, Copy, Debug, Args)]
pub struct ProofArg {
    /// Name of a registered proof of space-time.
    #[arg(long, value_parser = post_proof, default_value = "StackedDrgWindow2KiBV1_2")]
    registered_proof: RegisteredPoStProof,
}

/// What is proven, when, by whom.
#[derive(Clone, Copy, Debug, Args)]
pub struct RoundArgs {
    #[command(flatten)]
    proof: ProofArg,
    /// Randomness of the chain, 32 bytes in hexadecimal.
    #[arg(long, value_parser = hex32)]
    randomness: [u8; 32],
    /// The miner, 32 bytes in hexadecimal.
    #[arg(long, value_parser = hex32)]
    prover_id: [u8; 32],
}

impl From<RoundArgs> for Round {
    fn from(RoundArgs { proof, randomness, prover_id }: RoundArgs) -> Self {
        Self { proof: proof.registered_proof, randomness, prover_id }
    }
}

fn post_proof(text: &str) -> Result<RegisteredPoStProof> {
    serde_json::from_value(Value::from(text)).context("no such registered proof of space-time")
}

/// Does a step; gives its name, whether what it checks holds, and what it found.
pub(super) fn run(step: Post) -> Result<(&'static str, bool, Value)> {
    Ok(match step {
        Post::Params { proof } => ("post params", true, json!({ "params": post::params(proof.registered_proof)? })),
        Post::Challenges { round, sector_count, sectors } => {
            let winner = sector_count.map(|count| post::winner(&round.into(), count)).transpose()?;
            let leaves = match &sectors[..] {
                [] => Value::Null,
                sectors => serde_json::to_value(post::challenges(&round.into(), sectors)?)?,
            };
            ("post challenges", true, json!({ "winner": winner, "challenges": leaves }))
        }
        Post::Vanilla { round, sectors, out } => {
            let sectors: Vec<Sector> = read_json(&sectors)?;
            for (sector, bytes) in post::vanilla(&round.into(), &sectors)? {
                fs::write(out.join(format!("sector-{sector}")), bytes)?;
            }
            ("post vanilla", true, json!({}))
        }
        Post::Prove { round, sectors, vanilla, partition, out } => {
            let proof = match sectors {
                Some(sectors) => post::prove(&round.into(), &read_json::<Vec<Sector>>(&sectors)?)?,
                None => {
                    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("reading {}", path.display()));
                    let vanilla: Vec<_> = vanilla.iter().map(read).collect::<Result<_>>()?;
                    post::prove_vanilla(&round.into(), &vanilla, partition)?
                }
            };
            fs::write(&out, &proof).with_context(|| format!("writing {}", out.display()))?;
            ("post prove", true, json!({ "proof": hex::encode(proof) }))
        }
        Post::Verify { round, sectors, proof } => {
            let bytes = fs::read(&proof).with_context(|| format!("reading {}", proof.display()))?;
            let sectors: Vec<Sector> = read_json(&sectors)?;
            let (holds, result) = judged(post::verify(&round.into(), &sectors, &bytes))?;
            ("post verify", holds, result)
        }
    })
}
