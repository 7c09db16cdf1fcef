//! `filecash worker attach lotus`: a worker whose work comes from a miner.

use std::env;
use std::path::PathBuf;

use filecash_node::lotus::worker::resources::{Basis, table};
use filecash_node::lotus::worker::{Options, attach};
use filecash_node::lotus::{AddressError, MinerApi};
use filecash_node::worker;

use super::memory;
use crate::args::worker::{AttachLotus, MinerOf, NodeOf};
use crate::context::Context;
use crate::report::{Failure, Kind, Report};
use crate::serve::{behind, with_worker, worker_name};

/// What the worker behind it is called.
const DOOR: &str = "lotus";
/// Variables that name the miner, the older one last.
const MINER_API: [&str; 2] = ["MINER_API_INFO", "STORAGE_API_INFO"];
/// The variable that names a full node.
const NODE_API: &str = "FULLNODE_API_INFO";
/// A miner's folder, in that of its user.
const MINER_FOLDER: &str = ".lotusminer";

/// Runs the verb.
pub fn lotus(args: &AttachLotus, context: &Context) -> anyhow::Result<Report> {
    let devices: Vec<String> = crate::devices::names(context).into_iter().map(|(name, _)| name).collect();
    let (memory_bytes, threads) = (memory(context), rayon::current_num_threads());
    let profile = context.profile();
    let environment = |name: &str| env::var_os(name);
    let basis = Basis {
        profile,
        memory_bytes,
        threads,
        // Workers elsewhere are not known in advance.
        places: if args.door.no_worker { 0 } else { args.door.c2.into() },
        has_devices: !devices.is_empty(),
        environment: &environment,
    };
    let table = table(&basis).map_err(|error| Failure::new(Kind::Settings, error.to_string()))?;
    let options = Options {
        miner: miner_of(&args.miner)?,
        listen: args.listen,
        announce: args.announce.clone(),
        profile,
        host: worker::host(),
        group: args.group.clone(),
        worker_api: args.worker_api,
        memory_bytes: args.announce_memory.map_or(memory_bytes, |memory| memory.0),
        threads,
        devices,
        table,
        worker: (!args.door.no_worker).then(|| worker_name(DOOR)),
    };
    let (note, miner) = (&context.teller, &options.miner);
    let ready = || note.note(&format!("Listening on {} for {miner}, profile {profile}", options.listen));
    let worker = behind(DOOR, &args.door, context)?;
    with_worker(worker, &args.door.http, context, |store, stop| Ok(attach(store, &options, stop, ready)?))
}

/// The miner that was named, in the order in which names count.
pub fn miner_of(args: &MinerOf) -> anyhow::Result<MinerApi> {
    let bad = |error: AddressError| Failure::new(Kind::Usage, error.to_string());
    if let Some(text) = &args.miner_api {
        return Ok(text.parse().map_err(bad)?);
    }
    if let Some(folder) = &args.miner_repo {
        return Ok(MinerApi::of_folder(folder)?);
    }
    let variable = MINER_API.iter().find_map(|name| env::var(name).ok().filter(|text| !text.is_empty()));
    if let Some(text) = variable {
        return Ok(text.parse().map_err(bad)?);
    }
    let folder = env::var_os("HOME").map(|home| PathBuf::from(home).join(MINER_FOLDER));
    if let Some(folder) = folder.filter(|folder| folder.exists()) {
        return Ok(MinerApi::of_folder(&folder)?);
    }
    let hint = "give --miner-api, or MINER_API_INFO as the miner's `auth api-info --perm admin` prints it";
    Err(Failure::new(Kind::Usage, "no miner to attach to").hint(hint).into())
}

/// The full node that was named, if one was.
pub fn node_of(args: &NodeOf) -> anyhow::Result<Option<MinerApi>> {
    let text = args.node_api.clone().or_else(|| env::var(NODE_API).ok()).filter(|text| !text.is_empty());
    let node = text.map(|text| MinerApi::of_node(&text)).transpose();
    Ok(node.map_err(|error| Failure::new(Kind::Usage, error.to_string()))?)
}
