//! What a phase cost: time on the wall, time on the cores, the most memory at once.
//!
//! On Linux the kernel keeps a high-water mark of resident memory, which writing `5` to `/proc/self/clear_refs`
//! resets (proc(5)), so that each phase has its own. The mark counts pages of mapped files too, which the system
//! could have taken back. Elsewhere the peak is unknown, and said to be.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A running measurement.
pub struct Meter {
    begun: Instant,
    cpu: Option<Duration>,
    peak_is_ours: bool,
}

/// The costs of a phase.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Time on the wall.
    pub wall: Duration,
    /// Time on all cores together, where the system tells.
    pub cpu: Option<Duration>,
    /// The most resident memory at once, where the system tells.
    pub peak_bytes: Option<u64>,
}

impl Meter {
    /// Begins measuring.
    pub fn start() -> Self {
        let peak_is_ours = fs::write("/proc/self/clear_refs", "5").is_ok();
        Self { begun: Instant::now(), cpu: cpu_time(), peak_is_ours }
    }

    /// The costs since the start.
    pub fn stop(self) -> Cost {
        let cpu = cpu_time().zip(self.cpu).map(|(now, then)| now.saturating_sub(then));
        let peak_bytes = if self.peak_is_ours { high_water_mark() } else { None };
        Cost { wall: self.begun.elapsed(), cpu, peak_bytes }
    }
}

impl Cost {
    /// For machines; `null` where unknown.
    pub fn json(&self) -> Value {
        json!({
            "wall_seconds": self.wall.as_secs_f64(),
            "cpu_seconds": self.cpu.map(|time| time.as_secs_f64()),
            "peak_memory_bytes": self.peak_bytes,
        })
    }
}

#[cfg(unix)]
fn cpu_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

#[cfg(not(unix))]
fn cpu_time() -> Option<Duration> {
    None
}

fn high_water_mark() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Bytes of memory that can be had without pushing others out, where the system tells.
pub fn available_memory() -> Option<u64> {
    let memory = fs::read_to_string("/proc/meminfo").ok()?;
    let line = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn peak_covers_what_was_touched() {
        let meter = Meter::start();
        let touched = vec![1_u8; 64 << 20];
        let cost = meter.stop();
        assert!(cost.peak_bytes.unwrap() >= touched.len() as u64, "{cost:?}");
        assert!(cost.cpu.is_some());
    }
}
