//! How fast this machine is: short runs of the kernels that phases spend their time in.
//!
//! Each is run on made-up operands for a twentieth of a second or so, the best of its runs counts, and all together
//! take about two seconds. Kernels that a phase runs on all threads are timed on all, the others on one. Who
//! multiplies counts of work with these rates gets estimates: of a machine with nothing else to do, and without what a
//! phase does between kernels.

mod hashing;
mod proving;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::sector::Profile;

/// How long each kernel is run, at least.
const LEAST: Duration = Duration::from_millis(40);
/// Runs of a kernel, at least.
const RUNS: usize = 2;

/// Work a second. "One core" is one thread, "all" are as many as there are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Whose labels and circuits were timed.
    pub profile: Profile,
    /// Threads that "all" are.
    pub threads: usize,
    /// What these threads got of as many cores, from 0 to 1: less than 1 where something else ran. Rates are of that.
    pub share: f64,
    /// Labels of one sector, one core.
    pub labels: f64,
    /// Labels of several sectors in lockstep.
    pub lockstep: Option<Lockstep>,
    /// Bytes whose SHA-256 is taken, one core.
    pub digest_bytes: f64,
    /// Nodes of a binary SHA-256 tree, all.
    pub sha_nodes: f64,
    /// Poseidon hashes by arity, all.
    pub poseidon: BTreeMap<usize, f64>,
    /// Poseidon hashes of arity 8 one after the other, one core.
    pub poseidon_alone: f64,
    /// Rows of the parent table, all.
    pub parents: f64,
    /// Nodes encoded or decoded, all.
    pub encoded_nodes: f64,
    /// Elements of one transform, all.
    pub transform: f64,
    /// Sums over points of G1.
    pub g1: PointRates,
    /// Sums over points of G2.
    pub g2: PointRates,
    /// Circuits of bits: proofs of replication.
    pub bits: CircuitRates,
    /// Circuits of wide values: proofs of space-time.
    pub wide: CircuitRates,
    /// Verification.
    pub verify: VerifyRates,
    /// Devices that may take part, as they were timed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceRates>,
}

impl Rates {
    /// Whether every rate is above 0, as those in a file need not be.
    pub fn are_usable(&self) -> bool {
        let Self { labels, digest_bytes, sha_nodes, poseidon_alone, parents, encoded_nodes, transform, .. } = *self;
        let points = [self.g1, self.g2].into_iter().flat_map(|group| [group.ones, group.additions]);
        let circuits = [self.bits, self.wide].into_iter();
        let circuits = circuits.flat_map(|circuit| [circuit.recorded, circuit.witness, circuit.evaluated]);
        let others = [labels, digest_bytes, sha_nodes, poseidon_alone, parents, encoded_nodes, transform];
        let lockstep = self.lockstep.map_or(1.0, |lockstep| lockstep.labels.min(lockstep.sectors as f64 - 1.0));
        let mut all = others.into_iter().chain(points).chain(circuits).chain(self.poseidon.values().copied());
        let is_right = |rate: f64| rate.is_finite() && rate > 0.0;
        let verify = [self.verify.proofs, self.verify.inputs, self.share, lockstep];
        let mut devices = self.devices.iter().flat_map(DeviceRates::all);
        self.threads > 0 && all.all(is_right) && verify.into_iter().all(is_right) && devices.all(is_right)
    }
}

/// Work of a device a second, transfers included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRates {
    /// The adapter's name.
    pub name: String,
    /// Nodes of a binary SHA-256 tree.
    pub sha_nodes: f64,
    /// Poseidon hashes by arity.
    pub poseidon: BTreeMap<usize, f64>,
    /// Elements of one transform.
    pub transform: f64,
    /// Points of G1 with random scalars.
    pub g1: f64,
    /// Points of G2 with random scalars.
    pub g2: f64,
}

impl DeviceRates {
    fn all(&self) -> impl Iterator<Item = f64> + '_ {
        [self.sha_nodes, self.transform, self.g1, self.g2].into_iter().chain(self.poseidon.values().copied())
    }
}

/// Labels of several sectors at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lockstep {
    /// Sectors in a group.
    pub sectors: usize,
    /// Labels of all of them, one core.
    pub labels: f64,
}

