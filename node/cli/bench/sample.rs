//! What one run costs.
//!
//! Bytes read and written are those of storage: `read_bytes` and `write_bytes` of `/proc/self/io` (proc(5)), which leave out
//! what the page cache had and count a page as written once it is dirty. A file system in memory has no storage, and 0 is
//! the truth for it.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::measure::Meter;

/// The costs of a run; `None` where the system does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Time that went by.
    pub wall_seconds: f64,
    /// Time on all cores together.
    pub cpu_seconds: Option<f64>,
    /// The most resident memory of the process at once.
    pub peak_memory_bytes: Option<u64>,
    /// Bytes that came from storage.
    pub storage_read_bytes: Option<u64>,
    /// Bytes that go to storage.
    pub storage_written_bytes: Option<u64>,
}

/// A running measurement.
pub struct Sampler {
    storage: Option<[u64; 2]>,
    meter: Meter,
}

impl Sampler {
    /// Begins.
    pub fn start() -> Self {
        // The clock starts last.
        Self { storage: storage(), meter: Meter::start() }
    }

    /// The costs since the start.
    pub fn stop(self) -> Sample {
        let cost = self.meter.stop();
        let [read, written] = match storage().zip(self.storage) {
            Some((now, then)) => [0, 1].map(|i| Some(now[i].saturating_sub(then[i]))),
            None => [None; 2],
        };
        Sample {
            wall_seconds: cost.wall.as_secs_f64(),
            cpu_seconds: cost.cpu.map(|time| time.as_secs_f64()),
            peak_memory_bytes: cost.peak_bytes,
            storage_read_bytes: read,
            storage_written_bytes: written,
        }
    }
}

/// Bytes read from and written to storage by this process so far.
fn storage() -> Option<[u64; 2]> {
    counters(&fs::read_to_string("/proc/self/io").ok()?)
}

fn counters(text: &str) -> Option<[u64; 2]> {
    let counter = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().parse().ok()
    };
    Some([counter("read_bytes")?, counter("write_bytes")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_storage_are_told_from_the_others() {
        let text =
            "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 7\n";
        assert_eq!(counters(text), Some([4096, 8192]));
        assert_eq!(counters("read_bytes: 1\n"), None);
        assert_eq!(counters("read_bytes: x\nwrite_bytes: 1\n"), None);
    }

    #[test]
    fn a_run_takes_time() {
        let sampler = Sampler::start();
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(sampler.stop().wall_seconds >= 0.002);
    }
}
