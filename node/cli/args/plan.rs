//! `filecash plan`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use filecash_engine::sector::Feature;
use filecash_node::size::ByteSize;

/// `filecash plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// Sector size, such as 32GiB
    #[arg(long, value_name = "SIZE")]
    pub sector_size: ByteSize,
    /// How many sectors
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub sectors: u32,
    /// How the seal's proof draws its challenges: interactive, synthetic or non-interactive
    #[arg(long, value_name = "NAME", default_value = "interactive")]
    pub feature: Feature,
    /// Show the arithmetic of every phase
    #[arg(long)]
    pub explain: bool,
    /// Exit status 1 when a phase does not fit the memory budget, or sealing the disk of --storage-dir
    #[arg(long)]
    pub check: bool,
    /// Folder for sectors, whose disk is tried by writing and reading a file of at most 256 MiB
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub storage_dir: Option<PathBuf>,
    /// Speeds of a machine as --save-rates wrote them, instead of timing this one
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "save_rates")]
    pub rates: Option<PathBuf>,
    /// Write the speeds of this machine to a file, to plan for it elsewhere
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub save_rates: Option<PathBuf>,
}
