//! The queue of jobs: what is to be computed, for which sector, by when, and how far it is.
//!
//! A job waits, runs, and is done, failed or cancelled. A worker takes one by a compare-and-set on its row and holds it by a lease
//! that it renews; where it dies, the lease ends and another goes on from what is on disk. Whoever holds a lease has its number,
//! and nothing is written under an older one: a worker that comes back too late changes nothing.
//!
//! Job queues that exist claim in order and know neither deadlines nor memory; here a worker looks at what waits and takes what
//! fits ([`choose`]), so that no row is locked while it thinks and `SKIP LOCKED` is not needed.

pub mod choose;
mod database;
mod names;
mod queue;
#[cfg(test)]
mod tests;
pub mod view;

use std::time::Duration;

use filecash_engine::sector::Profile;
use serde::Serialize;

pub use self::database::{Store, StoreError};
pub use self::names::{Ability, Kind, Priority, State, Unknown};
pub use self::queue::{PAGE, Queue, TOLD, UNFETCHED};

/// Number of a job.
pub type JobId = i64;
/// Milliseconds since 1970, by the database's clock.
pub type Millis = i64;

/// A job to be queued.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The network.
    pub profile: Profile,
    /// What is computed.
    pub kind: Kind,
    /// The sector's name, such as `f01000/5`, where it is of one.
    pub sector: Option<String>,
    /// Name of the registered proof.
    pub proof: String,
    /// How urgent it is.
    pub priority: Priority,
    /// When its result is worth nothing any more.
    pub deadline: Option<Millis>,
    /// The storage that holds its files; any worker can do what needs none.
    pub storage: Option<String>,
    /// The job before it, as a place in the list that it is queued with; its output is this one's input.
    pub after: Option<usize>,
    /// What it waits for besides, told as `waits for …`.
    pub hold: Option<String>,
    /// The asker's own name for it: of several jobs of one name the first stays, unless it failed or was cancelled.
    pub request: Option<String>,
    /// A digest of all that was asked, by which a name that is used again for something else is noticed.
    pub digest: Option<String>,
    /// What is to be done, for who does it.
    pub task: String,
    /// What it reads, unless the job before it gives that.
    pub input: Option<Vec<u8>>,
}

/// A job as the queue knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "as in `NewJob`")]
pub struct Job {
    pub id: JobId,
    pub profile: Profile,
    pub kind: Kind,
    pub sector: Option<String>,
    pub proof: String,
    pub priority: Priority,
    pub deadline: Option<Millis>,
    pub storage: Option<String>,
    /// The job before it.
    pub after: Option<JobId>,
    /// What became of that.
    pub after_state: Option<State>,
    pub hold: Option<String>,
    pub request: Option<String>,
    pub task: String,
    pub state: State,
    /// When it may be tried again.
    pub not_before: Millis,
    /// How often it was tried since somebody queued it or said `retry`.
    pub attempts: i64,
    /// The worker that has it, or had it last.
    pub owner: Option<String>,
    /// Number of the lease.
    pub lease: i64,
    /// When that ends.
    pub lease_until: Option<Millis>,
    /// Whether somebody wants it stopped.
    pub cancel: bool,
    pub created: Millis,
    pub started: Option<Millis>,
    pub finished: Option<Millis>,
    /// When its result was fetched by who asked for it.
    pub delivered: Option<Millis>,
    /// How far it is.
    pub progress: Option<Progress>,
    /// What computes.
    pub device: Option<String>,
    /// Why it failed, or its last attempt did.
    pub error: Option<String>,
    /// Since when nothing but a worker is missing, if that is so.
    pub ready: Millis,
    /// The database's clock when this was read.
    pub now: Millis,
}

/// How far a running job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What it does.
    pub stage: String,
    /// What that counts: `bytes` or `items`.
    pub unit: String,
    /// How many are done.
    pub done: i64,
    /// Of how many.
    pub total: i64,
    /// When the stage began.
    pub began: Millis,
}

impl Progress {
    /// How many a second, if that is known.
    pub fn rate(&self, now: Millis) -> Option<f64> {
        let seconds = (now - self.began) as f64 / 1000.0;
        (self.done > 0 && seconds > 0.0).then(|| self.done as f64 / seconds)
    }

    /// How long the stage will last, if that is known.
    pub fn left(&self, now: Millis) -> Option<Duration> {
        let seconds = (self.total - self.done).max(0) as f64 / self.rate(now)?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// How far its worker is with a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What it does.
    pub name: String,
    /// What that counts: `bytes` or `items`.
    pub unit: String,
    /// How many are done.
    pub done: u64,
    /// Of how many.
    pub total: u64,
    /// How long it has lasted.
    pub lasted: Duration,
}

/// A job that a worker holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// Who holds it.
    pub owner: String,
    /// Number of the lease.
    pub number: i64,
}

/// What became of a wish for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is queued.
    Queued(JobId),
    /// It was asked for before, and is being done or done.
    Known(JobId),
    /// Something else was asked for under this name.
    Other(JobId),
}

/// How many jobs there are of one sort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The kind.
    pub kind: Kind,
    /// The network.
    pub profile: Profile,
    /// The registered proof.
    pub proof: String,
    /// What they are done on, where that is known.
    pub device: String,
    /// The state.
    pub state: State,
    /// How many.
    pub jobs: u64,
    /// Milliseconds that those which are over took.
    pub took: u64,
    /// Milliseconds since the oldest was queued.
    pub oldest: u64,
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done; its output.
    Done(Vec<u8>),
    /// It cannot be done.
    Failed(String),
    /// It failed and is tried again after a while.
    TryAgain(String, Duration),
    /// Its worker stops; another goes on.
    HandedBack,
    /// Somebody wanted it stopped.
    Cancelled,
}

/// A worker as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRow {
    /// Its name.
    pub name: String,
    /// When it was last heard of.
    pub seen: Millis,
    /// Whether it is taken to live.
    pub lives: bool,
    /// What it says of itself, for [`choose::Worker`].
    pub about: String,
}

/// A sector in the queue's books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SectorRow {
    /// The network.
    pub profile: Profile,
    /// Such as `f01000/5`.
    pub name: String,
    /// Name of the registered seal proof.
    pub proof: String,
    /// The storage that holds its folder.
    pub storage: String,
    /// The folder in there.
    pub path: String,
    /// When it was queued.
    pub added: Millis,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When.
    pub at: Millis,
    /// To which job.
    pub job: Option<JobId>,
    /// Where.
    pub worker: Option<String>,
    /// What.
    pub what: String,
}

/// Why something was not queued or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum QueueError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there is no job {0}")]
    NoJob(JobId),
    #[error("job {id} is {state}, {expected}")]
    State { id: JobId, state: State, expected: &'static str },
    #[error("sector {name} of {profile} is in the queue already")]
    SectorThere { profile: Profile, name: String },
    #[error("a worker named {name} lives already; give this one another name")]
    WorkerLives { name: String },
}
