//! `filecash chain`.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};
use filecash_ipld::Cid;

/// `filecash chain`: of the chain that is followed, or of a CAR file.
#[derive(Debug, Subcommand)]
pub enum Chain {
    /// Check a CAR file of a chain, or of a genesis, and follow it if it is heavier than the chain that is there
    Import {
        /// The CAR file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// The tipset at the top
    Head {
        /// A CAR file, instead of the chain that is followed
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Tipsets from the top to the genesis
    List {
        /// A CAR file, instead of the chain that is followed
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        count: usize,
    },
    /// An object of the chain, as dag-json
    #[command(override_usage = "filecash chain show [OPTIONS] [FILE] <CID>")]
    Show {
        /// A CAR file, instead of the chain that is followed; then the object
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        first: PathBuf,
        /// The object
        #[arg(value_name = "CID")]
        second: Option<Cid>,
    },
    /// Check every object, header, message and signature as far as that needs no ledger, and tell what the genesis says
    Inspect {
        /// The CAR file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}
