//! `filecash serve`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use filecash_node::cuzk::Listen;

use super::worker::{Folders, Http, MinerOf, NodeOf, Places};

/// `filecash serve`.
#[derive(Debug, Subcommand)]
pub enum Serve {
    /// Proofs for miners that speak cuzk.v1 (gRPC), such as Curio
    Cuzk(ServeCuzk),
    /// C2 for Filecash's miners and workers that are given FFI_REMOTE_COMMIT2_BASE_URL (HTTP)
    RemoteC2(ServeRemoteC2),
    /// Sectors that are sealed here, C1 and C2 too, for a lotus-miner that takes them over (SectorReceive)
    Sealing(ServeSealing),
    /// Blocks, CARs and pieces for anybody who asks (IPFS trustless gateway and piece retrieval, HTTP); only read
    Gateway(ServeGateway),
    /// Blocks for other nodes, such as kubo, by bitswap and graphsync; only read
    Blocks(ServeBlocks),
}

/// `filecash serve blocks`.
#[derive(Debug, Args)]
pub struct ServeBlocks {
    /// Where nodes come in; several may be given
    #[arg(long, value_name = "ADDRESS", default_values = ["/ip4/127.0.0.1/tcp/4101", "/ip4/127.0.0.1/udp/4101/quic-v1"])]
    pub listen: Vec<String>,
}

/// What doors have in common.
#[derive(Debug, Args)]
pub struct Door {
    /// Only let clients in: workers elsewhere that share the queue do the proofs
    #[arg(long, conflicts_with = "c2")]
    pub no_worker: bool,
    /// SNARKs of seals and updates at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub c2: u16,
    #[command(flatten)]
    pub http: Http,
}

/// How much may wait behind a door.
#[derive(Debug, Args)]
pub struct Pending {
    /// Requests that may wait; more are turned away until there is room
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub max_pending: u64,
}

/// `filecash serve remote-c2`.
#[derive(Debug, Args)]
pub struct ServeRemoteC2 {
    /// Where clients come in: IP:PORT
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6000")]
    pub listen: SocketAddr,
    /// Address of a client that is let in; several may be given [default: all that reach the port]
    #[arg(long, value_name = "IP")]
    pub allow: Vec<IpAddr>,
    #[command(flatten)]
    pub pending: Pending,
    #[command(flatten)]
    pub door: Door,
}

/// `filecash serve sealing`.
#[derive(Debug, Args)]
pub struct ServeSealing {
    #[command(flatten)]
    pub miner: MinerOf,
    #[command(flatten)]
    pub node: NodeOf,
    /// Where the miner comes for files and proofs: IP:PORT
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6300")]
    pub listen: SocketAddr,
    /// HOST:PORT at which the miner reaches that, where it is another
    #[arg(long, value_name = "ADDRESS")]
    pub announce: Option<String>,
    #[command(flatten)]
    pub folders: Folders,
    #[command(flatten)]
    pub places: Places,
    /// Only serve: workers elsewhere that share the queue and the folders seal and prove
    #[arg(long)]
    pub no_worker: bool,
    #[command(flatten)]
    pub http: Http,
}

/// `filecash serve cuzk`.
#[derive(Debug, Args)]
pub struct ServeCuzk {
    /// Where clients come in: unix:///PATH or IP:PORT; several may be given
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9820")]
    pub listen: Vec<Listen>,
    #[command(flatten)]
    pub pending: Pending,
    #[command(flatten)]
    pub door: Door,
}

/// `filecash serve gateway`.
#[derive(Debug, Args)]
pub struct ServeGateway {
    /// Where clients come in: IP:PORT
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6400")]
    pub listen: SocketAddr,
    /// Folder of pieces, files called PIECE-CID.car or PIECE-CID.piece [default: no pieces]
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub pieces: Option<PathBuf>,
    /// Requests that are answered at a time; more are told to come again
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub max_requests: u16,
}
