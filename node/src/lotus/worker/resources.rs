//! What a worker says of itself, by which a miner decides what to send it.
//!
//! A miner's own table asks for more memory than our prover takes, so that a worker without a table gets no C2 unless it is large;
//! ours has the needs of our prover, and what operators set in the environment for Lotus's own workers.
//!
//! Source: `spec/attach.md` B.7, B.8.

use std::collections::BTreeMap;
use std::ffi::OsString;

use filecash_engine::sector::{Profile, SealProof};
use filecash_engine::update::UpdateProof;
use serde::Serialize;

use crate::jobs::Kind;
use crate::worker::needs::needs_of;

/// What we do for a miner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// The SNARK of a seal.
    Commit2,
    /// The SNARK of an update.
    ProveReplicaUpdate2,
}

impl Task {
    /// Those that a network has.
    pub fn all(profile: Profile) -> &'static [Self] {
        match profile {
            Profile::Filecoin => &[Self::Commit2, Self::ProveReplicaUpdate2],
            Profile::Filecash => &[Self::Commit2],
        }
    }

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Commit2 => "seal/v0/commit/2",
            Self::ProveReplicaUpdate2 => "seal/v0/provereplicaupdate/2",
        }
    }

    /// Its short name.
    fn short(self) -> &'static str {
        match self {
            Self::Commit2 => "C2",
            Self::ProveReplicaUpdate2 => "PR2",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Commit2 => Kind::C2,
            Self::ProveReplicaUpdate2 => Kind::Update,
        }
    }
}

/// What a task takes, a row of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Resources {
    min_memory: u64,
    max_memory: u64,
    #[serde(rename = "GPUUtilization")]
    gpu_utilization: f64,
    max_parallelism: i64,
    #[serde(rename = "MaxParallelismGPU")]
    max_parallelism_gpu: i64,
    base_min_memory: u64,
    max_concurrent: u64,
}

/// By task, and by number of a seal proof.
pub type Table = BTreeMap<&'static str, BTreeMap<String, Resources>>;

/// What the rows depend on.
pub struct Basis<'a> {
    /// The network.
    pub profile: Profile,
    /// Memory for a job.
    pub memory_bytes: u64,
    /// Threads.
    pub threads: usize,
    /// Jobs at a time; 0 is as many as come.
    pub places: u64,
    /// Whether devices compute.
    pub has_devices: bool,
    /// The environment.
    pub environment: &'a dyn Fn(&str) -> Option<OsString>,
}

/// A variable of the environment that is no number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is no number of the kind that is expected there")]
pub struct BadVariable {
    name: String,
}

/// The table.
///
/// # Errors
/// [`BadVariable`].
pub fn table(basis: &Basis<'_>) -> Result<Table, BadVariable> {
    let mut table = Table::new();
    for task in Task::all(basis.profile) {
        let mut rows = BTreeMap::new();
        for proof in SealProof::all(basis.profile) {
            let size_bytes = proof.config().params.size_bytes;
            let name = match task {
                Task::Commit2 => Some(proof.name),
                Task::ProveReplicaUpdate2 => {
                    UpdateProof::for_size(basis.profile, size_bytes).ok().map(|proof| proof.name)
                }
            };
            if let Some(name) = name {
                rows.insert(proof.id.to_string(), row(*task, name, size_bytes, basis)?);
            }
        }
        table.insert(task.name(), rows);
    }
    Ok(table)
}

fn row(task: Task, proof: &str, size_bytes: u64, basis: &Basis<'_>) -> Result<Resources, BadVariable> {
    let needs = needs_of(basis.profile, task.kind(), proof, basis.memory_bytes, basis.threads);
    let mut row = Resources {
        min_memory: needs.least_memory_bytes,
        max_memory: needs.least_memory_bytes,
        gpu_utilization: if basis.has_devices { 1.0 / basis.places.max(1) as f64 } else { 0.0 },
        // Who has a place has the threads too.
        max_parallelism: 0,
        max_parallelism_gpu: 0,
        base_min_memory: 0,
        max_concurrent: basis.places,
    };
    let size = short_size(size_bytes);
    let of = Overrides { short: task.short(), size: &size, environment: basis.environment };
    of.put("MIN_MEMORY", &mut row.min_memory)?;
    of.put("MAX_MEMORY", &mut row.max_memory)?;
    of.put("GPU_UTILIZATION", &mut row.gpu_utilization)?;
    of.put("MAX_PARALLELISM", &mut row.max_parallelism)?;
    of.put("MAX_PARALLELISM_GPU", &mut row.max_parallelism_gpu)?;
    of.put("BASE_MIN_MEMORY", &mut row.base_min_memory)?;
    of.put("MAX_CONCURRENT", &mut row.max_concurrent)?;
    Ok(row)
}

