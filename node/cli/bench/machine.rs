//! The machine and the program that were measured.

use std::env::consts;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::text;

/// The program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// Whether it was compiled as releases are; figures of others mean nothing.
    pub is_release: bool,
    /// Whether kernels for GPUs are in it.
    pub has_gpu: bool,
}

impl Program {
    /// The one that runs.
    pub fn this() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            is_release: !cfg!(debug_assertions),
            has_gpu: cfg!(feature = "gpu"),
        }
    }
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Instruction sets of it that the program has code for.
    pub cpu_features: Vec<String>,
    /// Logical processors that the program may use.
    pub logical_cpus: u64,
    /// Memory; null where the system does not tell.
    pub memory_bytes: Option<u64>,
    /// Operating system, with its version where known.
    pub os: String,
    /// Architecture.
    pub arch: String,
    /// Devices besides the processor that took part.
    pub devices: Vec<Device>,
}

/// A device that took part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// What it is: `DiscreteGpu`, `IntegratedGpu`, `Cpu`, …
    pub kind: String,
    /// The API by which it was reached.
    pub api: String,
    /// Driver and its version.
    pub driver: String,
}

impl Machine {
    /// This one.
    pub fn of(devices: Vec<Device>) -> Self {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu: cpu().unwrap_or_else(|| "unknown".to_owned()),
            cpu_features: features(),
            logical_cpus: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
            memory_bytes: memory(),
            os: format!("{} {}", consts::OS, release.trim()).trim().to_owned(),
            arch: consts::ARCH.to_owned(),
            devices,
        }
    }
}

fn cpu() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let kib = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    kib.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<String> {
    macro_rules! present {
        ($($name:tt),*) => { [$(($name, is_x86_feature_detected!($name))),*] };
    }
    let sets = present!("ssse3", "sse4.1", "sha", "adx", "bmi1", "bmi2", "avx2", "avx512f", "avx512bw", "avx512ifma");
    sets.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name.to_owned()).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> Vec<String> {
    Vec::new()
}

/// The time in UTC, to the second, as `2026-11-29T10:48:54Z`.
pub fn now() -> String {
    text::utc(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_processor() {
        let machine = Machine::of(vec![]);
        assert!(machine.logical_cpus > 0 && !machine.os.is_empty());
    }
}
