//! `filecash bench …`: the command line of measurements. Flags that `lotus-bench` has too have its names.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use filecash_node::size::ByteSize;

use super::Miner;

const RESULT: &str = "Result";
const REPEATS: &str = "Repeats";

/// `filecash bench`.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one value in a run")]
pub enum Bench {
    /// The phases of sealing on synthetic data, each on its own, and sectors a day
    Sealing(Sealing),
    /// The SNARK of a seal (C2), from a phase input that `bench sealing --save-commit2-input` or lotus-bench saved, or
    /// without any sector
    Prove(Prove),
    /// The proof of a deadline: reading, SNARK, verification
    WindowPost(Post),
    /// The proof that comes with a block: reading, SNARK, verification
    WinningPost(Post),
    /// Verification of many seal proofs, one by one and as a batch
    Verify(Verify),
    /// Hashes, labels, encoding, transforms and sums, on the CPU and on the devices of --device
    Kernels(Kernels),
    /// Compare two results; exit status 1 when a phase of the second is slower than allowed
    Compare(Compare),
}

/// Where a result goes, besides standard output.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = RESULT)]
pub struct Save {
    /// File for the result as JSON, which `bench compare` reads
    #[arg(long, value_name = "JSON", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
    /// File for the result as a page with charts, without scripts or anything from outside
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub html: Option<PathBuf>,
    /// Replace such files where they are already there
    #[arg(long)]
    pub force: bool,
}

/// How often a phase is run.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = REPEATS)]
pub struct Repeats {
    /// Runs of a phase that are measured
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub runs: Option<u32>,
    /// Runs of a phase before them, not measured
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub warm_up: Option<u32>,
}

/// Which sectors, and where they are.
#[derive(Clone, Debug, Args)]
pub struct Sectors {
    /// Sector size
    #[arg(long, value_name = "SIZE", default_value = "8MiB")]
    pub sector_size: ByteSize,
    /// Number of sectors
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub num_sectors: u32,
    /// Folder in which sectors are kept, so that a phase can be measured alone again; those that are there are used
    /// [default: a folder beside the current ones, removed at the end]
    #[arg(long, visible_alias = "keep", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub storage_dir: Option<PathBuf>,
    /// Miner whose sectors they are
    #[arg(long, visible_alias = "miner-addr", value_name = "ACTOR", default_value = "f01000")]
    pub miner: Miner,
}

/// `filecash bench sealing`.
#[derive(Debug, Args)]
pub struct Sealing {
    #[command(flatten)]
    pub sectors: Sectors,
    /// Sectors that PC1 labels at the same time, each with two layers in memory
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub parallel: u32,
    /// Phases to measure, with commas between; what they need of others is made without being measured [default: all]
    #[arg(long, value_name = "PHASES", value_delimiter = ',', value_enum)]
    pub phases: Vec<SealPhase>,
    /// Leave out the SNARK and its verification; no parameters are needed then
    #[arg(long)]
    pub skip_commit2: bool,
    /// Leave out unsealing
    #[arg(long)]
    pub skip_unseal: bool,
    /// File for the input of C2 of the first sector, in the form of lotus-bench, for `bench prove`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub save_commit2_input: Option<PathBuf>,
    #[command(flatten)]
    pub repeats: Repeats,
    #[command(flatten)]
    pub save: Save,
}

/// A phase of sealing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum SealPhase {
    /// Padding of a piece and its commitment
    AddPiece,
    /// TreeD and labels
    Pc1,
    /// Columns, encoding, trees
    Pc2,
    /// Vanilla proofs
    C1,
    /// SNARK
    C2,
    /// Verification of the SNARK
    Verify,
    /// The data back
    Unseal,
}

/// `filecash bench prove`.
#[derive(Debug, Args)]
pub struct Prove {
    /// Input of C2: a file of `--save-commit2-input`, or the c1.json of a sector
    #[arg(value_hint = ValueHint::FilePath, required_unless_present = "sector_size", conflicts_with = "sector_size")]
    pub input: Option<PathBuf>,
    /// Instead of an input: size of a sector of which only the nodes exist that its proof opens
    #[arg(long, value_name = "SIZE")]
    pub sector_size: Option<ByteSize>,
    /// Prove only the first N partitions [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub partitions: Option<u32>,
    /// Miner whose sector it is
    #[arg(long, visible_alias = "miner-addr", value_name = "ACTOR", default_value = "f01000")]
    pub miner: Miner,
    /// Sector number; a saved input has its own, and a sector that does not exist is number 1
    #[arg(long, value_name = "N")]
    pub sector: Option<u64>,
    #[command(flatten)]
    pub repeats: Repeats,
    #[command(flatten)]
    pub save: Save,
}

/// `filecash bench window-post`, `winning-post`.
#[derive(Debug, Args)]
pub struct Post {
    #[command(flatten)]
    pub sectors: Sectors,
    #[command(flatten)]
    pub repeats: Repeats,
    #[command(flatten)]
    pub save: Save,
}

/// `filecash bench verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Sector size whose seals are verified
    #[arg(long, value_name = "SIZE", default_value = "2KiB")]
    pub sector_size: ByteSize,
    /// Seals, whose proofs are simulated: no verifier can tell
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub num_proofs: u32,
    #[command(flatten)]
    pub repeats: Repeats,
    #[command(flatten)]
    pub save: Save,
}

/// `filecash bench kernels`.
#[derive(Debug, Args)]
pub struct Kernels {
    /// Only kernels whose name has this in it
    #[arg(long, value_name = "TEXT")]
    pub kernel: Option<String>,
    #[command(flatten)]
    pub repeats: Repeats,
    #[command(flatten)]
    pub save: Save,
}

/// `filecash bench compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// Result that is the measure
    #[arg(value_name = "A.json", value_hint = ValueHint::FilePath)]
    pub a: PathBuf,
    /// Result that is compared with it
    #[arg(value_name = "B.json", value_hint = ValueHint::FilePath)]
    pub b: PathBuf,
    /// How many times as much of the metric the second may have in any phase
    #[arg(long, value_name = "RATIO", default_value = "1.10", value_parser = ratio)]
    pub max_slower: f64,
    /// What is compared
    #[arg(long, value_enum, default_value_t = Metric::Wall)]
    pub metric: Metric,
}

/// What is compared of two results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Metric {
    /// Time that went by
    Wall,
    /// Time on all cores together
    Cpu,
    /// Most resident memory at once
    Memory,
}

fn ratio(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|ratio: &f64| ratio.is_finite() && *ratio > 0.0)
        .ok_or_else(|| "expected a ratio such as 1.10".to_owned())
}
