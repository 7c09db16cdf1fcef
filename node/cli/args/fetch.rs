//! `filecash params fetch`.

use clap::Args;
use filecash_node::fetch::Source;
use filecash_node::size::ByteSize;

use super::{Circuit, Replace};

/// `filecash params fetch`.
#[derive(Debug, Args)]
pub struct ParamsFetch {
    /// Sector size, such as 32GiB
    #[arg(long, value_name = "SIZE", required_unless_present = "srs")]
    pub sector_size: Option<ByteSize>,
    /// Which circuit's
    #[arg(long, value_enum, default_value_t = Circuit::All)]
    pub circuit: Circuit,
    /// Only the verifying keys, which are small: enough to verify proofs
    #[arg(long)]
    pub verifying_keys: bool,
    /// The reference string for aggregation too
    #[arg(long)]
    pub srs: bool,
    /// A place that has the files, given as often as there are: a folder, an address ending in /ipfs (a gateway), or any other
    /// address, under which files have their names. By default $IPFS_GATEWAY if there is one, the network's own gateway, and
    /// public ones
    #[arg(long, value_name = "PLACE")]
    pub source: Vec<Source>,
    #[command(flatten)]
    pub replace: Replace,
}
