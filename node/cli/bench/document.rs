//! The result of a benchmark as JSON. `docs/benchmarks.md` describes every field; what is read here may come from anywhere
//! and is checked.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::machine::{Machine, Program};
use super::predict::Prediction;
use super::sample::Sample;
use super::statistics::Spread;
use crate::files;
use crate::report::{Failure, Kind};

/// What the files say they are.
const FORMAT: &str = "filecash-bench";
/// Rises when a field changes its meaning, goes or comes.
const VERSION: u64 = 1;
/// Sectors below this are for tests: they have fewer layers and challenges, and one partition.
const LEAST_REAL_SIZE: u64 = 1 << 30;

/// A result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    format: String,
    version: u64,
    /// What was run.
    pub benchmark: Benchmark,
    /// When it ended, in UTC.
    pub date: String,
    /// The program.
    pub program: Program,
    /// The machine.
    pub machine: Machine,
    /// How the program was set.
    pub settings: Settings,
    /// What was measured, in the order in which it was.
    pub phases: Vec<Phase>,
    /// Sectors a day, where every phase of sealing was measured.
    pub prediction: Option<Prediction>,
}

/// Kinds of benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Benchmark {
    /// Phases of sealing.
    Sealing,
    /// C2 of a saved input.
    Prove,
    /// Proofs of deadlines.
    WindowPost,
    /// Proofs of blocks.
    WinningPost,
    /// Verification of many seals.
    Verify,
    /// Kernels.
    Kernels,
}

impl Benchmark {
    /// As the command line names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sealing => "sealing",
            Self::Prove => "prove",
            Self::WindowPost => "window-post",
            Self::WinningPost => "winning-post",
            Self::Verify => "verify",
            Self::Kernels => "kernels",
        }
    }
}

/// How the program was set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Network.
    pub profile: String,
    /// Sector size; null for kernels.
    pub sector_size_bytes: Option<u64>,
    /// Whether that is a size for tests; null for kernels.
    pub is_test_size: Option<bool>,
    /// Sectors of each run.
    pub num_sectors: u64,
    /// Sectors that PC1 labels at the same time.
    pub parallel: u64,
    /// Threads.
    pub threads: u64,
    /// Memory budget of a phase.
    pub memory_bytes: u64,
    /// Memory of a device that may be used.
    pub max_vram_bytes: u64,
    /// Devices that were asked for, as a text.
    pub device: String,
}

/// Whether sectors of a size are for tests.
pub fn is_test_size(size_bytes: u64) -> bool {
    size_bytes < LEAST_REAL_SIZE
}

/// One thing that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// What it is.
    pub name: String,
    /// What computed it: `cpu`, or the names of devices.
    pub device: String,
    /// What it may take of a device's memory; null on the CPU. How much it took nobody knows.
    pub vram_budget_bytes: Option<u64>,
    /// How much a run does.
    pub amount: u64,
    /// Of what.
    pub unit: String,
    /// Bytes of sectors that a run works through; null where its cost has little to do with them.
    pub bytes: Option<u64>,
    /// Runs before those that were measured.
    pub warm_up: u32,
    /// Every run that was measured.
    pub runs: Vec<Sample>,
    /// Time that went by.
    pub wall_seconds: Spread,
    /// Time on all cores together.
    pub cpu_seconds: Option<Spread>,
    /// Most resident memory at once.
    pub peak_memory_bytes: Option<Spread>,
    /// Bytes that came from storage.
    pub storage_read_bytes: Option<Spread>,
    /// Bytes that go to storage.
    pub storage_written_bytes: Option<Spread>,
}

impl Phase {
    /// The rate of the median run.
    pub fn per_second(&self) -> Option<f64> {
        let rate = self.amount as f64 / self.wall_seconds.median;
        rate.is_finite().then_some(rate)
    }

    fn is_sound(&self) -> bool {
        let known = [self.cpu_seconds, self.peak_memory_bytes, self.storage_read_bytes, self.storage_written_bytes];
        let mut spreads = known.into_iter().flatten().chain([self.wall_seconds]);
        !self.runs.is_empty() && self.amount > 0 && spreads.all(|spread| spread.is_sound())
    }
}

