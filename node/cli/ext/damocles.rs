//! `filecash ext damocles STAGE`: a processor of a Damocles (Venus) worker.
//!
//! The worker starts a processor as a child and hands it tasks, a line of JSON each; answers are lines too, in whatever order.
//! Ours takes one task after the other, since each uses the whole machine. Source: `spec/attach.md` B.16.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filecash_engine::Error;
use filecash_engine::api::post::{self, PoStError, PoStRound, PoStSector, ReadLimits, WindowOptions};
use filecash_engine::api::{SectorIdentity, prove, seal, update};
use filecash_engine::backend::Phase;
use filecash_engine::field::Node;
use filecash_engine::porep::outputs::{Commit1Output, PreCommit1Output};
use filecash_engine::sector::id::prover_id;
use filecash_engine::sector::piece::PieceInfo;
use filecash_engine::sector::{PoStKind, PoStProof, ProverId, SealProof, SectorId};
use filecash_engine::update::{PartitionProof, Replica, UpdateCommitments, UpdateProof};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::args::ext::Stage;
use crate::context::Context;
use crate::phase::Codec;
use crate::report::{Failure, Kind, Report, print, with_causes};

/// The longest line: C1's output for 64 GiB sectors takes about 50 MB.
const MOST_BYTES: u64 = 256 << 20;

#[derive(Deserialize)]
struct Request<'a> {
    id: u64,
    #[serde(borrow)]
    task: &'a RawValue,
}

#[derive(Serialize)]
struct Response {
    id: u64,
    err_msg: Option<String>,
    output: Option<Box<RawValue>>,
}

/// Answers tasks until standard input ends.
pub fn run(stage: Stage, context: &Context) -> anyhow::Result<Report> {
    let mut stdout = io::stdout();
    let lines = lines(context);
    writeln!(stdout, "{} processor ready", name(stage)).context("cannot write to standard output")?;
    for line in lines {
        let line = line.context("cannot read standard input")?;
        // Who does not say which task it is cannot be answered.
        let request: Request<'_> = match serde_json::from_slice(&line) {
            Ok(request) => request,
            Err(error) => {
                print(
                    io::stderr(),
                    &format!("a line of {} bytes is no task and is passed over: {error}\n", line.len()),
                );
                continue;
            }
        };
        let outcome = process(stage, context, request.task);
        if context.is_cancelled() {
            break;
        }
        let (err_msg, output) = match outcome {
            Ok(output) => (None, Some(output)),
            Err(error) => (Some(with_causes(error.as_ref())), None),
        };
        let mut answer = serde_json::to_vec(&Response { id: request.id, err_msg, output })?;
        answer.push(b'\n');
        stdout.write_all(&answer).and_then(|()| stdout.flush()).context("cannot write to standard output")?;
    }
    Ok(Report::done(String::new(), json!({})))
}

/// The name by which a worker knows the stage.
fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Pc1 => "pc1",
        Stage::Pc2 => "pc2",
        Stage::C2 => "c2",
        Stage::SnapEncode => "snap_encode",
        Stage::SnapProve => "snap_prove",
        Stage::WindowPost => "window_post",
        Stage::WinningPost => "winning_post",
    }
}

/// The lines of standard input. When it ends the worker is gone, and what is being computed stops.
fn lines(context: &Context) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    let cancel = context.canceller();
    thread::spawn(move || {
        let mut input = BufReader::new(io::stdin());
        loop {
            let mut line = Vec::new();
            let read = (&mut input).take(MOST_BYTES).read_until(b'\n', &mut line);
            let line = match read {
                Ok(0) => break,
                Ok(_) if line.last() != Some(&b'\n') && line.len() as u64 == MOST_BYTES => {
                    Err(io::Error::new(io::ErrorKind::InvalidData, "a line of more than 256 MiB"))
                }
                Ok(_) => Ok(line),
                Err(error) => Err(error),
            };
            let is_error = line.is_err();
            if sender.send(line).is_err() || is_error {
                return;
            }
        }
        cancel.cancel();
    });
    receiver
}

fn process(stage: Stage, context: &Context, task: &RawValue) -> anyhow::Result<Box<RawValue>> {
    match stage {
        Stage::Pc1 => pc1(context, parsed(task)?),
        Stage::Pc2 => pc2(context, parsed(task)?),
        Stage::C2 => c2(context, parsed(task)?),
        Stage::SnapEncode => snap_encode(context, &parsed(task)?),
        Stage::SnapProve => snap_prove(context, parsed(task)?),
        Stage::WindowPost => window_post(context, parsed(task)?),
        Stage::WinningPost => winning_post(context, parsed(task)?),
    }
}

