//! `filecash ext`.

use clap::Subcommand;

/// `filecash ext`.
#[derive(Debug, Subcommand)]
pub enum Ext {
    /// PC2 for `lotus-worker run --external-pc2 'FILECASH --config FILE ext pc2'`: takes a sector from EXTSEAL_PC2_... in the
    /// environment, which holds nothing else, so that settings have to come from flags or a file
    Pc2,
}
