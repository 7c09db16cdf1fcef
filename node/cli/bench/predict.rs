//! Sectors a day, out of what each phase of one sector takes.
//!
//! *In series* a sector is sealed from beginning to end before the next begins. *Pipelined*, add piece and PC1 of later
//! sectors run beside PC2, C1 and C2 of earlier ones: the slower half sets the pace, and the cores do, which have no more
//! than their number of seconds in a second. Neither waits for a chain, for storage that is slower than here, or for
//! memory.
//!
//! ```text
//! series    t = w(add piece) + w(PC1) + w(PC2) + w(C1) + w(C2)
//! pipelined t = max(w(add piece) + w(PC1), w(PC2) + w(C1) + w(C2), Σ cpu / threads)
//! sectors a day = 86400 / t,  w and cpu being medians of a phase for one sector
//! ```

use serde::{Deserialize, Serialize};

use super::document::Phase;

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// How many sectors, if nothing but the phases took time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// One sector after the other.
    pub series: Throughput,
    /// Two halves of sealing side by side; null where CPU time is not known.
    pub pipelined: Option<Throughput>,
}

/// A pace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throughput {
    /// From one sector to the next.
    pub seconds_per_sector: f64,
    /// Sectors in a day.
    pub sectors_per_day: f64,
    /// 2⁴⁰ bytes of sectors in a day.
    pub tib_per_day: f64,
}

impl Throughput {
    fn of(seconds: f64, size_bytes: u64) -> Option<Self> {
        let sectors_per_day = DAY / seconds;
        let tib_per_day = sectors_per_day * size_bytes as f64 / (1_u64 << 40) as f64;
        let throughput = Self { seconds_per_sector: seconds, sectors_per_day, tib_per_day };
        (seconds > 0.0 && tib_per_day.is_finite()).then_some(throughput)
    }
}

impl Prediction {
    /// `None` unless every phase of sealing is there.
    pub fn of(phases: &[Phase], size_bytes: u64, threads: u64) -> Option<Self> {
        let phase = |name: &str| phases.iter().find(|phase| phase.name == name);
        let wall = |name: &str| phase(name).map(|phase| phase.wall_seconds.median / phase.amount as f64);
        let cpu = |name: &str| {
            let phase = phase(name)?;
            phase.cpu_seconds.map(|spread| spread.median / phase.amount as f64)
        };
        let sum = |names: &[&str], of: &dyn Fn(&str) -> Option<f64>| names.iter().map(|name| of(name)).sum();
        let halves: [&[&str]; 2] = [&["add-piece", "pc1"], &["pc2", "c1", "c2"]];
        let [first, second]: [Option<f64>; 2] = halves.map(|half| sum(half, &wall));
        let (first, second) = (first?, second?);
        let cores: Option<f64> = sum(&halves.concat(), &cpu).map(|seconds: f64| seconds / threads.max(1) as f64);
        let pipelined = cores.and_then(|cores| Throughput::of(first.max(second).max(cores), size_bytes));
        Some(Self { series: Throughput::of(first + second, size_bytes)?, pipelined })
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::super::series::phase_of;
    use super::*;

    fn phase(name: &str, wall: f64, cpu: Option<f64>) -> Phase {
        let sample = Sample {
            wall_seconds: wall,
            cpu_seconds: cpu,
            peak_memory_bytes: None,
            storage_read_bytes: None,
            storage_written_bytes: None,
        };
        phase_of(name, vec![sample])
    }

    fn all(cpu: Option<f64>) -> Vec<Phase> {
        let times = [("add-piece", 1.0), ("pc1", 100.0), ("pc2", 20.0), ("c1", 9.0), ("c2", 30.0)];
        times.into_iter().map(|(name, wall)| phase(name, wall, cpu)).collect()
    }

    #[test]
    fn paces_follow_the_formula() {
        let prediction = Prediction::of(&all(Some(10.0)), 32 << 30, 2).unwrap();
        assert_eq!(prediction.series.sectors_per_day, DAY / 160.0);
        assert_eq!(prediction.series.tib_per_day, DAY / 160.0 / 32.0);
        assert_eq!(prediction.pipelined.unwrap().seconds_per_sector, 101.0);
        // 5 phases of 60 s on 2 cores.
        assert_eq!(Prediction::of(&all(Some(60.0)), 1, 2).unwrap().pipelined.unwrap().seconds_per_sector, 150.0);
        assert_eq!(Prediction::of(&all(None), 1, 2).unwrap().pipelined, None);
    }

    #[test]
    fn many_sectors_share_a_run() {
        let mut phases = all(Some(1.0));
        phases[1].amount = 4;
        let prediction = Prediction::of(&phases, 1, 2).unwrap();
        assert_eq!(prediction.series.seconds_per_sector, 1.0 + 25.0 + 59.0);
    }

    #[test]
    fn nothing_is_predicted_of_a_part() {
        let mut phases = all(Some(1.0));
        phases.pop();
        assert_eq!(Prediction::of(&phases, 1, 2), None);
    }
}
