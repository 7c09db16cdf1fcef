//! `filecash ext`.

use clap::{Subcommand, ValueEnum};

/// `filecash ext`.
#[derive(Debug, Subcommand)]
pub enum Ext {
    /// PC2 for `lotus-worker run --external-pc2 'FILECASH --config FILE ext pc2'`: takes a sector from EXTSEAL_PC2_... in the
    /// environment, which holds nothing else, so that settings have to come from flags or a file
    Pc2,
    /// A processor of a Damocles worker: tasks on standard input, a line of JSON each, answers on standard output
    Damocles {
        /// Which stage's tasks they are
        #[arg(value_enum)]
        stage: Stage,
    },
}

/// Stages of a Damocles worker that processors exist for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Stage {
    /// The data of a sector, out of pieces in files, behind addresses, or of zeros
    AddPieces,
    /// The tree over the data
    TreeD,
    /// Tree-d and layers
    Pc1,
    /// The replica and its trees
    Pc2,
    /// The SNARK of a seal
    C2,
    /// The new replica of an update and its trees
    SnapEncode,
    /// The SNARK of an update
    SnapProve,
    /// Window proofs of space-time
    WindowPost,
    /// Winning proofs of space-time
    WinningPost,
    /// The data of a sealed sector, whole or a range
    Unseal,
}
