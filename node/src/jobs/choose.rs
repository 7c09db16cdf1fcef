//! Which job a worker takes, and why one waits: pure functions of what waits and of what workers have left.
//!
//! Jobs are looked at in order, and the first that fits is taken; smaller ones may so overtake a large one that finds no memory.
//! One that has waited longer than [`PATIENCE`] for memory is overtaken no more, except by proofs of space-time, so that no job
//! waits for ever.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use filecash_engine::sector::Profile;
use serde::{Deserialize, Serialize};

use super::{Ability, Job, JobId, Kind, Priority, State};
use crate::size::ByteSize;

/// How long a job may be overtaken by others that need less.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// What a worker can do and what of it is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Its machine.
    pub host: String,
    /// Its process there.
    pub process: u32,
    /// The network, where it serves only one.
    pub profile: Option<Profile>,
    /// How many jobs of each sort it does at a time.
    pub places: BTreeMap<Ability, usize>,
    /// How many of these are taken.
    pub taken: BTreeMap<Ability, usize>,
    /// Its storages by their ids.
    pub storages: BTreeMap<String, Storage>,
    /// Memory for all of its jobs.
    pub memory_bytes: u64,
    /// How much of it is promised to running ones.
    pub reserved_bytes: u64,
    /// How much of it only winning proofs may have.
    pub kept_bytes: u64,
    /// Of each device's memory what a job of an ability has.
    #[serde(default)]
    pub vram: BTreeMap<Ability, u64>,
    /// The job that has waited long for memory, and that none but urgent ones may overtake any more.
    #[serde(default)]
    pub holds_for: Option<JobId>,
    /// Whether it takes no more jobs.
    pub stops: bool,
    /// Its devices.
    pub devices: String,
}

/// A storage of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// Where it is there.
    pub path: String,
    /// Whether sectors are sealed here.
    pub seals: bool,
    /// Whether proven sectors stay here.
    pub stores: bool,
    /// Bytes that are free and not promised, less what is to stay free.
    pub free_bytes: u64,
}

/// What a job needs of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// The least memory that will do.
    pub least_memory_bytes: u64,
    /// The most that is of use.
    pub useful_memory_bytes: u64,
    /// Bytes that it will add to its storage.
    pub disk_bytes: u64,
}

/// Why a job is not begun.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum Reason {
    /// The next look takes it.
    Soon,
    /// Another has waited longer than [`PATIENCE`] for memory.
    HeldFor {
        id: JobId,
    },
    Places {
        ability: Ability,
        places: usize,
    },
    Memory {
        needs: u64,
        free: u64,
        of: u64,
    },
    Disk {
        needs: u64,
        free: u64,
        storage: String,
    },
    Stops,
    NeverMemory {
        needs: u64,
        of: u64,
    },
    Storage {
        storage: String,
    },
    Ability {
        ability: Ability,
    },
    Profile {
        profile: &'static str,
    },
    NoWorker,
    Again {
        seconds: u64,
    },
    Hold {
        what: String,
    },
    After {
        id: i64,
        state: Option<State>,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Soon => f.write_str("for a worker to look"),
            Self::HeldFor { id } => write!(f, "for job {id}, which has waited long for memory"),
            Self::Places { ability, places } => write!(f, "for one of {places} places for {ability}"),
            Self::Memory { needs, free, of } => {
                let [needs, free, of] = [needs, free, of].map(|bytes| ByteSize(*bytes));
                write!(f, "for memory: {needs} needed, {free} of {of} free")
            }
            Self::Disk { needs, free, storage } => {
                let [needs, free] = [needs, free].map(|bytes| ByteSize(*bytes));
                write!(f, "for disk: {needs} needed, {free} free in {storage}")
            }
            Self::Stops => f.write_str("for a worker: the one that could do it stops"),
            Self::NeverMemory { needs, of } => {
                write!(f, "for a worker with {} of memory; there are {}", ByteSize(*needs), ByteSize(*of))
            }
            Self::Storage { storage } => write!(f, "for a worker with storage {storage}, where its files are"),
            Self::Ability { ability } => write!(f, "for a worker that does {ability}"),
            Self::Profile { profile } => write!(f, "for a worker of profile {profile}"),
            Self::NoWorker => f.write_str("for a worker: none is running"),
            Self::Again { seconds } => write!(f, "{seconds} s, then it is tried again"),
            Self::Hold { what } => write!(f, "for {what}"),
            Self::After { id, state: Some(State::Failed) } => write!(f, "for job {id}, which failed"),
            Self::After { id, state: Some(State::Cancelled) } => write!(f, "for job {id}, which was cancelled"),
            Self::After { id, .. } => write!(f, "for job {id}"),
        }
    }
}

