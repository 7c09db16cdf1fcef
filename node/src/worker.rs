//! The worker: takes jobs from the queue that it has places, memory and disk for, and has a process of its own do each.
//!
//! A job's process is this program again. What it takes is its own: memory is back when it ends, a driver that crashes takes
//! nothing else along, and the system shares processor time by urgency (nice values), so that a winning proof is as fast beside
//! PC2 and C2 as nearly alone. Processes know nothing of the queue; they are told what to do and tell how far they are ([`wire`]).
//! One whose worker is gone ends at once.

pub mod needs;
mod process;
pub mod storage;
pub mod task;
pub mod wire;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use filecash_engine::job::Cancel;
use filecash_engine::sector::Profile;
use filecash_engine::store::lock::FileLock;
use rand_core::{OsRng, RngCore};

use self::process::{Process, Start};
use self::storage::Storage;
use self::task::SectorTask;
use crate::jobs::choose::{self, Needs};
use crate::jobs::view::Workers;
use crate::jobs::{Ability, Job, JobId, Kind, Lease, Outcome, PAGE, Queue, QueueError, State, StoreError};
use crate::size::ByteSize;

/// Between two looks at the queue and at the processes.
const TICK: Duration = Duration::from_millis(100);
/// Between two notes of how far jobs are.
const NOTE: Duration = Duration::from_secs(1);
/// How long a process may take to its next safe point before it is killed.
const GRACE: Duration = Duration::from_secs(60);
/// How long no job is begun after one could not be.
const PAUSE: Duration = Duration::from_secs(30);
/// How often a job is tried whose failure may be the moment's.
const ATTEMPTS: i64 = 4;
/// Memory that is kept for a winning proof: more than one of any size asks for.
const FOR_WINNING: u64 = 64 << 20;

/// What a worker is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name, which no other has.
    pub name: String,
    /// Jobs of each sort at a time.
    pub places: BTreeMap<Ability, usize>,
    /// The network, where it serves only one.
    pub profile: Option<Profile>,
    /// Memory for all of its jobs.
    pub memory_bytes: u64,
    /// Of each device's memory what a job of an ability may have, where it uses devices ([`needs::vram_shares`]).
    pub vram: BTreeMap<Ability, u64>,
    /// Threads of a process.
    pub threads: usize,
    /// Where sectors are.
    pub folders: Vec<Folder>,
    /// How long a job stays with a worker that is not heard of.
    pub lease: Duration,
    /// Whether it ends when there is nothing left to do.
    pub until_idle: bool,
    /// What does a job: a program and its arguments, to which the memory and that of devices are added.
    pub program: (PathBuf, Vec<OsString>),
    /// Folder for its lock.
    pub state: PathBuf,
    /// Its devices, to be told.
    pub devices: String,
}

/// A folder for sectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Where.
    pub path: PathBuf,
    /// Whether sectors are sealed here.
    pub seals: bool,
    /// Whether proven sectors stay here.
    pub stores: bool,
    /// Bytes that are to stay free on its disk.
    pub reserve_bytes: u64,
}

/// Why a worker did not begin, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum WorkerError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Storage(#[from] storage::StorageError),
    #[error("cannot use {}", path.display())]
    State { path: PathBuf, source: io::Error },
    #[error("a worker named {name} runs here already")]
    Runs { name: String },
    #[error("{} and {} are the same storage", first.display(), second.display())]
    SameStorage { first: PathBuf, second: PathBuf },
}

impl From<StoreError> for WorkerError {
    fn from(error: StoreError) -> Self {
        Self::Queue(error.into())
    }
}

/// What a worker did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Jobs that it finished.
    pub done: u64,
    /// Jobs that failed for good.
    pub failed: u64,
}

/// A job that is being done.
struct Active {
    job: Job,
    lease: Lease,
    process: Process,
    memory_bytes: u64,
    noted: Instant,
    /// When the lease was last renewed.
    renewed: Instant,
    /// Why it was asked to stop, and when.
    stopped: Option<(Stopped, Instant)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    /// The worker ends.
    Worker,
    /// Somebody cancelled the job.
    Cancelled,
    /// Another has it.
    Lost,
}

