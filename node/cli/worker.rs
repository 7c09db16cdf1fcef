//! `filecash worker …`: the daemon that does jobs of the queue, and the process that it has for each.

pub mod attach;
mod job;
mod steps;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use filecash_engine::backend::Phase;
use filecash_engine::sector::Profile;
use filecash_node::config::{NONE, Source};
use filecash_node::jobs::{Ability, Queue, Store};
use filecash_node::size::ByteSize;
use filecash_node::worker::needs::vram_shares;
use filecash_node::worker::{self, Folder, Options, host};
use serde_json::json;

use crate::args::worker::{Attach, Folders, Places, Worker, WorkerRun};
use crate::context::Context;
use crate::measure::available_memory;
use crate::report::{Failure, Kind, Report};
use crate::show;
use crate::text::count;

/// How long a job stays with a worker that is not heard of.
const LEASE: Duration = Duration::from_secs(60);

/// Runs the verb.
pub fn run(verb: &Worker, context: &Context) -> anyhow::Result<Report> {
    match verb {
        Worker::Run(args) => serve(args, context),
        Worker::Attach(Attach::Lotus(args)) => attach::lotus(args, context),
        Worker::Job => job::run(context),
    }
}

/// Where the queue is.
pub fn store(context: &Context) -> anyhow::Result<&Store> {
    let none = || Failure::new(Kind::Settings, "there is no place for the queue").hint("--store names one");
    let store = context.settings.store.value.as_ref().ok_or_else(none)?;
    if store.is_exposed() {
        tracing::warn!(%store, "the queue's password and jobs travel unencrypted; sslmode=require encrypts them");
    }
    Ok(store)
}

/// Opens the queue.
pub fn queue(context: &Context) -> anyhow::Result<Queue> {
    Ok(Queue::open(store(context)?)?)
}

fn serve(args: &WorkerRun, context: &Context) -> anyhow::Result<Report> {
    let options = Options {
        name: args.name.clone().unwrap_or_else(host),
        folders: folders(&args.folders),
        lease: Duration::from_secs(args.lease),
        until_idle: args.until_idle,
        ..options(places(&args.places)?, context)?
    };
    let queue = queue(context)?;
    tell(&options, &queue, context);
    let (store, stop) = (store(context)?, context.canceller());
    let summary = thread::scope(|scope| {
        let shown = show::begin(scope, &args.http, store, context, &stop);
        let summary = worker::run(&queue, &options, &stop);
        // What shows the queue ends with the worker.
        stop.cancel();
        shown.map_or(Ok(()), |shown| shown.join().unwrap_or_else(|panic| resume_unwind(panic)))?;
        Ok::<_, anyhow::Error>(summary?)
    })?;
    let text =
        format!("Worker {} ends: {} done, {} failed\n", options.name, count(summary.done, "job"), summary.failed);
    Ok(Report::done(text, json!({ "worker": options.name, "done": summary.done, "failed": summary.failed })))
}

/// A worker with the settings in force, without folders.
pub fn options(places: BTreeMap<Ability, usize>, context: &Context) -> anyhow::Result<Options> {
    let devices = crate::devices::by_phase(context);
    let uses_devices =
        |ability: Ability| devices.iter().any(|(phase, names)| phases(ability).contains(phase) && !names.is_empty());
    Ok(Options {
        name: host(),
        vram: vram_shares(context.settings.max_vram.value, &places, uses_devices),
        places,
        profile: context.asked_profile(),
        memory_bytes: memory(context),
        threads: rayon::current_num_threads(),
        folders: Vec::new(),
        lease: LEASE,
        until_idle: false,
        program: program(context)?,
        state: state(context)?,
        devices: context.settings.device.value.to_string(),
    })
}

/// The phases of the jobs of an ability that devices may take part in.
fn phases(ability: Ability) -> &'static [Phase] {
    match ability {
        Ability::Pc1 => &[Phase::Pc1],
        Ability::Pc2 => &[Phase::Pc2],
        Ability::C2 => &[Phase::C2, Phase::Update],
        Ability::Window | Ability::Winning => &[Phase::PoSt],
    }
}

