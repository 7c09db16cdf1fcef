//! The command line of the peer: one sub-command per phase, each reading and writing named files.
//!
//! A command prints one line of JSON: `{"phase", "wall_seconds", "user_seconds", "system_seconds", "cpu_seconds",
//! "peak_rss_bytes", "result"}`. Exit status 0 is done, 1 is a proof that does not hold or cannot even be read,
//! 2 is an error.

mod post;
mod update;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Error, Result, anyhow};
use clap::{Args, Parser, Subcommand};
use filecoin_proofs_api::{PieceInfo, RegisteredSealProof};
use serde_json::{Value, json};

use crate::phases::lists::SealList;
use crate::phases::{self, Identity, Sector, features, read_json, write_json};
use crate::usage::Usage;

/// The reference, one phase at a time, between files in the form of its API.
#[derive(Debug, Parser)]
#[command(name = "filecash-peer")]
pub struct Cli {
    #[command(subcommand)]
    phase: Phase,
}

/// A phase.
#[derive(Debug, Subcommand)]
enum Phase {
    /// Say which instruction sets this program was compiled for.
    Build,
    /// Make parameters, verifying key and metadata in FIL_PROOFS_PARAMETER_CACHE.
    Params {
        #[command(flatten)]
        proof: ProofArg,
    },
    /// Append a piece to a staged file and to a list of pieces.
    AddPiece {
        #[command(flatten)]
        proof: ProofArg,
        /// Raw bytes.
        file: PathBuf,
        /// The padded file to append to.
        #[arg(long)]
        staged: PathBuf,
        /// List of pieces, read and rewritten.
        #[arg(long)]
        pieces: PathBuf,
        /// Unpadded bytes to take, by default all.
        #[arg(long)]
        piece_size: Option<u64>,
    },
    /// Label a sector.
    Pc1 {
        #[command(flatten)]
        proof: ProofArg,
        #[command(flatten)]
        sector: SectorArgs,
        #[command(flatten)]
        identity: IdentityArgs,
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
    /// Encode a sector and build its trees.
    Pc2 {
        #[command(flatten)]
        sector: SectorArgs,
        /// Output of pc1.
        #[arg(long)]
        pc1: PathBuf,
        /// Where the output goes.
        #[arg(long)]
        out: PathBuf,
    },
    /// Open the challenges.
    C1 {
        #[command(flatten)]
        sector: SectorArgs,
        #[command(flatten)]
        identity: IdentityArgs,
        /// Randomness of the chain.
        #[arg(long, value_parser = hex32)]
        seed: [u8; 32],
        /// Output of pc2.
        #[arg(long)]
        pc2: PathBuf,
        /// List of pieces.
        #[arg(long)]
        pieces: PathBuf,
        /// Where the output goes.
        #[arg(long)]
        out: PathBuf,
    },
    /// Prove the synthetic set of a sector into its cache folder.
    Synth {
        #[command(flatten)]
        sector: SectorArgs,
        #[command(flatten)]
        identity: IdentityArgs,
        /// Output of pc2.
        #[arg(long)]
        pc2: PathBuf,
        /// List of pieces.
        #[arg(long)]
        pieces: PathBuf,
    },
    /// Prove the first partitions of a non-interactive PoRep.
    ProvePartitions {
        #[command(flatten)]
        identity: IdentityArgs,
        /// Output of c1.
        #[arg(long)]
        c1: PathBuf,
        /// How many.
        #[arg(long)]
        partitions: usize,
        /// Where the proofs go: 192 bytes each.
        #[arg(long)]
        out: PathBuf,
    },
    /// Verify the proofs of the first partitions of a non-interactive PoRep.
    VerifyPartitions(VerifyArgs),
    /// Prove.
    C2 {
        #[command(flatten)]
        identity: IdentityArgs,
        /// Output of c1.
        #[arg(long)]
        c1: PathBuf,
        /// Where the proof goes: 192 bytes a partition.
        #[arg(long)]
        out: PathBuf,
    },
    /// Verify a proof.
    Verify(VerifyArgs),
    /// Proofs of space-time.
    #[command(subcommand)]
    Post(post::Post),
    /// Verify every proof of a list of seals.
    VerifyList {
        /// List of seals.
        list: PathBuf,
        /// All in one batch, rather than one after the other.
        #[arg(long)]
        batch: bool,
    },
    /// Aggregate the proofs of a list of seals.
    Aggregate {
        /// List of seals.
        list: PathBuf,
        /// SnarkPack version, 1 or 2.
        #[arg(long, default_value_t = 2)]
        snarkpack: u32,
        /// Where the aggregate goes.
        #[arg(long)]
        out: PathBuf,
    },
    /// Verify aggregates of lists of seals: the first aggregate of the first list, and so on.
    VerifyAggregate {
        /// Lists of seals; their proofs are not looked at.
        #[arg(required = true)]
        lists: Vec<PathBuf>,
        /// SnarkPack version, 1 or 2.
        #[arg(long, default_value_t = 2)]
        snarkpack: u32,
        /// An aggregate for each list.
        #[arg(long, required = true)]
        aggregate: Vec<PathBuf>,
    },
    /// Recover data from a replica.
    Unseal {
        #[command(flatten)]
        proof: ProofArg,
        #[command(flatten)]
        sector: SectorArgs,
        #[command(flatten)]
        identity: IdentityArgs,
        /// Commitment to the data.
        #[arg(long, value_parser = hex32)]
        comm_d: [u8; 32],
        /// First unpadded byte.
        #[arg(long, default_value_t = 0)]
        offset: u64,
        /// Number of unpadded bytes.
        #[arg(long)]
        length: u64,
        /// Where the data goes.
        #[arg(long)]
        out: PathBuf,
    },
    /// A step of a sector update.
    #[command(subcommand)]
    Update(update::UpdatePhase),
}

#[derive(Clone, Copy, Debug, Args)]
struct ProofArg {
    /// Name of a registered seal proof.
    #[arg(long, value_parser = seal_proof, default_value = "StackedDrg2KiBV1_1")]
    registered_proof: RegisteredSealProof,
}

/// What a seal's proof is verified against.
#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    proof: ProofArg,
    #[command(flatten)]
    identity: IdentityArgs,
    /// Randomness of the chain.
    #[arg(long, value_parser = hex32)]
    seed: [u8; 32],
    /// Commitment to the replica.
    #[arg(long, value_parser = hex32)]
    comm_r: [u8; 32],
    /// Commitment to the data.
    #[arg(long, value_parser = hex32)]
    comm_d: [u8; 32],
    /// The proof: output of c2, or of prove-partitions.
    #[arg(long = "proof", id = "proof_file")]
    proof_file: PathBuf,
}