/// A storage and what goes with it.
struct Place {
    storage: Storage,
    folder: Folder,
    /// Of its disk, which others may be on too.
    disk: Option<u64>,
}

struct Worker<'a> {
    queue: &'a Queue,
    options: &'a Options,
    instance: String,
    places: Vec<Place>,
    active: Vec<Active>,
    /// What other workers do in our storages, when we last looked.
    elsewhere: Vec<Job>,
    /// Outcomes that the database did not take yet.
    untold: Vec<(Lease, Outcome)>,
    summary: Summary,
    /// Whom others may not overtake, when we last looked.
    holds_for: Option<JobId>,
    needs: RefCell<HashMap<(Profile, Kind, String, u64), Needs>>,
    stops: bool,
    /// No job is begun before, where none could be.
    pause_until: Option<Instant>,
}

/// Does jobs until `stop` is thrown, or until there are none left where the options say so.
///
/// # Errors
/// [`WorkerError`] when it cannot begin. A database that is gone for a while is waited for.
pub fn run(queue: &Queue, options: &Options, stop: &Cancel) -> Result<Summary, WorkerError> {
    let at_state = |source| WorkerError::State { path: options.state.clone(), source };
    fs::create_dir_all(&options.state).map_err(at_state)?;
    let lock = options.state.join(format!("worker-{}.lock", file_name(&options.name)));
    let Some(_lock) = FileLock::acquire(&lock).map_err(at_state)? else {
        return Err(WorkerError::Runs { name: options.name.clone() });
    };
    let mut places: Vec<Place> = Vec::new();
    for folder in &options.folders {
        let storage = Storage::open_or_make(&folder.path)?;
        if let Some(other) = places.iter().find(|other| other.storage.id == storage.id) {
            let (first, second) = (other.storage.path.clone(), storage.path);
            return Err(WorkerError::SameStorage { first, second });
        }
        let disk = storage::disk_of(&storage.path);
        places.push(Place { storage, folder: folder.clone(), disk });
    }
    let mut worker = Worker {
        queue,
        options,
        instance: instance(options, &lock).map_err(at_state)?,
        places,
        active: Vec::new(),
        elsewhere: Vec::new(),
        untold: Vec::new(),
        summary: Summary::default(),
        holds_for: None,
        needs: RefCell::default(),
        stops: false,
        pause_until: None,
    };
    worker.run(stop)
}

/// Names this worker's home, so that one of the same name elsewhere is noticed while a new process here takes over.
fn instance(options: &Options, lock: &std::path::Path) -> io::Result<String> {
    let path = lock.with_extension("id");
    match fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut random = [0; 8];
    OsRng.fill_bytes(&mut random);
    let id = format!("{}-{}", file_name(&options.name), hex::encode(random));
    filecash_engine::store::atomic::write(&path, id.as_bytes()).map_err(io::Error::other)?;
    Ok(id)
}

fn file_name(name: &str) -> String {
    name.chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '_' })
        .collect()
}