/// Says what a worker will do.
pub fn tell(options: &Options, queue: &Queue, context: &Context) {
    let all: Vec<String> = options.places.iter().map(|(ability, places)| format!("{places} {ability}")).collect();
    context.teller.note(&format!(
        "Worker {} takes jobs from {}: {}; {} of memory",
        options.name,
        queue.store(),
        all.join(", "),
        ByteSize(options.memory_bytes)
    ));
    if !options.vram.is_empty() {
        let all: Vec<String> =
            options.vram.iter().map(|(ability, bytes)| format!("{} for a {ability}", ByteSize(*bytes))).collect();
        context.teller.note(&format!("  of each device's memory {}", all.join(", ")));
    }
    for folder in &options.folders {
        let use_of_it = if folder.seals { "seals in" } else { "stores in" };
        context.teller.note(&format!("  {use_of_it} {}", folder.path.display()));
    }
}

/// What was asked for, else three quarters of what is free now.
pub fn memory(context: &Context) -> u64 {
    let setting = &context.settings.memory_bytes;
    match (&setting.source, available_memory()) {
        (Source::Default, Some(free)) => (free / 4 * 3).max(setting.value),
        _ => setting.value,
    }
}

/// What was asked for, else something of everything: PC1 keeps a core busy, the others all of them for part of the time.
pub fn places(args: &Places) -> anyhow::Result<BTreeMap<Ability, usize>> {
    let is_asked = args.pc1.is_some() || args.pc2.is_some() || args.c2.is_some() || args.post;
    let all = [(rayon::current_num_threads() / 2).max(1), 1, 1, 1];
    let asked = [args.pc1, args.pc2, args.c2, args.post.then_some(1)].map(|places| places.unwrap_or(0));
    let [pc1, pc2, c2, post] = if is_asked { asked } else { all };
    let all = [
        (Ability::Pc1, pc1),
        (Ability::Pc2, pc2),
        (Ability::C2, c2),
        (Ability::Window, post),
        (Ability::Winning, post),
    ];
    let places: BTreeMap<_, _> = all.into_iter().filter(|(_, places)| *places > 0).collect();
    if places.is_empty() {
        let message = "a worker without a place for any job";
        let hint = "give --pc1, --pc2, --c2 or --post, or none of them";
        return Err(Failure::new(Kind::Usage, message).hint(hint).into());
    }
    Ok(places)
}

/// Those of a worker behind a door: proofs of all kinds.
pub fn places_for_proofs(c2: usize) -> BTreeMap<Ability, usize> {
    [(Ability::C2, c2), (Ability::Window, 1), (Ability::Winning, 1)].into()
}

pub fn folders(args: &Folders) -> Vec<Folder> {
    let folder =
        |path: &PathBuf, seals| Folder { path: path.clone(), seals, stores: !seals, reserve_bytes: args.reserve.0 };
    let sealing = args.sealing.iter().map(|path| folder(path, true));
    sealing.chain(args.storing.iter().map(|path| folder(path, false))).collect()
}

/// This program as a process for one job, with the settings that are in force.
fn program(context: &Context) -> anyhow::Result<(PathBuf, Vec<OsString>)> {
    let settings = &context.settings;
    let mut arguments: Vec<OsString> = ["worker", "job", "--quiet"].map(Into::into).into();
    let mut flag = |name: &str, value: OsString| arguments.extend([name.into(), value]);
    flag("--log-level", "warn".into());
    flag("--threads", settings.threads.value.to_string().into());
    flag("--device", settings.device.value.to_string().into());
    flag("--rows-to-discard", settings.rows_to_discard.value.to_string().into());
    flag("--parameter-cache", settings.parameter_cache.value.clone().into());
    flag("--parent-cache", settings.parent_cache.value.clone().into());
    flag("--scratch", settings.scratch.value.clone().into());
    flag("--pipeline-cache", settings.pipeline_cache.value.clone().unwrap_or_else(|| NONE.into()).into());
    if context.requires_gpu() {
        arguments.push("--require-gpu".into());
    }
    Ok((env::current_exe().context("cannot find this program's own file")?, arguments))
}

/// A folder for what a worker has to remember: beside the queue's file, else that of this user.
fn state(context: &Context) -> anyhow::Result<PathBuf> {
    if let Store::File(path) = store(context)? {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        return Ok(folder.map_or_else(|| PathBuf::from("."), PathBuf::from));
    }
    let folder = filecash_node::config::state_folder(&|name: &str| env::var_os(name));
    let none = || Failure::new(Kind::Settings, "there is no folder for a worker's state").hint("set HOME");
    Ok(folder.ok_or_else(none)?)
}

/// A network that a name in the queue belongs to: the one that was asked for, else the only one that knows it.
pub fn profiles(context: &Context) -> Vec<Profile> {
    context.asked_profile().map_or_else(|| vec![Profile::Filecoin, Profile::Filecash], |profile| vec![profile])
}