fn parsed<'a, T: Deserialize<'a>>(task: &'a RawValue) -> anyhow::Result<T> {
    serde_json::from_str(task.get()).context("the task is not of this stage")
}

#[derive(Deserialize)]
struct Pc1 {
    registered_proof: String,
    cache_path: PathBuf,
    in_path: PathBuf,
    out_path: PathBuf,
    prover_id: ProverId,
    sector_id: SectorId,
    ticket: [u8; 32],
    piece_infos: Vec<PieceInfo>,
}

fn pc1(context: &Context, task: Pc1) -> anyhow::Result<Box<RawValue>> {
    let proof = SealProof::by_name(context.profile(), &task.registered_proof)?;
    let Pc1 { cache_path, in_path, out_path, prover_id, sector_id, ticket, piece_infos, .. } = task;
    let identity = SectorIdentity { prover_id, sector_id, ticket };
    let job = context.job_on_devices(Phase::Pc1, proof.config().params.size_bytes)?;
    let output =
        seal::pre_commit_phase1(&job, &proof.config(), &cache_path, &in_path, &out_path, &identity, &piece_infos)?;
    encoded(&output, &proof)
}

#[derive(Deserialize)]
struct Pc2<'a> {
    #[serde(borrow)]
    pc1out: &'a RawValue,
    cache_dir: PathBuf,
    sealed_file: PathBuf,
}

fn pc2(context: &Context, task: Pc2<'_>) -> anyhow::Result<Box<RawValue>> {
    let (proof, pc1) = decoded::<PreCommit1Output>(context, task.pc1out)?;
    let job = context.job_on_devices(Phase::Pc2, proof.config().params.size_bytes)?;
    let output = seal::pre_commit_phase2(&job, &proof.config(), &pc1, &task.cache_dir, &task.sealed_file)?;
    encoded(&output, &proof)
}

#[derive(Deserialize)]
struct C2<'a> {
    #[serde(borrow)]
    c1out: &'a RawValue,
    prover_id: ProverId,
    sector_id: SectorId,
    miner_id: u64,
}

fn c2(context: &Context, task: C2<'_>) -> anyhow::Result<Box<RawValue>> {
    let miner = task.miner_id;
    ensure!(task.prover_id == prover_id(miner), "the prover id is not that of miner f0{miner}");
    let (proof, c1) = decoded::<Commit1Output>(context, task.c1out)?;
    let identity = SectorIdentity { prover_id: task.prover_id, sector_id: task.sector_id, ticket: c1.ticket };
    let job = context.job_on_devices(Phase::C2, proof.config().params.size_bytes)?;
    let bytes = prove::commit_phase2(&job, &proof.config(), &c1, &identity)?;
    Ok(to_raw_value(&json!({ "proof": bytes }))?)
}

#[derive(Deserialize)]
struct SnapEncode {
    registered_proof: String,
    new_replica_path: PathBuf,
    new_cache_path: PathBuf,
    sector_path: PathBuf,
    sector_cache_path: PathBuf,
    staged_data_path: PathBuf,
    piece_infos: Vec<PieceInfo>,
}

fn snap_encode(context: &Context, task: &SnapEncode) -> anyhow::Result<Box<RawValue>> {
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

#[derive(Deserialize)]
struct SnapProve {
    registered_proof: String,
    /// Spelled so.
    vannilla_proofs: Vec<Vec<u8>>,
    comm_r_old: Node,
    comm_r_new: Node,
    comm_d_new: Node,
}

fn snap_prove(context: &Context, task: SnapProve) -> anyhow::Result<Box<RawValue>> {
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

#[derive(Deserialize)]
struct PoSt {
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

fn window_post(context: &Context, task: PoSt) -> anyhow::Result<Box<RawValue>> {
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

fn winning_post(context: &Context, task: PoSt) -> anyhow::Result<Box<RawValue>> {
    let (round, sectors) = task.round(context, PoStKind::Winning)?;
    let [sector] = &sectors[..] else {
        let message = format!("{} sectors, a winning proof is of one", sectors.len());
        return Err(Failure::new(Kind::Input, message).into());
    };
    let job = context.job_on_devices(Phase::PoSt, round.config().params.size_bytes)?;
    let proof = post::prove_winning(&job, &round, sector, &ReadLimits::default())?;
    Ok(to_raw_value(&json!({ "proofs": [STANDARD.encode(proof)] }))?)
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