impl Worker {
    /// Memory that is not promised, for a job of a kind.
    pub fn free_bytes(&self, kind: Kind) -> u64 {
        self.all_bytes(kind).saturating_sub(self.reserved_bytes)
    }

    /// Memory that jobs of a kind may have.
    fn all_bytes(&self, kind: Kind) -> u64 {
        let kept = if kind.ability() == Ability::Winning { 0 } else { self.kept_bytes };
        self.memory_bytes.saturating_sub(kept)
    }

    /// Of each device's memory what it has for all jobs, and what running ones have.
    pub fn vram_bytes(&self) -> (u64, u64) {
        let of = |places: &BTreeMap<Ability, usize>| {
            self.vram.iter().map(|(ability, bytes)| bytes * places.get(ability).copied().unwrap_or(0) as u64).sum()
        };
        (of(&self.places), of(&self.taken))
    }

    /// Kinds of jobs that it has free places for.
    pub fn open_kinds(&self) -> Vec<Kind> {
        Kind::ALL.iter().copied().filter(|kind| self.open_places(kind.ability()) > 0).collect()
    }

    fn open_places(&self, ability: Ability) -> usize {
        let places = self.places.get(&ability).copied().unwrap_or(0);
        places.saturating_sub(self.taken.get(&ability).copied().unwrap_or(0))
    }

    /// Why it does not begin a job that nothing else holds up; `None` when it can.
    pub fn refusal(&self, job: &Job, needs: &Needs) -> Option<Reason> {
        if let Some(profile) = self.profile
            && profile != job.profile
        {
            return Some(Reason::Profile { profile: job.profile.name() });
        }
        let ability = job.kind.ability();
        let places = self.places.get(&ability).copied().unwrap_or(0);
        if places == 0 {
            return Some(Reason::Ability { ability });
        }
        let storage = match &job.storage {
            None => None,
            Some(id) => match self.storages.get(id) {
                None => return Some(Reason::Storage { storage: id.clone() }),
                known => known,
            },
        };
        let (least, free, of) = (needs.least_memory_bytes, self.free_bytes(job.kind), self.all_bytes(job.kind));
        if least > of {
            return Some(Reason::NeverMemory { needs: least, of });
        }
        if self.stops {
            return Some(Reason::Stops);
        }
        if let Some(storage) = storage
            && needs.disk_bytes > storage.free_bytes
        {
            let (needs, free) = (needs.disk_bytes, storage.free_bytes);
            return Some(Reason::Disk { needs, free, storage: storage.path.clone() });
        }
        if least > free {
            return Some(Reason::Memory { needs: least, free, of });
        }
        if self.open_places(ability) == 0 {
            return Some(Reason::Places { ability, places });
        }
        None
    }

    /// Whether a job that it could begin would overtake one that has waited long.
    fn held_back(&self, job: &Job) -> Option<Reason> {
        let id = self.holds_for.filter(|id| *id != job.id && job.priority <= Priority::Normal)?;
        Some(Reason::HeldFor { id })
    }

    /// The job to begin next of those that nothing else holds up, most urgent first. They may come page by page: who holds up
    /// others is kept.
    pub fn choose<'a>(&mut self, candidates: &'a [Job], needs: impl Fn(&Job) -> Needs) -> Option<&'a Job> {
        for job in candidates {
            match self.refusal(job, &needs(job)) {
                None if self.held_back(job).is_none() => return Some(job),
                Some(Reason::Memory { .. }) if has_waited(job) => self.holds_for = self.holds_for.or(Some(job.id)),
                _ => {}
            }
        }
        None
    }
}

/// Whether nothing may overtake a job any more.
fn has_waited(job: &Job) -> bool {
    job.now - job.ready > PATIENCE.as_millis() as i64
}

/// Why a waiting job waits: what holds it up wherever it would run, else the mildest reason of all workers that live.
pub fn why<'a>(job: &Job, needs: &Needs, workers: impl IntoIterator<Item = &'a Worker>) -> Reason {
    if let Some(id) = job.after.filter(|_| job.after_state != Some(State::Done)) {
        return Reason::After { id, state: job.after_state };
    }
    if let Some(what) = &job.hold {
        return Reason::Hold { what: what.clone() };
    }
    if job.not_before > job.now {
        return Reason::Again { seconds: (job.not_before - job.now).unsigned_abs().div_ceil(1000) };
    }
    let reason = |worker: &Worker| worker.refusal(job, needs).or_else(|| worker.held_back(job)).unwrap_or(Reason::Soon);
    let reasons = workers.into_iter().map(reason);
    reasons.min().unwrap_or(Reason::NoWorker)
}
