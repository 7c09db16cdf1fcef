//! Measures our program beside the reference and prints the table. See `filecash_peer::compare`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use filecash_peer::compare::measures::{Plan, Size};
use filecash_peer::compare::program::Programs;
use filecash_peer::compare::{machine, table};

/// Runs both programs in turn, each run a process, and prints medians and ratios as Markdown.
#[derive(Debug, Parser)]
struct Cli {
    /// What to measure.
    #[arg(required = true)]
    measures: Vec<Measure>,
    /// Our program.
    #[arg(long, default_value = "target/release/filecash")]
    ours: PathBuf,
    /// The peer; by default it is looked for beside this program.
    #[arg(long)]
    reference: Option<PathBuf>,
    /// Counted runs of each side (set-up runs once).
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Threads of either side.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Sectors of pc1, pc1-many, pc2, c2 and phases: 2KiB, 8MiB or 512MiB.
    #[arg(long, value_parser = size)]
    sector_size: Option<Size>,
    /// Folder with parameters: c2 and phases need those of the PoRep, winning, window and update their own of 2 KiB.
    #[arg(long, env = "FIL_PROOFS_PARAMETER_CACHE", default_value = "/var/tmp/filecoin-proof-parameters")]
    params: PathBuf,
    /// Let the reference do the set-up too.
    #[arg(long)]
    reference_setup: bool,
    /// Folder for inputs and runs, on the disk to measure; by default a temporary one.
    #[arg(long)]
    work: Option<PathBuf>,
    /// Also write `<folder>/<date>-<cpu>.md`.
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Labels of 8 MiB, or of --sector-size.
    Pc1,
    /// Labels of four sectors of 8 MiB.
    Pc1Many,
    /// Trees and replica of 8 MiB, or of --sector-size.
    Pc2,
    /// A proof of 2 KiB, or of --sector-size.
    C2,
    /// All phases of a sector of 2 KiB, or of --sector-size; once.
    Phases,
    /// Synthetic proofs of 8 MiB; once, about 13 GB of disk.
    Synth,
    /// Parameters of 2 KiB.
    Setup,
    /// A winning proof of space-time of 2 KiB.
    Winning,
    /// A window proof of space-time, a partition of 2 KiB sectors.
    Window,
    /// Verification of 1 to 1000 seals, one by one and in a batch.
    Verify,
    /// Aggregates of seals, and their verification.
    Aggregate,
    /// The proof of a sector update of 2 KiB.
    Update,
    /// The encoding of a sector update of 8 MiB.
    Encode,
    /// Hashes on one core.
    Poseidon,
    /// Sums of multiples of points of G1.
    Msm,
    /// Transforms.
    Ntt,
    /// Circuits of 4, 16 and 32 GiB without a peer: their shapes and evaluations.
    Shape,
}

impl Measure {
    /// Whether sectors of several sizes can be measured.
    fn has_sizes(self) -> bool {
        matches!(self, Self::Pc1 | Self::Pc1Many | Self::Pc2 | Self::C2 | Self::Phases)
    }
}

fn size(name: &str) -> Result<Size, String> {
    Size::named(name).ok_or_else(|| "2KiB, 8MiB or 512MiB".to_owned())
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether every bound that could be checked is met.
fn run(cli: &Cli) -> Result<bool> {
    let has_sizes = cli.measures.iter().all(|measure| measure.has_sizes());
    ensure!(cli.sector_size.is_none() || has_sizes, "--sector-size is for pc1, pc1-many, pc2, c2 and phases");
    let temporary = tempfile::tempdir()?;
    let work = cli.work.clone().unwrap_or_else(|| temporary.path().to_owned());
    fs::create_dir_all(&work)?;
    let reference = match &cli.reference {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("filecash-peer"),
    };
    let absolute = |path: &PathBuf| std::path::absolute(path).with_context(|| format!("the path {}", path.display()));
    let work = absolute(&work)?;
    let programs = Programs {
        ours: absolute(&cli.ours)?,
        reference: absolute(&reference)?,
        threads: cli.threads,
        shared: work.join("shared"),
    };
    fs::create_dir_all(&programs.shared)?;
    let plan = Plan { programs, work, params: cli.params.clone(), size: cli.sector_size, runs: cli.runs };
    let machine = machine::line();
    let mut rows = Vec::new();
    for measure in &cli.measures {
        eprintln!("measuring {measure:?} ...");
        rows.extend(match measure {
            Measure::Pc1 => plan.pc1()?,
            Measure::Pc1Many => plan.pc1_of_many()?,
            Measure::Pc2 => plan.pc2()?,
            Measure::C2 => plan.c2()?,
            Measure::Winning => plan.winning()?,
            Measure::Window => plan.window()?,
            Measure::Verify => plan.verify()?,
            Measure::Aggregate => plan.aggregate()?,
            Measure::Update => plan.update()?,
            Measure::Encode => plan.encode()?,
            Measure::Synth => plan.synth()?,
            Measure::Setup => plan.setup(cli.reference_setup)?,
            Measure::Phases => plan.phases()?,
            Measure::Poseidon => plan.poseidon()?,
            Measure::Msm => plan.msm()?,
            Measure::Ntt => plan.ntt()?,
            Measure::Shape => plan.shape()?,
        });
    }
    let today = machine::today();
    let text = format!(
        "# {today}: filecash and filecoin-proofs 19.1 side by side\n\n{machine}; {} threads each.\n\n{}",
        cli.threads,
        table::markdown(&rows)
    );
    println!("{text}");
    if let Some(folder) = &cli.record {
        fs::create_dir_all(folder)?;
        let cpu: String = machine::cpu().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = folder.join(format!("{today}-{}.md", cpu.trim_matches('-').to_lowercase()));
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        eprintln!("recorded in {}", path.display());
    }
    Ok(rows.iter().all(|row| row.met() != Some(false)))
}