#[derive(Debug, Args)]
struct SectorArgs {
    /// Folder of layers, trees and auxiliary files.
    #[arg(long)]
    cache: PathBuf,
    /// The replica.
    #[arg(long)]
    sealed: PathBuf,
}

impl From<SectorArgs> for Sector {
    fn from(SectorArgs { cache, sealed }: SectorArgs) -> Self {
        Self { cache, sealed }
    }
}

#[derive(Clone, Copy, Debug, Args)]
struct IdentityArgs {
    /// The miner, 32 bytes in hexadecimal.
    #[arg(long, value_parser = hex32)]
    prover_id: [u8; 32],
    /// The sector's number.
    #[arg(long)]
    sector: u64,
    /// Randomness of the chain that enters the replica id.
    #[arg(long, value_parser = hex32, default_value = "0000000000000000000000000000000000000000000000000000000000000000")]
    ticket: [u8; 32],
}

impl From<IdentityArgs> for Identity {
    fn from(IdentityArgs { prover_id, sector, ticket }: IdentityArgs) -> Self {
        Self { prover_id, sector, ticket }
    }
}

fn hex32(text: &str) -> Result<[u8; 32]> {
    let bytes = hex::decode(text)?;
    bytes.try_into().map_err(|bytes: Vec<u8>| anyhow!("{} bytes, expected 32", bytes.len()))
}

