//! What a miner calls on us.
//!
//! Source: `spec/attach.md` B.6, B.9, B.13, C.3.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use filecash_engine::sector::id::prover_id;
use filecash_engine::sector::{Profile, SealProof};
use filecash_engine::update::UpdateProof;
use rand_core::{OsRng, RngCore};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::resources::Task;
use super::{Inner, Options};
use crate::hex32::Hex32;
use crate::jobs::{Asked, Kind, NewJob, Priority, StoreError};
use crate::lotus::rpc::{Fault, parameter};
use crate::lotus::types::{Bytes, CallId, Link, SectorId, SectorRef, prefix};
use crate::worker::task::{SealTask, UpdateTask};

/// Between two looks whether nothing is left to do.
const LOOK: Duration = Duration::from_millis(500);
/// How long a call waits for a queue that does not answer: an error would cost the miner's sector a failure.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two tries.
const AGAIN: Duration = Duration::from_secs(1);

/// The methods of every miner, with the number of parameters that they have at most.
const METHODS: [(&str, usize); 17] = [
    ("Version", 0),
    ("Session", 0),
    ("ProcessSession", 0),
    ("Info", 0),
    ("TaskTypes", 0),
    ("Paths", 0),
    ("Enabled", 0),
    ("SetEnabled", 1),
    ("TaskEnable", 1),
    ("TaskDisable", 1),
    ("WaitQuiet", 0),
    ("Shutdown", 0),
    ("StorageLocal", 0),
    ("Remove", 1),
    ("SealCommit2", 3),
    ("ProveReplicaUpdate2", 5),
    ("Discover", 0),
];

/// Those of Filecash's miners besides.
const OF_THE_FORK: [(&str, usize); 9] = [
    ("AllowableRange", 1),
    ("AddStore", 2),
    ("DeleteStore", 2),
    ("GetWorkerGroup", 0),
    ("HasRemoteC2", 0),
    ("GetWorkerInfo", 0),
    ("SetWorkerParams", 2),
    ("AddAutoTaskLimit", 1),
    ("AutoTaskLimit", 0),
];

/// Calls a method for a miner that may do everything.
pub fn call(inner: &Inner, name: &str, params: &[&RawValue]) -> Result<Value, Fault> {
    let of_the_fork: &[_] = if inner.options.profile == Profile::Filecash { &OF_THE_FORK } else { &[] };
    let Some((_, most)) = METHODS.iter().chain(of_the_fork).find(|(known, _)| *known == name) else {
        return Err(Fault::NoMethod(name.to_owned()));
    };
    if params.len() > *most {
        return Err(Fault::Params(format!("{} parameters, at most {most}", params.len())));
    }
    match name {
        "Version" => Ok(json!(inner.worker_api().0)),
        "Session" => session(inner),
        "ProcessSession" => Ok(json!(inner.session)),
        "Info" => Ok(info(inner)),
        "TaskTypes" => {
            let tasks = inner.tasks().iter().map(|task| (task.name().to_owned(), json!({}))).collect();
            Ok(Value::Object(tasks))
        }
        // Nothing of a sector is here.
        "Paths" => Ok(json!([])),
        "StorageLocal" => Ok(json!({})),
        "Remove" => parameter::<SectorId>(params, 0).map(|_| Value::Null),
        "Enabled" => Ok(json!(inner.is_enabled.load(Ordering::Relaxed))),
        "SetEnabled" => {
            let is_enabled: bool = parameter(params, 0)?;
            inner.is_enabled.store(is_enabled, Ordering::Relaxed);
            tracing::info!(is_enabled, "set by the miner's operator");
            Ok(Value::Null)
        }
        "TaskEnable" | "TaskDisable" => {
            let task: String = parameter(params, 0)?;
            inner.allow(task_of(inner, &task)?, name == "TaskEnable");
            Ok(Value::Null)
        }
        "WaitQuiet" => {
            while !queued(inner)?.is_empty() && !inner.closes() {
                thread::sleep(LOOK);
            }
            Ok(Value::Null)
        }
        "Shutdown" => {
            tracing::info!("the miner's operator ends this worker");
            inner.shutdown();
            Ok(Value::Null)
        }
        "SealCommit2" => take(inner, &commit2(inner, params)?),
        "ProveReplicaUpdate2" => take(inner, &update2(inner, params)?),
        "Discover" => Ok(discover(of_the_fork)),
        _ => fork(inner, name, params),
    }
}

