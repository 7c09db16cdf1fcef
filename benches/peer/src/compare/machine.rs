//! The machine in a line, and today's date, for the head of a record.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// Model of the first processor.
pub fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    field(&info, "model name").unwrap_or("unknown processor").to_owned()
}

/// Whether the processor has an instruction set, by its name in `/proc/cpuinfo`.
pub fn has(set: &str) -> bool {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    field(&info, "flags").unwrap_or_default().split(' ').any(|flag| flag == set)
}

/// Processor, threads, memory, instruction sets that matter here, kernel and load.
pub fn line() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags: Vec<&str> = field(&info, "flags").unwrap_or_default().split(' ').collect();
    let sets = ["sha_ni", "avx2", "adx", "avx512f", "avx512ifma"];
    let sets: Vec<&str> = sets.into_iter().filter(|set| flags.contains(set)).collect();
    let threads = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{}, {threads} threads, {:.1} GiB, {}, Linux {}, load {}",
        cpu(),
        kib as f64 / f64::from(1 << 20),
        sets.join(" "),
        kernel.trim(),
        load.split(' ').next().unwrap_or_default(),
    )
}

/// Today in UTC as `2026-11-24`.
pub fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    date(seconds / 86_400)
}

/// The civil date of a count of days since 1970-01-01, in the proleptic Gregorian calendar.
fn date(days: u64) -> String {
    // Years are counted from March, so that the leap day is a year's last; an era is 400 years, 146,097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let line = info.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_known_days() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(59), "1970-03-01");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(11_017), "2000-03-01");
        assert_eq!(date(20_781), "2026-11-24");
    }

    #[test]
    fn field_of_cpuinfo() {
        assert_eq!(field("processor\t: 0\nmodel name\t: A B\n", "model name"), Some("A B"));
        assert_eq!(field("processor\t: 0\n", "flags"), None);
    }
}