fn seal_proof(text: &str) -> Result<RegisteredSealProof> {
    serde_json::from_value(Value::from(text)).context("no such registered seal proof")
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let started = Instant::now();
    match run(Cli::parse().phase).and_then(|(phase, accepted, result)| {
        let usage = Usage::of_self(started)?;
        let mut line = serde_json::to_value(usage)?;
        line["phase"] = json!(phase);
        line["cpu_seconds"] = json!(usage.cpu_seconds());
        line["result"] = result;
        println!("{line}");
        Ok(accepted)
    }) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The reference's verdict on a proof, and what to print of it.
///
/// It says no by an error, too: to what it cannot read as a proof, and to statements that it does not look into. Where it
/// has no key, no reference string or no file, nothing is said of the proof, and the error stays one.
fn judged(verdict: Result<bool>) -> Result<(bool, Value)> {
    match verdict {
        Ok(holds) => Ok((holds, json!({ "holds": holds }))),
        Err(error) if is_about_files(&error) => Err(error),
        Err(error) => Ok((false, json!({ "holds": false, "error": format!("{error:#}") }))),
    }
}

fn is_about_files(error: &Error) -> bool {
    use std::io::ErrorKind::{NotFound, PermissionDenied};
    let missing = |error: &std::io::Error| matches!(error.kind(), NotFound | PermissionDenied);
    // The reference's words where a key is not in its folder.
    let words = ["No cached", "No such file", "os error"];
    error.chain().any(|cause| {
        let text = cause.to_string();
        cause.downcast_ref().is_some_and(missing) || words.iter().any(|words| text.contains(words))
    })
}

/// Does a phase; gives its name, whether what it checks holds, and what it found.
fn run(phase: Phase) -> Result<(&'static str, bool, Value)> {
    Ok(match phase {
        Phase::Build => ("build", true, json!({ "sha": cfg!(target_feature = "sha") })),
        Phase::Params { proof } => ("params", true, json!({ "params": phases::params(proof.registered_proof)? })),
        Phase::AddPiece { proof, file, staged, pieces, piece_size } => {
            let piece = phases::add_piece(proof.registered_proof, &file, &staged, &pieces, piece_size)?;
            ("add-piece", true, json!({ "comm_p": hex::encode(piece.commitment), "size": u64::from(piece.size) }))
        }
        Phase::Pc1 { proof, sector, identity, staged, pieces, out } => {
            let pieces: Vec<PieceInfo> = read_json(&pieces)?;
            let output = phases::pc1(proof.registered_proof, &sector.into(), &staged, &identity.into(), &pieces)?;
            write_json(&out, &output)?;
            ("pc1", true, json!({ "comm_d": hex::encode(output.comm_d) }))
        }
        Phase::Pc2 { sector, pc1, out } => {
            let output = phases::pc2(read_json(&pc1)?, &sector.into())?;
            write_json(&out, &output)?;
            ("pc2", true, json!({ "comm_r": hex::encode(output.comm_r), "comm_d": hex::encode(output.comm_d) }))
        }
        Phase::C1 { sector, identity, seed, pc2, pieces, out } => {
            let pieces: Vec<PieceInfo> = read_json(&pieces)?;
            let output = phases::c1(read_json(&pc2)?, &sector.into(), &identity.into(), seed, &pieces)?;
            write_json(&out, &output)?;
            ("c1", true, json!({}))
        }
        Phase::Synth { sector, identity, pc2, pieces } => {
            let pieces: Vec<PieceInfo> = read_json(&pieces)?;
            features::synth(read_json(&pc2)?, &sector.into(), &identity.into(), &pieces)?;
            ("synth", true, json!({}))
        }
        Phase::ProvePartitions { identity, c1, partitions, out } => {
            let proof = features::prove_partitions(read_json(&c1)?, &identity.into(), partitions)?;
            fs::write(&out, &proof).with_context(|| format!("writing {}", out.display()))?;
            ("prove-partitions", true, json!({ "proof": hex::encode(proof) }))
        }
        Phase::VerifyPartitions(VerifyArgs { proof, identity, seed, comm_r, comm_d, proof_file }) => {
            let bytes = fs::read(&proof_file).with_context(|| format!("reading {}", proof_file.display()))?;
            let (proof, comms) = (proof.registered_proof, [comm_r, comm_d]);
            let (holds, result) = judged(features::verify_partitions(proof, comms, &identity.into(), seed, &bytes))?;
            ("verify-partitions", holds, result)
        }
        Phase::C2 { identity, c1, out } => {
            let proof = phases::c2(read_json(&c1)?, &identity.into())?;
            fs::write(&out, &proof).with_context(|| format!("writing {}", out.display()))?;
            ("c2", true, json!({ "proof": hex::encode(proof) }))
        }
        Phase::Verify(VerifyArgs { proof, identity, seed, comm_r, comm_d, proof_file }) => {
            let bytes = fs::read(&proof_file).with_context(|| format!("reading {}", proof_file.display()))?;
            let (proof, comms) = (proof.registered_proof, [comm_r, comm_d]);
            let (holds, result) = judged(phases::verify(proof, comms, &identity.into(), seed, &bytes))?;
            ("verify", holds, result)
        }
        Phase::Post(step) => return post::run(step),
        Phase::VerifyList { list, batch } => {
            let list = SealList::read(&list)?;
            let (holds, result) = judged(if batch { list.verify_batch() } else { list.verify() })?;
            ("verify-list", holds, result)
        }
        Phase::Aggregate { list, snarkpack, out } => {
            let aggregate = SealList::read(&list)?.aggregate(snarkpack)?;
            fs::write(&out, &aggregate).with_context(|| format!("writing {}", out.display()))?;
            ("aggregate", true, json!({ "bytes": aggregate.len() }))
        }
        Phase::VerifyAggregate { lists, snarkpack, aggregate } => {
            let (mut holds, mut errors) = (Vec::new(), Vec::new());
            for (list, aggregate) in lists.iter().zip(&aggregate) {
                let bytes = fs::read(aggregate).with_context(|| format!("reading {}", aggregate.display()))?;
                let (verdict, mut result) = judged(SealList::read(list)?.verify_aggregate(snarkpack, bytes))?;
                holds.push(verdict);
                errors.push(result["error"].take());
            }
            let all = holds.iter().all(|holds| *holds);
            ("verify-aggregate", all, json!({ "holds": holds, "errors": errors }))
        }
        Phase::Unseal { proof, sector, identity, comm_d, offset, length, out } => {
            phases::unseal(proof.registered_proof, &sector.into(), &out, &identity.into(), comm_d, [offset, length])?;
            ("unseal", true, json!({ "bytes": fs::metadata(&out)?.len() }))
        }
        Phase::Update(phase) => update::run(phase)?,
    })
}
