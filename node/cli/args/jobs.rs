//! `filecash jobs` and the parts of `filecash sectors` that are about the queue.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::worker::{MinerOf, NodeOf};
use super::{Feature, Hex32};

/// `filecash jobs`.
#[derive(Debug, Subcommand)]
pub enum Jobs {
    /// List jobs: what runs and how far it is, what waits and for what, what is over
    List(JobsList),
    /// Show all of one job and what happened to it
    Show {
        /// Its number
        job: i64,
    },
    /// Queue a job again that failed or was cancelled, and those after it
    Retry {
        /// Its number
        #[arg(required = true)]
        jobs: Vec<i64>,
    },
    /// Cancel a job and those after it; a running one stops at its next safe point
    Cancel {
        /// Its number
        #[arg(required = true)]
        jobs: Vec<i64>,
    },
}

/// `filecash jobs list`.
#[derive(Debug, Args)]
pub struct JobsList {
    /// How many jobs that are over to show
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub over: u32,
}

/// `filecash sectors add`.
#[derive(Debug, Args)]
pub struct SectorsAdd {
    /// Folders as `filecash seal add-piece --dir` makes them, each with staged data, pieces.json and sector.json, in a
    /// --sealing folder of a worker
    #[arg(required = true, value_hint = ValueHint::DirPath)]
    pub dirs: Vec<PathBuf>,
    /// Seed, 64 hex digits, where it is known already; C1 waits for it otherwise
    #[arg(long, value_name = "HEX")]
    pub seed: Option<Hex32>,
}

/// Which sector of the queue.
#[derive(Debug, Args)]
pub struct QueuedSector {
    /// Its name, such as f01000/5
    pub sector: String,
}

/// `filecash sectors seed`.
#[derive(Debug, Args)]
pub struct SectorsSeed {
    #[command(flatten)]
    pub of: QueuedSector,
    /// Seed, 64 hex digits
    pub seed: Hex32,
}

/// `filecash sectors status`.
#[derive(Debug, Args)]
pub struct SectorsStatus {
    #[command(flatten)]
    pub of: QueuedSector,
    /// What happened to it, from the beginning
    #[arg(long)]
    pub log: bool,
}

/// `filecash sectors pledge`.
#[derive(Debug, Args)]
pub struct SectorsPledge {
    #[command(flatten)]
    pub miner: MinerOf,
    #[command(flatten)]
    pub node: NodeOf,
    /// Folder in which they are sealed: a --sealing folder of a worker
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub sealing: PathBuf,
    /// How many sectors
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub count: u64,
    /// How the seal's proof draws its challenges: interactive or synthetic
    #[arg(long, value_name = "NAME", default_value = "interactive")]
    pub feature: Feature,
}