fn fork(inner: &Inner, name: &str, params: &[&RawValue]) -> Result<Value, Fault> {
    let text = |place| parameter::<String>(params, place);
    match name {
        "AllowableRange" => {
            let task = text(0)?;
            let queued = queued(inner)?;
            let is_offered = inner.tasks().iter().any(|offered| offered.name() == task);
            Ok(json!(is_offered && inner.fork().allows(&task, &queued)))
        }
        "AddStore" => inner.fork().announce(parameter(params, 0)?, &text(1)?).map(|()| Value::Null),
        "DeleteStore" => inner.fork().take_back(parameter(params, 0)?, &text(1)?).map(|()| Value::Null),
        "GetWorkerGroup" => Ok(json!(inner.fork().group())),
        // What is for a remote prover is proven here.
        "HasRemoteC2" => Ok(json!(true)),
        "GetWorkerInfo" => {
            let queued = queued(inner)?;
            Ok(inner.fork().info(&queued))
        }
        "SetWorkerParams" => inner.fork().set(&text(0)?, &text(1)?).map(|()| Value::Null),
        "AddAutoTaskLimit" => inner.fork().limit(&parameter::<Map<_, _>>(params, 0)?).map(|()| Value::Null),
        "AutoTaskLimit" => {
            let queued = queued(inner)?;
            Ok(inner.fork().pledging(&queued))
        }
        _ => Err(Fault::NoMethod(name.to_owned())),
    }
}

/// Who we are: nobody, once we end.
fn session(inner: &Inner) -> Result<Value, Fault> {
    if inner.closes() {
        inner.is_told.store(true, Ordering::Relaxed);
        return Ok(json!(Uuid::nil()));
    }
    match inner.is_enabled.load(Ordering::Relaxed) {
        true => Ok(json!(inner.session)),
        false => Err(Fault::Refused("worker disabled".to_owned())),
    }
}

/// What we are and have. Filecash's miners have a table of their own.
fn info(inner: &Inner) -> Value {
    let Options { host, memory_bytes, threads, devices, table, profile, .. } = &inner.options;
    let used = inner.reserved_bytes();
    match profile {
        Profile::Filecoin => json!({
            "Hostname": host, "IgnoreResources": false,
            "Resources": {
                "MemPhysical": memory_bytes, "MemUsed": used, "MemSwap": 0, "MemSwapUsed": 0,
                "CPUs": threads, "GPUs": devices, "Resources": table,
            },
        }),
        Profile::Filecash => json!({
            "Hostname": host, "Group": inner.fork().group(),
            "Resources": {
                "MemPhysical": memory_bytes, "MemSwap": 0, "MemReserved": used, "CPUs": threads, "GPUs": devices,
            },
        }),
    }
}

fn task_of(inner: &Inner, name: &str) -> Result<Task, Fault> {
    let found = Task::all(inner.options.profile).iter().find(|task| task.name() == name);
    found.copied().ok_or_else(|| Fault::Refused(format!("this worker does not do {name:?}")))
}

/// Sectors whose results the miner does not have yet.
fn queued(inner: &Inner) -> Result<BTreeSet<SectorId>, Fault> {
    let Some(miner) = inner.miner_id() else { return Ok(BTreeSet::new()) };
    let requests = inner.looks.untold(&prefix(inner.options.profile, miner)).map_err(gone)?;
    Ok(requests.iter().filter_map(|request| CallId::of_request(request)).map(|call| call.sector).collect())
}

fn gone(error: StoreError) -> Fault {
    Fault::Refused(format!("the queue does not answer: {error}"))
}

/// What a call asks for.
struct Wanted {
    sector: SectorId,
    kind: Kind,
    proof: &'static str,
    task: String,
    input: Vec<u8>,
}

fn refused(error: impl std::fmt::Display) -> Fault {
    Fault::Refused(format!("bad-input: {error}"))
}

/// `SealCommit2(sector, output of C1)`; whether a remote prover may do it is the same to us.
fn commit2(inner: &Inner, params: &[&RawValue]) -> Result<Wanted, Fault> {
    let sector: SectorRef = parameter(params, 0)?;
    let Bytes(input) = parameter(params, 1)?;
    let proof = seal_proof(inner, &sector)?;
    let SectorId { miner, number } = sector.id;
    let task = SealTask { prover_id: Hex32(prover_id(miner)), sector: number };
    let task = serde_json::to_string(&task).map_err(refused)?;
    Ok(Wanted { sector: sector.id, kind: Kind::C2, proof: proof.name, task, input })
}