impl Document {
    /// A result of now.
    pub fn new(
        benchmark: Benchmark,
        machine: Machine,
        settings: Settings,
        phases: Vec<Phase>,
        prediction: Option<Prediction>,
    ) -> Self {
        let (date, program) = (super::machine::now(), Program::this());
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            benchmark,
            date,
            program,
            machine,
            settings,
            phases,
            prediction,
        }
    }

    /// Reads a result.
    ///
    /// # Errors
    /// When the file is no result, is one of another version, or says what cannot be.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = files::read(path, "benchmark result")?;
        Self::parse(&bytes).with_context(|| format!("cannot use {}", path.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let refuse = |message: String| Failure::new(Kind::Input, message);
        let value: Value =
            serde_json::from_slice(bytes).map_err(|error| refuse(format!("not a benchmark result: {error}")))?;
        if value.get("format").and_then(Value::as_str) != Some(FORMAT) {
            return Err(refuse(format!("not a benchmark result: its format is not {FORMAT:?}")));
        }
        match value.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(version) => {
                let message = format!("a benchmark result of version {version}; this program knows version {VERSION}");
                return Err(refuse(message).hint("measure again, or compare with the program that made it"));
            }
            None => return Err(refuse("not a benchmark result: it has no version".to_owned())),
        }
        let document: Self =
            serde_json::from_value(value).map_err(|error| refuse(format!("not a benchmark result: {error}")))?;
        let mut names = HashSet::new();
        for phase in &document.phases {
            if !phase.is_sound() {
                return Err(refuse(format!("the figures of {:?} cannot be", phase.name)));
            }
            if !names.insert(&phase.name) {
                return Err(refuse(format!("{:?} is measured twice", phase.name)));
            }
        }
        Ok(document)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A result with two phases.
    pub fn sample() -> Document {
        let phase = |name: &str, seconds: [f64; 3]| {
            let runs: Vec<_> = seconds
                .iter()
                .map(|seconds| Sample {
                    wall_seconds: *seconds,
                    cpu_seconds: Some(2.0 * seconds),
                    peak_memory_bytes: Some(1 << 20),
                    storage_read_bytes: Some(0),
                    storage_written_bytes: None,
                })
                .collect();
            super::super::series::phase_of(name, runs)
        };
        let settings = Settings {
            profile: "filecoin".to_owned(),
            sector_size_bytes: Some(2048),
            is_test_size: Some(true),
            num_sectors: 1,
            parallel: 1,
            threads: 2,
            memory_bytes: 1 << 30,
            max_vram_bytes: 1 << 30,
            device: "auto".to_owned(),
        };
        let machine = Machine { cpu: "A <processor> & \"more\"".to_owned(), ..Machine::of(vec![]) };
        let phases = vec![phase("pc1", [1.0, 2.0, 4.0]), phase("c2 <i>", [10.0, 10.0, 11.0])];
        Document::new(Benchmark::Sealing, machine, settings, phases, None)
    }

    fn message(bytes: &[u8]) -> String {
        Document::parse(bytes).unwrap_err().to_string()
    }

    #[test]
    fn results_survive_a_round_trip() {
        let document = sample();
        assert_eq!(Document::parse(&serde_json::to_vec(&document).unwrap()).unwrap(), document);
    }

    #[test]
    fn what_is_no_result_is_refused_with_a_reason() {
        let with = |field: &str, value: Value| {
            let mut json = serde_json::to_value(sample()).unwrap();
            json[field] = value;
            message(&serde_json::to_vec(&json).unwrap())
        };
        assert!(message(b"no JSON").contains("not a benchmark result"));
        assert!(message(b"[1]").contains("format"));
        assert!(with("format", "other".into()).contains("format"));
        assert!(with("version", 2.into()).contains("version 2"));
        assert!(with("version", "1".into()).contains("no version"));
        assert!(with("surprise", 1.into()).contains("surprise"));
        assert!(with("phases", Value::Null).contains("expected a sequence"));
    }

    #[test]
    fn figures_that_cannot_be_are_refused() {
        let mut document = sample();
        document.phases[0].wall_seconds.median = -1.0;
        assert!(message(&serde_json::to_vec(&document).unwrap()).contains("\"pc1\" cannot be"));
        let mut document = sample();
        document.phases[1].name = "pc1".to_owned();
        assert!(message(&serde_json::to_vec(&document).unwrap()).contains("twice"));
    }
}
