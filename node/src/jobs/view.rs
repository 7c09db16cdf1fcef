//! The queue as others are shown it: jobs with what they wait for and how far they are, as JSON.

use serde_json::{Map, Value, json};

use super::choose::{self, Needs, Worker};
use super::{Job, Progress, Queue, State, StoreError};
use crate::worker::needs::needs;

/// Threads that needs are told for; they hardly matter for the least that a job takes.
const THREADS: usize = 2;

/// The workers that live, and why jobs wait for them.
pub struct Workers(Vec<(String, Worker)>);

impl Workers {
    /// Those that are heard of.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn living(queue: &Queue) -> Result<Self, StoreError> {
        let all = queue.workers()?.into_iter().filter(|row| row.lives);
        let known = all.filter_map(|row| Some((row.name, serde_json::from_str(&row.about).ok()?)));
        Ok(Self(known.collect()))
    }

    /// Where a storage is, by a worker that has it.
    pub fn path_of(&self, storage: &str) -> Option<&str> {
        self.0.iter().find_map(|(_, worker)| worker.storages.get(storage)).map(|storage| storage.path.as_str())
    }

    /// Why a waiting job waits.
    pub fn why(&self, job: &Job) -> String {
        // What it needs at the least is the same wherever it runs.
        let needs = self.needs(job);
        choose::why(job, &needs, self.0.iter().map(|(_, worker)| worker)).to_string()
    }

    /// What a job needs, of the largest of them.
    pub fn needs(&self, job: &Job) -> Needs {
        let most = self.0.iter().map(|(_, worker)| worker.memory_bytes / 2).max().unwrap_or(1 << 30);
        needs(job, most, THREADS)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Each by its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Worker)> {
        self.0.iter().map(|(name, worker)| (name.as_str(), worker))
    }

    /// What they say of themselves, by name.
    pub fn json(&self) -> Value {
        self.0.iter().map(|(name, worker)| (name.clone(), json!(worker))).collect::<Map<_, _>>().into()
    }
}

/// A job for machines.
pub fn json_of(job: &Job, workers: &Workers) -> Value {
    let mut value = json!(job);
    if job.state == State::Waiting {
        value["waits"] = json!(workers.why(job));
    }
    if let Some(progress) = &job.progress {
        value["progress"]["percent"] = json!(progress.percent());
        value["progress"]["per_second"] = json!(progress.rate(job.now));
        value["progress"]["seconds_left"] = json!(progress.left(job.now).map(|left| left.as_secs_f64()));
    }
    value
}

impl Progress {
    /// How much of the stage is done.
    pub fn percent(&self) -> f64 {
        if self.total > 0 { 100.0 * self.done as f64 / self.total as f64 } else { 0.0 }
    }
}
