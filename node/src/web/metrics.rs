//! The text that Prometheus reads, version 0.0.4 of its format.

use std::collections::BTreeMap;
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
    // Several proofs are of one size: each set of labels is told once.
    let labels = |of: &Tally, device: bool, state: bool| {
        let mut labels = vec![
            ("phase", of.kind.name().to_owned()),
            ("size", size_of(of).to_owned()),
            ("profile", of.profile.name().to_owned()),
        ];
        labels.extend(device.then(|| ("device", of.device.clone())));
        labels.extend(state.then(|| ("state", of.state.name().to_owned())));
        labels
    };
    let summed = |all: &[Tally], value: fn(&Tally) -> f64| {
        let mut sums = BTreeMap::new();
        for of in all {
            *sums.entry(labels(of, true, true)).or_insert(0.0) += value(of);
        }
        sums
    };
    let mut oldest = BTreeMap::new();
    for of in now.iter().filter(|of| of.state == State::Waiting) {
        let age: &mut f64 = oldest.entry(labels(of, false, false)).or_insert(0.0);
        *age = age.max(of.oldest as f64 / 1000.0);
    }
    let [jobs, finished, seconds] = [
        summed(now, |of| of.jobs as f64),
        summed(ever, |of| of.jobs as f64),
        summed(ever, |of| of.took as f64 / 1000.0),
    ];
    for (name, kind, help, values) in [
        ("filecash_jobs", "gauge", "Jobs in the queue, by state.", jobs),
        ("filecash_jobs_finished_total", "counter", "Jobs that were done, or failed for good.", finished),
        ("filecash_job_seconds_total", "counter", "Seconds that these took.", seconds),
        ("filecash_oldest_waiting_seconds", "gauge", "Age of the oldest waiting job.", oldest),
    ] {
        let mut metric = Metric::new(&mut text, name, kind, help);
        for (labels, value) in values {
            let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
            metric.value(&labels, value);
        }
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
    let mut vram = Metric::new(
        &mut text,
        "filecash_worker_vram_bytes",
        "gauge",
        "Memory of each device that a worker has for its jobs.",
    );
    for (name, worker) in workers.iter() {
        vram.value(&[("worker", name), ("host", &worker.host)], worker.vram_bytes().0 as f64);
    }
    let mut promised =
        Metric::new(&mut text, "filecash_worker_vram_reserved_bytes", "gauge", "What running jobs have of it.");
    for (name, worker) in workers.iter() {
        promised.value(&[("worker", name), ("host", &worker.host)], worker.vram_bytes().1 as f64);
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
