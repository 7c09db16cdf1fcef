//! `filecash seal synth`, and how a proof's challenges are drawn.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{Identity, Place, Replace};

/// `filecash seal synth`.
#[derive(Debug, Args)]
pub struct Synth {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub replace: Replace,
    #[command(flatten)]
    pub identity: Identity,
    /// Output of PC2
    #[arg(long, value_name = "JSON", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub pc2: Option<PathBuf>,
    /// List of pieces
    #[arg(long, value_name = "JSON", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub pieces: Option<PathBuf>,
    /// Sealed file
    #[arg(long, value_name = "FILE", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub sealed: Option<PathBuf>,
    /// Cache folder, where the synthetic proofs go
    #[arg(long, value_name = "DIR", required_unless_present = "dir", value_hint = ValueHint::DirPath)]
    pub cache: Option<PathBuf>,
}