/// `2K`, `8M`, `512M`, `32G`.
fn short_size(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 30 => format!("{}G", bytes >> 30),
        _ if bytes >= 1 << 20 => format!("{}M", bytes >> 20),
        _ => format!("{}K", bytes >> 10),
    }
}

struct Overrides<'a> {
    short: &'a str,
    size: &'a str,
    environment: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Overrides<'_> {
    /// What is set for the size, else what is set for all of them, in place of our own.
    fn put<T: std::str::FromStr>(&self, field: &str, value: &mut T) -> Result<(), BadVariable> {
        let Self { short, size, environment } = self;
        for name in [format!("{short}_{size}_{field}"), format!("{short}_{field}")] {
            let Some(text) = environment(&name).filter(|text| !text.is_empty()) else { continue };
            let parsed = text.to_str().and_then(|text| text.trim().parse().ok());
            *value = parsed.ok_or(BadVariable { name })?;
            break;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(profile: Profile, variables: &[(&str, &str)]) -> Result<Table, BadVariable> {
        let environment =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let memory_bytes = 8 << 30;
        table(&Basis { profile, memory_bytes, threads: 4, places: 2, has_devices: true, environment: &environment })
    }

    #[test]
    fn rows_are_what_our_prover_takes() {
        let table = of(Profile::Filecoin, &[]).unwrap();
        let row = json!(table["seal/v0/commit/2"]["8"]);
        let names: Vec<_> = row.as_object().unwrap().keys().cloned().collect();
        let expected = [
            "BaseMinMemory",
            "GPUUtilization",
            "MaxConcurrent",
            "MaxMemory",
            "MaxParallelism",
            "MaxParallelismGPU",
            "MinMemory",
        ];
        assert_eq!(names, expected);
        assert_eq!((&row["GPUUtilization"], &row["MaxConcurrent"]), (&0.5.into(), &2.into()));
        // 32 GiB: within a small machine's memory, where a miner's own table asks for 62 GiB.
        let bytes = row["MinMemory"].as_u64().unwrap();
        assert!((100 << 20..8 << 30).contains(&bytes), "{bytes}");
        assert!(table["seal/v0/provereplicaupdate/2"].contains_key("8"));
        let fork = of(Profile::Filecash, &[]).unwrap();
        assert_eq!(fork.keys().copied().collect::<Vec<_>>(), ["seal/v0/commit/2"]);
        assert!(fork["seal/v0/commit/2"].contains_key("5"));
    }

    #[test]
    fn environment_of_other_workers_counts() {
        let table = of(
            Profile::Filecoin,
            &[("C2_MIN_MEMORY", "5"), ("C2_32G_MIN_MEMORY", "7"), ("PR2_64G_GPU_UTILIZATION", "0.25")],
        );
        let table = table.unwrap();
        let of = |task: &str, proof: &str| &table[task][proof];
        assert_eq!((of("seal/v0/commit/2", "8").min_memory, of("seal/v0/commit/2", "5").min_memory), (7, 5));
        let share = |proof: &str| of("seal/v0/provereplicaupdate/2", proof).gpu_utilization;
        assert_eq!((share("9"), share("8")), (0.25, 0.5));
        let bad = of_error(&[("C2_2K_MAX_PARALLELISM", "all")]);
        assert!(bad.contains("C2_2K_MAX_PARALLELISM"), "{bad}");
    }

    fn of_error(variables: &[(&str, &str)]) -> String {
        of(Profile::Filecoin, variables).unwrap_err().to_string()
    }
}
