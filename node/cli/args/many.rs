//! Verbs over many seals at once: lists, aggregates, the reference string.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use filecash_engine::groth16::Version;

use super::Replace;

/// `filecash seal list`.
#[derive(Debug, Args)]
pub struct List {
    /// Folders as `filecash quickstart` makes them, of proven sectors; an aggregate is of this order
    #[arg(required = true, value_hint = ValueHint::DirPath)]
    pub dirs: Vec<PathBuf>,
    #[command(flatten)]
    pub replace: Replace,
    /// List to write
    #[arg(long, value_name = "JSON", value_hint = ValueHint::FilePath)]
    pub out: PathBuf,
}

/// `filecash seal aggregate`.
#[derive(Debug, Args)]
pub struct Aggregate {
    #[command(flatten)]
    pub replace: Replace,
    /// List of seals, as `filecash seal list` makes it; its order is part of what is proven
    #[arg(long, value_name = "JSON", value_hint = ValueHint::FilePath)]
    pub list: PathBuf,
    #[command(flatten)]
    pub version: SnarkPack,
    /// Aggregate to write: 2,260 bytes and 2,976 for each doubling of the number of proofs
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: PathBuf,
}

/// `filecash seal verify-aggregate`.
#[derive(Debug, Args)]
pub struct VerifyAggregate {
    /// List of the seals in the order in which they were aggregated; their proofs are not looked at
    #[arg(long, value_name = "JSON", value_hint = ValueHint::FilePath)]
    pub list: PathBuf,
    #[command(flatten)]
    pub version: SnarkPack,
    /// Aggregate: its bytes, or hex text
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub aggregate: PathBuf,
}

/// `filecash params setup-srs`.
#[derive(Debug, Args)]
pub struct SetupSrs {
    /// Powers of each secret, from 2 to 1048577: twice the number of proofs that will be aggregated at once. The
    /// reference insists on reading 32769
    #[arg(long, value_name = "N", default_value_t = filecash_engine::groth16::srs::REFERENCE_POWERS)]
    pub powers: usize,
    #[command(flatten)]
    pub replace: Replace,
}

/// Which form an aggregate has.
#[derive(Clone, Copy, Debug, Args)]
pub struct SnarkPack {
    /// SnarkPack version, 1 or 2
    #[arg(long, value_name = "N", default_value = "2", value_parser = snarkpack)]
    pub snarkpack: Version,
}

fn snarkpack(text: &str) -> Result<Version, String> {
    text.parse().ok().and_then(Version::by_number).ok_or_else(|| "SnarkPack has versions 1 and 2".to_owned())
}
