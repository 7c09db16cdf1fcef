//! `filecash chain`.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};
use filecash_ipld::Cid;

/// `filecash chain`: each of a CAR file of a chain, or of a genesis.
#[derive(Debug, Subcommand)]
pub enum Chain {
    /// The tipset at the top
    Head {
        /// The CAR file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Tipsets from the top to the genesis
    List {
        /// The CAR file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        count: usize,
    },
    /// An object of the chain, as dag-json
    Show {
        /// The CAR file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// The object
        cid: Cid,
    },
    /// Check every object, header, message and signature as far as that needs no ledger, and tell what the genesis says
    Inspect {
        /// The CAR file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}
