//! The text that Prometheus reads, version 0.0.4 of its format.

use std::fmt::Write as _;

use crate::jobs::view::Workers;
use crate::jobs::{Kind, State, Tally, WorkerRow};
use filecash_engine::sector::{PoStProof, SealProof};
use filecash_engine::update::UpdateProof;

/// The size of the sectors of a job, such as `32GiB`; nothing for a proof that nobody knows.
fn size_of(of: &Tally) -> &'static str {
    let params = match of.kind {
        Kind::Winning | Kind::Window => {
            PoStProof::by_name(of.profile, &of.proof).ok().map(|proof| proof.config().params)
        }
        Kind::Update => UpdateProof::by_name(of.profile, &of.proof).ok().map(|proof| proof.config().params),
        _ => SealProof::by_name(of.profile, &of.proof).ok().map(|proof| proof.config().params),
    };
    params.map_or("", |params| params.name)
}

/// A label's value, between quotes.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// One metric with its values.
struct Metric<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl<'a> Metric<'a> {
    fn new(text: &'a mut String, name: &'a str, kind: &str, help: &str) -> Self {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Self { text, name }
    }

    fn value(&mut self, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
        let _ = writeln!(self.text, "{}{{{}}} {value}", self.name, labels.join(","));
    }
}

/// Everything that is told.
pub fn text(now: &[Tally], ever: &[Tally], workers: &Workers, rows: &[WorkerRow]) -> String {
    let mut text = String::new();
    let labels = |of: &Tally| [("phase", of.kind.name()), ("size", size_of(of)), ("profile", of.profile.name())];

    let mut jobs = Metric::new(&mut text, "filecash_jobs", "gauge", "Jobs in the queue, by state.");
    for of in now {
        jobs.value(&[&labels(of)[..], &[("device", &of.device), ("state", of.state.name())]].concat(), of.jobs as f64);
    }
    let name = "filecash_jobs_finished_total";
    let mut finished = Metric::new(&mut text, name, "counter", "Jobs that were done, or failed for good.");
    for of in ever {
        let state = [("device", of.device.as_str()), ("state", of.state.name())];
        finished.value(&[&labels(of)[..], &state].concat(), of.jobs as f64);
    }
    let mut seconds = Metric::new(&mut text, "filecash_job_seconds_total", "counter", "Seconds that these took.");
    for of in ever {
        let state = [("device", of.device.as_str()), ("state", of.state.name())];
        seconds.value(&[&labels(of)[..], &state].concat(), of.took as f64 / 1000.0);
    }
    let name = "filecash_oldest_waiting_seconds";
    let mut oldest = Metric::new(&mut text, name, "gauge", "Age of the oldest waiting job.");
    for of in now.iter().filter(|of| of.state == State::Waiting) {
        oldest.value(&labels(of), of.oldest as f64 / 1000.0);
    }
    let mut up = Metric::new(&mut text, "filecash_worker_up", "gauge", "Whether a worker is heard of.");
    for row in rows {
        up.value(&[("worker", &row.name)], f64::from(u8::from(row.lives)));
    }
    let mut memory =
        Metric::new(&mut text, "filecash_worker_memory_bytes", "gauge", "Memory of a worker for its jobs.");
    for (name, worker) in workers.iter() {
        memory.value(&[("worker", name), ("host", &worker.host)], worker.memory_bytes as f64);
    }
    let mut promised =
        Metric::new(&mut text, "filecash_worker_memory_reserved_bytes", "gauge", "What running jobs have of it.");
    for (name, worker) in workers.iter() {
        promised.value(&[("worker", name), ("host", &worker.host)], worker.reserved_bytes as f64);
    }
    let mut places = Metric::new(&mut text, "filecash_worker_places", "gauge", "Jobs that a worker does at a time.");
    for (name, worker) in workers.iter() {
        for (ability, number) in &worker.places {
            places.value(&[("worker", name), ("ability", ability.name())], *number as f64);
        }
    }
    let mut taken = Metric::new(&mut text, "filecash_worker_places_taken", "gauge", "Jobs that it does now.");
    for (name, worker) in workers.iter() {
        for ability in worker.places.keys() {
            let number = worker.taken.get(ability).copied().unwrap_or(0);
            taken.value(&[("worker", name), ("ability", ability.name())], number as f64);
        }
    }
    let mut free = Metric::new(&mut text, "filecash_storage_free_bytes", "gauge", "Bytes that a storage has room for.");
    for (name, worker) in workers.iter() {
        for (id, storage) in &worker.storages {
            free.value(&[("worker", name), ("storage", id), ("path", &storage.path)], storage.free_bytes as f64);
        }
    }
    text
}