/// Sums over points of a group, all threads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointRates {
    /// Points decoded and added up.
    pub ones: f64,
    /// Additions to buckets.
    pub additions: f64,
}

/// What the prover does with circuits before the transforms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CircuitRates {
    /// Constraints recorded and looked through for variables, in part on one core.
    pub recorded: f64,
    /// Aux variables given values, one core.
    pub witness: f64,
    /// Constraints evaluated, all three matrices, all.
    pub evaluated: f64,
}

/// Verification of proofs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyRates {
    /// Proofs without inputs, with a key of their own each.
    pub proofs: f64,
    /// Inputs, with the check of their point in the key.
    pub inputs: f64,
}

/// What to time.
#[derive(Clone, Copy, Debug)]
pub struct Calibration {
    /// Whose labels and circuits.
    pub profile: Profile,
    /// Sectors of a group whose labels are timed in lockstep; 1 for none.
    pub lockstep: usize,
    /// Bytes of memory for operands, about.
    pub memory_bytes: u64,
}

impl Calibration {
    /// Times every kernel of the CPU.
    pub fn run(self) -> Rates {
        let Self { profile, lockstep, memory_bytes } = self;
        let lockstep = (lockstep > 1)
            .then(|| Lockstep { sectors: lockstep, labels: hashing::labels(profile, lockstep, memory_bytes) });
        let (g1, g2) = proving::sums();
        Rates {
            profile,
            threads: rayon::current_num_threads(),
            share: share(),
            labels: hashing::labels(profile, 1, memory_bytes),
            lockstep,
            digest_bytes: hashing::digest_bytes(),
            sha_nodes: hashing::sha_nodes(),
            poseidon: hashing::ARITIES.into_iter().map(|arity| (arity, hashing::poseidon(arity))).collect(),
            poseidon_alone: hashing::poseidon_alone(),
            parents: hashing::parents(profile),
            encoded_nodes: hashing::encoded_nodes(),
            transform: proving::transform(memory_bytes),
            g1,
            g2,
            bits: proving::bits(profile),
            wide: proving::wide(),
            verify: proving::verify(),
            devices: Vec::new(),
        }
    }
}

/// The part of a core that each thread gets when all of them are busy; 1 where the system does not tell.
fn share() -> f64 {
    let begin = Instant::now();
    let Some(before) = processor_time() else { return 1.0 };
    rayon::broadcast(|_| {
        while begin.elapsed() < LEAST {
            std::hint::spin_loop();
        }
    });
    let (wall, spent) = (begin.elapsed(), processor_time().unwrap_or(before) - before);
    (spent.as_secs_f64() / wall.as_secs_f64() / rayon::current_num_threads() as f64).clamp(0.01, 1.0)
}

/// Time of all threads of this process.
#[cfg(unix)]
fn processor_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

#[cfg(not(unix))]
fn processor_time() -> Option<Duration> {
    None
}

/// Seconds of the best run of some work.
fn seconds(mut work: impl FnMut()) -> f64 {
    let (begin, mut best, mut runs) = (Instant::now(), f64::INFINITY, 0);
    while runs < RUNS || begin.elapsed() < LEAST {
        let run = Instant::now();
        work();
        best = best.min(run.elapsed().as_secs_f64());
        runs += 1;
    }
    best.max(1e-9)
}

/// So much work a second, of which one run does `count`.
fn rate(count: usize, work: impl FnMut()) -> f64 {
    count as f64 / seconds(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_has_a_rate() {
        let rates = Calibration { profile: Profile::Filecoin, lockstep: 2, memory_bytes: 64 << 20 }.run();
        let json = serde_json::to_value(&rates).unwrap();
        fn numbers(value: &serde_json::Value) -> Vec<f64> {
            match value {
                serde_json::Value::Object(fields) => fields.values().flat_map(numbers).collect(),
                value => value.as_f64().into_iter().collect(),
            }
        }
        let numbers = numbers(&json);
        assert!(numbers.len() >= 25 && numbers.iter().all(|rate| rate.is_finite() && *rate > 0.0), "{json}");
        assert!(rates.are_usable() && !Rates { transform: 0.0, ..rates.clone() }.are_usable());
        assert_eq!(serde_json::from_value::<Rates>(json).unwrap(), rates);
    }
}
