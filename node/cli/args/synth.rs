//! `filecash seal synth`.

use clap::Args;

use super::{CommitInputs, Identity, Place, Replace};

/// `filecash seal synth`.
#[derive(Debug, Args)]
pub struct Synth {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub replace: Replace,
    #[command(flatten)]
    pub identity: Identity,
    #[command(flatten)]
    pub inputs: CommitInputs,
}