/// `ProveReplicaUpdate2(sector, CommR before, CommR and CommD after, vanilla proofs)`.
fn update2(inner: &Inner, params: &[&RawValue]) -> Result<Wanted, Fault> {
    let sector: SectorRef = parameter(params, 0)?;
    let [before, after, data] = [1, 2, 3].map(|place| parameter::<Link>(params, place));
    let proofs: Option<Vec<Bytes>> = parameter(params, 4)?;
    let proofs = proofs.unwrap_or_default();
    let size_bytes = seal_proof(inner, &sector)?.config().params.size_bytes;
    let proof = UpdateProof::for_size(inner.options.profile, size_bytes).map_err(refused)?;
    let task = UpdateTask {
        comm_r_old: before?.replica().map_err(refused)?,
        comm_r_new: after?.replica().map_err(refused)?,
        comm_d_new: data?.data().map_err(refused)?,
        lengths: proofs.iter().map(|proof| proof.0.len()).collect(),
    };
    let input = proofs.into_iter().flat_map(|proof| proof.0).collect();
    let task = serde_json::to_string(&task).map_err(refused)?;
    Ok(Wanted { sector: sector.id, kind: Kind::Update, proof: proof.name, task, input })
}

/// The proof of a sector, if it is one of this miner's: the other network's numbers mean other sizes.
fn seal_proof(inner: &Inner, sector: &SectorRef) -> Result<SealProof, Fault> {
    let identity = inner.identity().ok_or_else(|| Fault::Refused("not attached yet".to_owned()))?;
    if sector.id.miner != identity.actor {
        return Err(refused(format!("sector of f0{}, attached to f0{}", sector.id.miner, identity.actor)));
    }
    let proof = SealProof::by_id(inner.options.profile, sector.proof_type).map_err(refused)?;
    let size_bytes = proof.config().params.size_bytes;
    if size_bytes != identity.sector_bytes {
        let profile = inner.options.profile;
        return Err(refused(format!(
            "proof {} is of sectors of {size_bytes} bytes on {profile}, the miner's have {}",
            sector.proof_type, identity.sector_bytes
        )));
    }
    Ok(proof)
}

/// Queues a call; its name is in the database before the miner has it.
fn take(inner: &Inner, wanted: &Wanted) -> Result<Value, Fault> {
    let Wanted { sector, kind, proof, task, input } = wanted;
    if input.is_empty() {
        return Err(refused("there is no vanilla proof"));
    }
    let profile = inner.options.profile;
    let mut state = blake2b_simd::Params::new().hash_length(16).to_state();
    for part in [profile.name(), kind.name(), proof, task] {
        state.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    let digest = hex::encode(state.update(input).finalize().as_bytes());
    let mut random = [0; 16];
    OsRng.fill_bytes(&mut random);
    let call = CallId::new(*sector, random);
    let request = call.request(profile);
    let job = NewJob {
        profile,
        kind: *kind,
        sector: None,
        proof: (*proof).to_owned(),
        priority: Priority::Normal,
        deadline: None,
        storage: None,
        after: None,
        hold: None,
        request: Some(request.clone()),
        digest: Some(digest.clone()),
        task: task.clone(),
        input: Some(input.clone()),
    };
    // Who asks for the same again has lost what he was told the first time.
    let queued = || match inner.queue.rename(&prefix(profile, sector.miner), &digest, &request)? {
        Some(id) => Ok((id, true)),
        None => inner.queue.ask(&job).map(|asked| match asked {
            Asked::Queued(id) | Asked::Known(id) | Asked::Other(id) => (id, false),
        }),
    };
    let began = Instant::now();
    let (id, again) = loop {
        match queued() {
            Ok(queued) => break queued,
            Err(error) if began.elapsed() < PATIENCE && !inner.closes() => {
                tracing::warn!(sector = sector.number, "a call waits for the queue: {error}");
                thread::sleep(AGAIN);
            }
            Err(error) => return Err(gone(error)),
        }
    };
    tracing::info!(job = id, kind = %kind, sector = sector.number, again, "taken from the miner");
    Ok(json!(call))
}

/// The methods, as a document.
fn discover(of_the_fork: &[(&str, usize)]) -> Value {
    let methods = METHODS.iter().chain(of_the_fork).map(|(name, parameters)| {
        let parameters: Vec<Value> =
            (0..*parameters).map(|place| json!({ "name": format!("p{place}"), "schema": {} })).collect();
        json!({
            "name": format!("Filecoin.{name}"), "paramStructure": "by-position", "params": parameters,
            "result": { "name": "result", "schema": {} },
        })
    });
    let info = json!({ "title": "filecash worker", "version": env!("CARGO_PKG_VERSION") });
    json!({ "openrpc": "1.2.6", "info": info, "methods": methods.collect::<Vec<_>>() })
}
