//! `filecash worker`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use filecash_node::lotus::worker::{ANY_GROUP, ApiVersion};
use filecash_node::size::ByteSize;

use super::serve::Door;

const PLACES: &str = "What it does (by itself when none of these is given: what the machine has cores and memory for)";

/// `filecash worker`.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one value in a run")]
pub enum Worker {
    /// Take jobs from the queue and do them until stopped; the first Ctrl-C or SIGTERM ends it at safe points
    Run(WorkerRun),
    /// Be a worker of a miner, which sends the work
    #[command(subcommand)]
    Attach(Attach),
    /// Do one job that a worker hands over on standard input
    #[command(hide = true)]
    Job,
}

/// `filecash worker attach`.
#[derive(Debug, Subcommand)]
pub enum Attach {
    /// Make the SNARKs of seals and updates (C2, PR2) of a lotus-miner, or C2 of a miner of Filecash (--profile filecash)
    Lotus(AttachLotus),
}

/// Which miner.
#[derive(Debug, Args)]
pub struct MinerOf {
    /// The miner: TOKEN:ADDRESS, where the token may do everything; the variable does not show in lists of processes [env: MINER_API_INFO]
    #[arg(long, value_name = "TOKEN:ADDRESS")]
    pub miner_api: Option<String>,
    /// The miner's own folder, for its address and token, where nothing else names them [default: ~/.lotusminer]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "miner_api")]
    pub miner_repo: Option<PathBuf>,
}

/// Which full node.
#[derive(Debug, Args)]
pub struct NodeOf {
    /// A full node, for tickets: TOKEN:ADDRESS [env: FULLNODE_API_INFO]
    #[arg(long, value_name = "TOKEN:ADDRESS")]
    pub node_api: Option<String>,
}

/// `filecash worker attach lotus`.
#[derive(Debug, Args)]
pub struct AttachLotus {
    #[command(flatten)]
    pub miner: MinerOf,
    /// Where the miner's calls come in: IP:PORT
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3456")]
    pub listen: SocketAddr,
    /// HOST:PORT at which the miner reaches that, where it is another
    #[arg(long, value_name = "ADDRESS")]
    pub announce: Option<String>,
    /// The group of sectors that is served (Filecash)
    #[arg(long, value_name = "NAME", default_value = ANY_GROUP, hide_short_help = true)]
    pub group: String,
    /// Memory that the miner is told, by which it decides what to send [default: --max-ram]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub announce_memory: Option<ByteSize>,
    /// Version of the workers' API that the miner is told, such as 1.7.0 [default: that of its release]
    #[arg(long, value_name = "VERSION", hide_short_help = true)]
    pub worker_api: Option<ApiVersion>,
    #[command(flatten)]
    pub door: Door,
}

/// `filecash worker run`.
#[derive(Debug, Args)]
pub struct WorkerRun {
    /// Its name; workers that share a queue have different ones [default: the machine's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    #[command(flatten)]
    pub places: Places,
    #[command(flatten)]
    pub folders: Folders,
    #[command(flatten)]
    pub http: Http,
    /// End when nothing is left that this worker could do
    #[arg(long)]
    pub until_idle: bool,
    /// Seconds after which another takes over the jobs of a worker that is not heard of
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(2..=86_400), hide_short_help = true)]
    pub lease: u64,
}

/// Where a worker's sectors are.
#[derive(Debug, Args)]
pub struct Folders {
    /// Folder in which sectors are sealed, on a fast disk; several may be given
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub sealing: Vec<PathBuf>,
    /// Folder to which proven sectors move, on a large disk; several may be given [default: they stay where they were sealed]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub storing: Vec<PathBuf>,
    /// Bytes that stay free on each of these disks
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    pub reserve: ByteSize,
}

/// How many jobs of each sort a worker does at a time.
#[derive(Clone, Debug, Args)]
pub struct Places {
    /// Sectors in PC1 at a time
    #[arg(long, value_name = "N", help_heading = PLACES)]
    pub pc1: Option<usize>,
    /// Sectors in PC2, C1 or on their way to where they stay, at a time
    #[arg(long, value_name = "N", help_heading = PLACES)]
    pub pc2: Option<usize>,
    /// SNARKs of seals and updates at a time
    #[arg(long, value_name = "N", help_heading = PLACES)]
    pub c2: Option<usize>,
    /// Proofs of space-time: a window proof at a time, and a winning proof beside everything
    #[arg(long, help_heading = PLACES)]
    pub post: bool,
}

/// Showing the queue to people and to Prometheus.
#[derive(Clone, Debug, Args)]
pub struct Http {
    /// Show the queue, its workers and sectors as a page, and /metrics for Prometheus, at IP:PORT
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,
    /// What visitors have to know [env: FILECASH_HTTP_TOKEN]
    #[arg(long, value_name = "TOKEN", requires = "http", hide_short_help = true)]
    pub http_token: Option<String>,
}
