//! What a phase cost: time on the wall, time on the cores, the most memory at once.
//!
//! On Linux the kernel keeps a high-water mark of resident memory, which writing `5` to `/proc/self/clear_refs`
//! resets (proc(5)), so that each phase has its own. The mark counts pages of mapped files too, which the system
//! could have taken back. Elsewhere the peak is unknown, and said to be.

use std::fs;
use std::path::{Component, Path, PathBuf};
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

/// Bytes of memory that can be had without pushing others out, where the system tells: what the machine has, or what is left of the
/// limit of a container or a systemd unit, if that is less.
pub fn available_memory() -> Option<u64> {
    [of_machine(), left_by_groups(Path::new("/"))].into_iter().flatten().min()
}

fn of_machine() -> Option<u64> {
    let memory = fs::read_to_string("/proc/meminfo").ok()?;
    let line = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The least that this process's control group or one around it may still take; `None` without a limit. `root` is where `/proc` and
/// `/sys` are.
///
/// # Source
/// cgroups(7); `admin-guide/cgroup-v2.rst` and `cgroup-v1/memory.rst` of Linux.
fn left_by_groups(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let left = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let (mount, names) = match controllers {
            "" => ("sys/fs/cgroup", ["memory.max", "memory.current", "inactive_file "]),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "])
            }
            _ => return None,
        };
        // A container may see its own group as the root, and paths from outside of it.
        let inner: PathBuf = Path::new(path).components().filter(|part| matches!(part, Component::Normal(_))).collect();
        inner.ancestors().filter_map(|group| left_by(&root.join(mount).join(group), names)).min()
    });
    left.min()
}

/// What a group may still take: its limit less what it has, of which files that were not read for a while are given back for the asking.
fn left_by(group: &Path, [limit, used, reclaimable]: [&str; 3]) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    // Where there is none, v2 says `max`.
    let limit = number(limit)?;
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let reclaimable = stat.lines().find_map(|line| line.strip_prefix(reclaimable)?.trim().parse().ok()).unwrap_or(0);
    Some(limit.saturating_sub(number(used).unwrap_or(0).saturating_sub(reclaimable)))
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

    /// What is left in a tree of files with such contents.
    fn left(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        left_by_groups(root.path())
    }

    #[test]
    fn limits_of_groups_are_those_of_all_around() {
        let unit = [
            ("proc/self/cgroup", "0::/system.slice/filecash.service\n"),
            ("sys/fs/cgroup/system.slice/filecash.service/memory.max", "1000\n"),
            ("sys/fs/cgroup/system.slice/filecash.service/memory.current", "400\n"),
            (
                "sys/fs/cgroup/system.slice/filecash.service/memory.stat",
                "anon 300\ninactive_file 70\nactive_file 30\ninactive_file_of_others 9\n",
            ),
        ];
        assert_eq!(left(&unit), Some(670));
        let around = |limit| [&unit[..], &[("sys/fs/cgroup/system.slice/memory.max", limit)]].concat();
        assert_eq!(left(&around("500\n")), Some(500));
        assert_eq!(left(&around("max\n")), Some(670));
        // More than the limit is taken where it was lowered.
        let used = ("sys/fs/cgroup/system.slice/memory.current", "501\n");
        assert_eq!(left(&[&around("500\n")[..], &[used]].concat()), Some(0));
        assert_eq!(left(&[unit[0], ("sys/fs/cgroup/system.slice/memory.max", "max\n")]), None);
        assert_eq!(left(&[]), None);
    }

    #[test]
    fn limits_of_groups_of_version_1_count_those_within() {
        let files = [
            ("proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/docker/c0ffee\n1:name=systemd:/b\n0::/\n"),
            // The container's own, which is not where the path says.
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1000\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 100\n"),
            ("sys/fs/cgroup/cpu/memory.limit_in_bytes", "7\n"),
        ];
        assert_eq!(left(&files), Some(3196));
        // Out of its own root a path does not lead.
        let outside = [("proc/self/cgroup", "4:memory:/../..\n"), files[1], ("sys/memory.limit_in_bytes", "7\n")];
        assert_eq!(left(&outside), Some(4096));
    }
}