impl Worker<'_> {
    fn run(&mut self, stop: &Cancel) -> Result<Summary, WorkerError> {
        let Options { name, lease, .. } = self.options;
        self.queue.hello(name, &self.instance, &self.about(), *lease)?;
        let left = self.queue.reclaim(Some(name))?;
        if !left.is_empty() {
            tracing::info!(jobs = ?left, "going on with what was left when this worker was stopped");
        }
        let beat = *lease / 4;
        let mut beaten = Instant::now();
        // Whether the database is gone, to tell it once.
        let mut is_gone = false;
        loop {
            if stop.is_cancelled() && !self.stops {
                self.stops = true;
                tracing::info!(jobs = self.active.len(), "stopping; what is finished of running jobs is kept");
                self.stop_all();
            }
            let outcome = self.look(&mut beaten, beat);
            match outcome {
                Ok(is_idle) => {
                    if is_gone {
                        tracing::info!("the queue is back");
                    }
                    is_gone = false;
                    let is_over = self.stops || (self.options.until_idle && is_idle);
                    if is_over && self.active.is_empty() && self.untold.is_empty() {
                        break;
                    }
                }
                Err(error) => {
                    if !is_gone {
                        tracing::warn!(error = %causes(&error), "the queue does not answer");
                    }
                    is_gone = true;
                    if self.stops && self.active.is_empty() {
                        // What could not be told is done again by others.
                        break;
                    }
                }
            }
            thread::sleep(TICK);
        }
        if let Err(error) = self.queue.bye(name, &self.instance) {
            tracing::warn!(error = %causes(&error), "cannot say goodbye");
        }
        Ok(self.summary)
    }

    /// One round; returns whether there is nothing to do for anybody.
    fn look(&mut self, beaten: &mut Instant, beat: Duration) -> Result<bool, StoreError> {
        self.reap();
        self.tell()?;
        self.renew()?;
        if beaten.elapsed() >= beat {
            *beaten = Instant::now();
            match self.queue.hello(&self.options.name, &self.instance, &self.about(), self.options.lease) {
                Ok(()) => {}
                Err(QueueError::Store(error)) => return Err(error),
                // Who took the name while we were away; leases say whose jobs are whose.
                Err(error) => tracing::warn!(%error, "not noted"),
            }
            let reclaimed = self.queue.reclaim(None)?;
            if !reclaimed.is_empty() {
                tracing::warn!(jobs = ?reclaimed, "queued again: their workers are not heard of any more");
            }
        }
        let mut is_idle = true;
        if !self.stops && self.pause_until.is_none_or(|until| until <= Instant::now()) {
            while let Some(begun) = self.begin_one()? {
                is_idle &= !begun;
            }
        }
        if self.options.until_idle && is_idle && self.active.is_empty() {
            return self.is_idle();
        }
        Ok(false)
    }

    /// Whether nothing is left that somebody who lives could do, so that nothing more can come to us. What waits for people is left.
    fn is_idle(&self) -> Result<bool, StoreError> {
        let living = Workers::living(self.queue)?;
        let ours = self.state();
        let all: Vec<choose::Worker> = living
            .iter()
            .filter(|(name, _)| *name != self.options.name)
            .map(|(_, worker)| worker)
            .chain([&ours])
            .map(|worker| choose::Worker { taken: BTreeMap::new(), reserved_bytes: 0, ..worker.clone() })
            .collect();
        let goes_on = |job: &Job| match job.state {
            State::Running => true,
            _ if job.hold.is_some() || job.after_state.is_some_and(|before| before != State::Done) => false,
            _ => all.iter().any(|worker| worker.refusal(job, &self.needs_here(job)).is_none()),
        };
        Ok(!self.queue.jobs(0)?.iter().any(goes_on))
    }

    /// What others may know of us.
    fn about(&self) -> String {
        serde_json::to_string(&self.state()).unwrap_or_default()
    }

    fn state(&self) -> choose::Worker {
        let mut taken: BTreeMap<Ability, usize> = BTreeMap::new();
        for active in &self.active {
            *taken.entry(active.job.kind.ability()).or_default() += 1;
        }
        let storages = self.places.iter().map(|place| {
            let Place { storage, folder, .. } = place;
            let free = storage::free_bytes(&storage.path).unwrap_or(u64::MAX);
            let promised = self.promised_bytes(place);
            let state = choose::Storage {
                path: storage.path.display().to_string(),
                seals: folder.seals,
                stores: folder.stores,
                free_bytes: free.saturating_sub(promised).saturating_sub(folder.reserve_bytes),
            };
            (storage.id.clone(), state)
        });
        choose::Worker {
            host: host(),
            process: std::process::id(),
            profile: self.options.profile,
            places: self.options.places.clone(),
            storages: storages.collect(),
            memory_bytes: self.options.memory_bytes,
            reserved_bytes: self.active.iter().map(|active| active.memory_bytes).sum(),
            kept_bytes: self.kept_bytes(&taken),
            vram: self.options.vram.clone(),
            taken,
            holds_for: self.holds_for,
            stops: self.stops,
            devices: self.options.devices.clone(),
        }
    }

    /// What running jobs will yet write to the disk of a place. What they have written is not free any more.
    fn promised_bytes(&self, place: &Place) -> u64 {
        let is_on_it =
            |other: &&Place| other.storage.id == place.storage.id || (place.disk.is_some() && other.disk == place.disk);
        let on_it: Vec<&str> = self.places.iter().filter(is_on_it).map(|other| other.storage.id.as_str()).collect();
        let running = self.active.iter().map(|active| &active.job).chain(&self.elsewhere);
        running
            .filter(|job| job.storage.as_deref().is_some_and(|storage| on_it.contains(&storage)))
            .map(|job| self.missing_bytes(job, self.needs(job).disk_bytes))
            .sum()
    }

    /// Memory that only a winning proof may take.
    fn kept_bytes(&self, taken: &BTreeMap<Ability, usize>) -> u64 {
        let of = |map: &BTreeMap<Ability, usize>| map.get(&Ability::Winning).copied().unwrap_or(0);
        let open = of(&self.options.places).saturating_sub(of(taken));
        (FOR_WINNING * open as u64).min(self.options.memory_bytes / 4)
    }

    /// What a job may have at most: half of the memory, so that others run beside it.
    fn offered_bytes(&self) -> u64 {
        let places: usize = self.options.places.values().sum();
        if places > 1 { self.options.memory_bytes / 2 } else { self.options.memory_bytes }
    }

    fn needs(&self, job: &Job) -> Needs {
        let offered = self.offered_bytes();
        let key = (job.profile, job.kind, job.proof.clone(), offered);
        *self.needs.borrow_mut().entry(key).or_insert_with(|| needs::needs(job, offered, self.options.threads))
    }

    /// What a job needs, less what is in its folder already, where disk is scarce.
    fn needs_here(&self, job: &Job) -> Needs {
        let needs = self.needs(job);
        let place = self.places.iter().find(|place| job.storage.as_ref() == Some(&place.storage.id));
        let is_scarce = place.is_some_and(|place| {
            let free = storage::free_bytes(&place.storage.path).unwrap_or(u64::MAX);
            free.saturating_sub(place.folder.reserve_bytes) / 2 < needs.disk_bytes
        });
        match is_scarce {
            true => Needs { disk_bytes: self.missing_bytes(job, needs.disk_bytes), ..needs },
            false => needs,
        }
    }

    /// Of so many bytes that a job writes those that an earlier attempt has not.
    fn missing_bytes(&self, job: &Job, bytes: u64) -> u64 {
        let place = self.places.iter().find(|place| job.storage.as_ref() == Some(&place.storage.id));
        let task = serde_json::from_str::<SectorTask>(&job.task).ok();
        let folder = place.zip(task).map(|(place, task)| place.storage.path.join(task.folder));
        bytes.saturating_sub(folder.map_or(0, |folder| storage::written_bytes(&folder, job.kind)))
    }

    /// Begins the job that is to be next; `None` when there is none for us now, `false` when another was faster.
    fn begin_one(&mut self) -> Result<Option<bool>, StoreError> {
        let ours: Vec<&str> = self.places.iter().map(|place| place.storage.id.as_str()).collect();
        self.elsewhere = self.queue.running_elsewhere(&ours, &self.options.name)?;
        let mut state = choose::Worker { holds_for: None, ..self.state() };
        let kinds = state.open_kinds();
        let mut chosen = None;
        for page in 0.. {
            let candidates = self.queue.candidates(&kinds, &ours, self.options.profile, page)?;
            chosen = state.choose(&candidates, |job| self.needs_here(job)).cloned();
            if chosen.is_some() || candidates.len() < PAGE {
                break;
            }
        }
        self.holds_for = state.holds_for;
        let Some(job) = &chosen else { return Ok(None) };
        let Some(lease) = self.queue.take(job.id, &self.options.name, self.options.lease)? else {
            return Ok(Some(false));
        };
        let needs = self.needs(job);
        let free = state.free_bytes(job.kind);
        let memory_bytes = needs.useful_memory_bytes.min(free).max(needs.least_memory_bytes);
        let reads = || Ok((self.queue.input(job)?, self.queue.checkpoint(job.id)?.unwrap_or_default()));
        let (input, kept) = match reads() {
            Ok(reads) => reads,
            Err(error) => {
                self.untold.push((lease, Outcome::HandedBack));
                return Err(error);
            }
        };
        let storage_of = |id: &String| self.places.iter().find(|place| place.storage.id == *id);
        let storage = job.storage.as_ref().and_then(storage_of);
        let start = Start {
            program: &self.options.program,
            memory_bytes,
            vram_bytes: self.options.vram.get(&job.kind.ability()).copied(),
            assignment: wire::Assignment {
                profile: job.profile,
                kind: job.kind,
                proof: job.proof.clone(),
                task: job.task.clone(),
                storage: storage.map(|place| place.storage.path.clone()),
                keep_in: storage.and_then(|from| self.keep_in(from)),
                stores: self.stores().map(|place| place.storage.path.clone()).collect(),
                niceness: niceness(job.kind),
                bytes: [0; 2],
            },
            input,
            kept,
            id: job.id,
        };
        match Process::start(start) {
            Ok(process) => {
                tracing::info!(job = job.id, kind = %job.kind, sector = job.sector, memory = %ByteSize(memory_bytes), "begun");
                let noted = Instant::now();
                let job = job.clone();
                let (renewed, stopped) = (noted, None);
                self.active.push(Active { job, lease, process, memory_bytes, noted, renewed, stopped });
                Ok(Some(true))
            }
            Err(error) => {
                // The job is not to blame: others may do it.
                tracing::error!(%error, program = %self.options.program.0.display(), "cannot start a process");
                self.untold.push((lease, Outcome::HandedBack));
                self.pause_until = Some(Instant::now() + PAUSE);
                Ok(None)
            }
        }
    }

    /// Where a sector that is proven moves to: the emptiest storing place, unless it is in one.
    fn keep_in(&self, from: &Place) -> Option<PathBuf> {
        if from.folder.stores {
            return None;
        }
        let room = |place: &&Place| {
            let free = storage::free_bytes(&place.storage.path).unwrap_or(0);
            free.saturating_sub(place.folder.reserve_bytes)
        };
        self.stores().max_by_key(room).map(|place| place.storage.path.clone())
    }

    fn stores(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| place.folder.stores)
    }

    /// Takes leave of processes that have ended.
    fn reap(&mut self) {
        let mut still = Vec::new();
        for mut active in std::mem::take(&mut self.active) {
            if active.stopped.is_some_and(|(_, since)| since.elapsed() > GRACE) {
                active.process.kill();
            }
            // Another may have it by now, whether or not the queue can tell us.
            if active.renewed.elapsed() > self.options.lease && active.stopped.is_none() {
                tracing::warn!(job = active.job.id, "its lease is over; it is given up here");
                active.process.kill();
                active.stopped = Some((Stopped::Lost, Instant::now()));
            }
            // What could not be kept is only work that is done again.
            if let Some(kept) = active.process.take_kept()
                && let Err(error) = self.queue.keep(&active.lease, &kept)
            {
                tracing::warn!(job = active.job.id, error = %causes(&error), "what it has reached was not kept");
            }
            match active.process.ended() {
                None => still.push(active),
                Some(ended) => {
                    // One that was done before it was looked at has told by now what it was done on.
                    let (stage, device) = active.process.told();
                    let noted = self.queue.renew(&active.lease, self.options.lease, stage.as_ref(), device.as_deref());
                    if let Err(error) = noted {
                        tracing::debug!(job = active.job.id, error = %causes(&error), "not noted");
                    }
                    if let Some(outcome) = self.outcome(&active, ended) {
                        self.untold.push((active.lease, outcome));
                    }
                }
            }
        }
        self.active = still;
    }

    /// What came of a job whose process has ended; `None` for one that is another's now.
    fn outcome(&mut self, active: &Active, ended: process::Ended) -> Option<Outcome> {
        let (id, kind) = (active.job.id, active.job.kind);
        let stopped = active.stopped.map(|(why, _)| why);
        if stopped == Some(Stopped::Lost) {
            return None;
        }
        Some(match ended {
            process::Ended::Done(output) => {
                self.summary.done += 1;
                tracing::info!(job = id, %kind, sector = active.job.sector, "done");
                Outcome::Done(output)
            }
            _ if stopped == Some(Stopped::Cancelled) => Outcome::Cancelled,
            _ if stopped == Some(Stopped::Worker) => Outcome::HandedBack,
            process::Ended::Stopped => Outcome::HandedBack,
            process::Ended::Failed { reason, again: true } => {
                let outcome = again(&active.job, reason);
                self.note_failure(id, kind, &outcome);
                outcome
            }
            process::Ended::Failed { reason, again: false } => {
                let outcome = Outcome::Failed(reason);
                self.note_failure(id, kind, &outcome);
                outcome
            }
        })
    }

    fn note_failure(&mut self, id: i64, kind: Kind, outcome: &Outcome) {
        match outcome {
            Outcome::Failed(reason) => {
                self.summary.failed += 1;
                tracing::error!(job = id, %kind, reason, "failed");
            }
            Outcome::TryAgain(reason, wait) => {
                tracing::warn!(job = id, %kind, reason, seconds = wait.as_secs(), "failed, will be tried again");
            }
            _ => {}
        }
    }

    /// Tells the queue what came of jobs.
    fn tell(&mut self) -> Result<(), StoreError> {
        while let Some((lease, outcome)) = self.untold.first() {
            if !self.queue.finish(lease, outcome)? {
                tracing::warn!(job = lease.job, "another has the job; this outcome is dropped");
            }
            self.untold.remove(0);
        }
        Ok(())
    }

    /// Renews leases and says how far jobs are.
    fn renew(&mut self) -> Result<(), StoreError> {
        for active in &mut self.active {
            if active.noted.elapsed() < NOTE {
                continue;
            }
            active.noted = Instant::now();
            let (stage, device) = active.process.told();
            match self.queue.renew(&active.lease, self.options.lease, stage.as_ref(), device.as_deref())? {
                Some(false) => active.renewed = Instant::now(),
                Some(true) if active.stopped.is_none() => {
                    active.renewed = Instant::now();
                    tracing::info!(job = active.job.id, "cancelled");
                    active.process.stop();
                    active.stopped = Some((Stopped::Cancelled, Instant::now()));
                }
                Some(true) => active.renewed = Instant::now(),
                None => {
                    tracing::warn!(job = active.job.id, "another has the job; it is given up here");
                    active.process.kill();
                    active.stopped = Some((Stopped::Lost, Instant::now()));
                }
            }
        }
        Ok(())
    }

    fn stop_all(&mut self) {
        for active in &mut self.active {
            active.process.stop();
            active.stopped.get_or_insert((Stopped::Worker, Instant::now()));
        }
    }
}

/// Another attempt after a while, longer each time, unless there were enough.
fn again(job: &Job, reason: String) -> Outcome {
    // As it was when it was taken.
    let attempts = job.attempts + 1;
    match attempts {
        ..ATTEMPTS => Outcome::TryAgain(reason, Duration::from_secs(5 * 6_u64.pow(attempts.clamp(1, 4) as u32 - 1))),
        _ => Outcome::Failed(format!("{reason} ({attempts} attempts)")),
    }
}

/// How politely a job's process takes processor time.
fn niceness(kind: Kind) -> i32 {
    match kind.ability() {
        Ability::Winning => 0,
        Ability::Window => 5,
        Ability::Pc1 => 15,
        Ability::Pc2 | Ability::C2 => 19,
    }
}

/// The machine's name.
pub fn host() -> String {
    #[cfg(unix)]
    {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }
    #[cfg(not(unix))]
    {
        std::env::var("COMPUTERNAME").unwrap_or_else(|_| "here".to_owned())
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
