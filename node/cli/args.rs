//! The command line as types.
//!
//! Numbers and names are parsed here, so that verbs see values that cannot be malformed.

pub mod bench;
pub mod blocks;
pub mod chain;
pub mod ext;
pub mod fetch;
pub mod jobs;
pub mod many;
pub mod node;
pub mod plan;
pub mod post;
pub mod serve;
pub mod synth;
pub mod update;
pub mod worker;

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use filecash_engine::backend::DevicePlan;
use filecash_engine::field::Node;
use filecash_engine::sector::cid::{self, CidError};
use filecash_engine::sector::id::prover_id;
use filecash_engine::sector::{Feature, Profile, ProverId};
use filecash_node::config::Flags;
pub use filecash_node::hex32::Hex32;
use filecash_node::jobs::Store;
use filecash_node::size::ByteSize;

const SETTINGS: &str = "Settings (flags win over environment, settings file, defaults: see `filecash config show`)";
const OUTPUT: &str = "Output";

/// Seal, prove, verify and unseal storage sectors, byte for byte compatible with Filecoin's reference.
#[derive(Debug, Parser)]
#[command(
    name = "filecash",
    version,
    disable_help_subcommand = true,
    after_help = "Try it:  filecash quickstart\n\
                  Exit status: 0 done; 1 a proof does not hold, a sector or a file that was checked is damaged; 2 any other error."
)]
pub struct Command {
    /// For every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags of every verb.
#[derive(Debug, Args)]
pub struct Global {
    /// Print the result, or the failure, as one JSON document on standard output
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub json: bool,
    /// Tell no progress
    #[arg(long, short, global = true, help_heading = OUTPUT)]
    pub quiet: bool,
    /// What to log on standard error: a level such as info, or module=level pairs [env: RUST_LOG] [default: warn]
    #[arg(long, global = true, value_name = "LEVELS", help_heading = OUTPUT, hide_short_help = true)]
    pub log_level: Option<String>,
    /// Network whose rules apply: filecoin or filecash
    #[arg(long, global = true, value_name = "NAME", help_heading = SETTINGS)]
    pub profile: Option<Profile>,
    /// Memory that a phase plans with, such as 4GiB
    #[arg(long, visible_alias = "max-ram", global = true, value_name = "SIZE", help_heading = SETTINGS)]
    pub memory: Option<ByteSize>,
    /// Threads, 0 for one per core
    #[arg(long, global = true, value_name = "N", help_heading = SETTINGS, hide_short_help = true)]
    pub threads: Option<usize>,
    /// What computes: auto (GPUs and the CPU), cpu, gpu, or numbers and names as `filecash devices` lists them; single
    /// phases after semicolons, as in "auto; c2=cpu"
    #[arg(long, global = true, value_name = "DEVICES", help_heading = SETTINGS)]
    pub device: Option<DevicePlan>,
    /// Memory of a GPU that may be used, such as 4GiB
    #[arg(long, global = true, value_name = "SIZE", help_heading = SETTINGS, hide_short_help = true)]
    pub max_vram: Option<ByteSize>,
    /// Fail rather than let the CPU do what a GPU cannot, in the phases that GPUs take part in
    #[arg(long, global = true, help_heading = SETTINGS, hide_short_help = true)]
    pub require_gpu: bool,
    /// Folder of parameter files
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = SETTINGS, hide_short_help = true)]
    pub parameter_cache: Option<PathBuf>,
    /// Folder of parent tables
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = SETTINGS, hide_short_help = true)]
    pub parent_cache: Option<PathBuf>,
    /// Folder for files that a proof needs when the memory budget is too small for its vectors
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = SETTINGS, hide_short_help = true)]
    pub scratch: Option<PathBuf>,
    /// Folder where what GPU drivers compile is kept between runs, or none
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = SETTINGS, hide_short_help = true)]
    pub pipeline_cache: Option<PathBuf>,
    /// Tree rows that tree-r-last files leave out
    #[arg(long, global = true, value_name = "N", help_heading = SETTINGS, hide_short_help = true)]
    pub rows_to_discard: Option<usize>,
    /// Where the queue of jobs is kept: a file, or postgres://user:password@host/database for several machines
    #[arg(long, global = true, value_name = "PLACE", help_heading = SETTINGS, hide_short_help = true)]
    pub store: Option<Store>,
    /// Folder of blocks
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = SETTINGS, hide_short_help = true)]
    pub blocks: Option<PathBuf>,
    /// Folder of the chain
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = SETTINGS, hide_short_help = true)]
    pub chain: Option<PathBuf>,
    /// Settings file
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = SETTINGS, hide_short_help = true)]
    pub config: Option<PathBuf>,
}

impl Global {
    /// The flags that are settings.
    pub fn flags(&self) -> Flags {
        Flags {
            profile: self.profile,
            memory: self.memory,
            threads: self.threads,
            device: self.device.clone(),
            max_vram: self.max_vram,
            rows_to_discard: self.rows_to_discard,
            parameter_cache: self.parameter_cache.clone(),
            parent_cache: self.parent_cache.clone(),
            scratch: self.scratch.clone(),
            pipeline_cache: self.pipeline_cache.clone(),
            store: self.store.clone(),
            blocks: self.blocks.clone(),
            chain: self.chain.clone(),
        }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one value in a run")]
pub enum Verb {
    /// Seal a file into a small test sector, prove it, verify it, get it back: the whole life in one go
    Quickstart(Quickstart),
    /// One step of sealing, between files that the reference reads and writes too
    #[command(subcommand)]
    Seal(Seal),
    /// Prove that sealed sectors are still held: proofs of space-time
    #[command(subcommand)]
    Post(post::Post),
    /// Put new data into a sector that is sealed already (SnapDeals), and prove it
    #[command(subcommand)]
    Update(update::Update),
    /// Commitments of pieces of data
    #[command(subcommand)]
    Piece(Piece),
    /// Keep a file or folder as blocks, under the CID that IPFS programs give it
    Add(blocks::Add),
    /// Get what is at and below a CID from others, such as kubo, and keep it as blocks
    Fetch(blocks::Fetch),
    /// Write what a CID is of: a file or a folder
    Get(blocks::Get),
    /// Print a file that is kept as blocks
    Cat(blocks::Cat),
    /// What is in blocks, and below them
    #[command(subcommand)]
    Dag(blocks::Dag),
    /// CAR files: blocks on their way
    #[command(subcommand)]
    Car(blocks::Car),
    /// The chain that is followed, and chains in CAR files: what is in them, and whether it holds
    #[command(subcommand)]
    Chain(chain::Chain),
    /// A node of the network: run it, and ask one that runs
    #[command(subcommand)]
    Node(node::Node),
    /// Sectors: what a folder holds, and those in the queue
    #[command(subcommand, visible_alias = "sector")]
    Sectors(Sectors),
    /// The queue of jobs
    #[command(subcommand)]
    Jobs(jobs::Jobs),
    /// Do jobs of the queue
    #[command(subcommand)]
    Worker(worker::Worker),
    /// Let miner programs in that hand over proofs
    #[command(subcommand)]
    Serve(serve::Serve),
    /// Steps for the miner programs of others, which start us as a child
    #[command(subcommand)]
    Ext(ext::Ext),
    /// Groth16 parameter files
    #[command(subcommand)]
    Params(Params),
    /// Measure phases and kernels on this machine, compare results, predict sectors a day
    #[command(subcommand)]
    Bench(bench::Bench),
    /// What each phase will need before any work is done: memory, disk, parameters, time on this machine
    Plan(plan::Plan),
    /// The GPUs of this machine: what they are, whether they compute rightly, how fast
    Devices,
    /// The settings in force
    #[command(subcommand)]
    Config(Config),
}

impl Verb {
    /// Whether it runs until it is stopped, and so tells by its log what it does.
    pub fn is_daemon(&self) -> bool {
        matches!(
            self,
            Self::Worker(worker::Worker::Run(_) | worker::Worker::Attach(_))
                | Self::Serve(_)
                | Self::Node(node::Node::Run(_))
        )
    }
}

/// `filecash quickstart`.
#[derive(Debug, Args)]
pub struct Quickstart {
    /// File to seal, of at most 508 MiB; a short text of ours when left out
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Folder to make for the sector, or one in which this command was stopped and goes on [default: filecash-sector-N in
    /// the current folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
    /// Sector size, rather than the smallest that holds the file: 2KiB, 8MiB or 512MiB
    #[arg(long, value_name = "SIZE")]
    pub sector_size: Option<ByteSize>,
    /// How the seal's proof draws its challenges: interactive, synthetic (6 GB of disk from 8 MiB on) or
    /// non-interactive (thirteen times the work)
    #[arg(long, value_name = "NAME", default_value = "interactive")]
    pub feature: Feature,
}

/// `filecash config`.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Show every setting and where its value comes from
    Show,
}

/// `filecash params`.
#[derive(Debug, Subcommand)]
pub enum Params {
    /// Get the published parameters of one sector size from several places at once; what has come stays, and the same command goes on
    Fetch(fetch::ParamsFetch),
    /// Make test parameters for one sector size. Whoever makes parameters can forge proofs under them
    Setup(ParamsSetup),
    /// Make a test reference string for aggregation. Whoever makes it can forge aggregates under it
    SetupSrs(many::SetupSrs),
    /// List the published parameter files, the reference string for aggregation, and which are here
    List,
    /// Compare the files that are here with the published digests, check the points of the others; exit status 1 when one
    /// is damaged
    Check(ParamsCheck),
}

/// `filecash params setup`.
#[derive(Debug, Args)]
pub struct ParamsSetup {
    /// Sector size, such as 2KiB
    #[arg(long, value_name = "SIZE")]
    pub sector_size: ByteSize,
    /// Which circuit's
    #[arg(long, value_enum, default_value_t = Circuit::Porep)]
    pub circuit: Circuit,
    #[command(flatten)]
    pub replace: Replace,
}

/// Circuits that have parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Circuit {
    /// Proof of replication
    Porep,
    /// Winning proof of space-time
    Winning,
    /// Window proof of space-time
    Window,
    /// Update of an empty sector
    Update,
    /// All that the network has
    All,
}

/// `filecash params check`.
#[derive(Debug, Args)]
pub struct ParamsCheck {
    /// Only the parameters of this sector size; the reference string is of none
    #[arg(long, value_name = "SIZE")]
    pub sector_size: Option<ByteSize>,
}

/// `filecash piece`.
#[derive(Debug, Subcommand)]
pub enum Piece {
    /// Compute a piece's size and commitment (CommP)
    Commp(PieceCommp),
}

/// `filecash piece commp`.
#[derive(Debug, Args)]
pub struct PieceCommp {
    /// File of any length, - for standard input; zeros follow up to the next piece size
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

/// `filecash sectors`.
#[derive(Debug, Subcommand)]
pub enum Sectors {
    /// Queue the sealing of sectors whose data is staged
    Add(jobs::SectorsAdd),
    /// Begin sectors without deals for a lotus-miner: its numbers, the chain's tickets, and their jobs, of which `serve sealing`
    /// hands over the results
    Pledge(jobs::SectorsPledge),
    /// Tell the queue a sector's seed, for which C1 waits
    Seed(jobs::SectorsSeed),
    /// List the sectors of the queue and how far each is
    List,
    /// Show a sector of the queue and its jobs
    Status(jobs::SectorsStatus),
    /// Take a sector out of the queue's books, once nothing is left to do for it; its files stay
    Forget(jobs::QueuedSector),
    /// Say what a sector's folder holds and which step it is ready for; exit status 1 when something is wrong
    Inspect(SectorInspect),
}

/// `filecash sectors inspect`.
#[derive(Debug, Args)]
pub struct SectorInspect {
    /// Cache folder, or a folder as `filecash quickstart` makes it
    #[arg(value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Sector size, when it cannot be told from the files
    #[arg(long, value_name = "SIZE")]
    pub sector_size: Option<ByteSize>,
    /// Sealed file, when it is not beside the cache folder
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub sealed: Option<PathBuf>,
    /// Read every file: recompute digests and roots
    #[arg(long)]
    pub deep: bool,
}

/// `filecash seal`.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one value in a run")]
pub enum Seal {
    /// Append a piece to a staged file
    AddPiece(AddPiece),
    /// Pre-commit phase 1: tree-d and the layers of labels
    Pc1(Pc1),
    /// Pre-commit phase 2: tree-c, the replica, tree-r-last, CommR
    Pc2(Pc2),
    /// Prove a synthetic PoRep's whole set of challenges into the cache folder, before the seed is known
    Synth(synth::Synth),
    /// Commit phase 1: vanilla proofs for a seed
    C1(C1),
    /// Commit phase 2: the SNARK
    C2(C2),
    /// Verify a seal proof, or all of a list in one batch; exit status 1 when one is wrong
    Verify(Verify),
    /// Put the proofs of several sectors into a list, for batches and aggregates
    List(many::List),
    /// Aggregate the proofs of a list (SnarkPack)
    Aggregate(many::Aggregate),
    /// Verify an aggregate; exit status 1 when it is wrong
    VerifyAggregate(many::VerifyAggregate),
    /// Get data back out of a sealed file
    Unseal(Unseal),
    /// Delete what proving the seal needed and proving storage does not: layers, tree-d, tree-c. After C1, or after synth
    ClearCache(ClearCache),
}

/// Where a sector lies.
#[derive(Clone, Debug, Default, Args)]
pub struct Place {
    /// Folder as `filecash quickstart` makes it: gives the paths and the identity that no flag gives
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

/// Whether results may replace files.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Replace {
    /// Replace results that are already there
    #[arg(long)]
    pub force: bool,
}

/// Which registered proof of a step's kind.
#[derive(Clone, Debug, Default, Args)]
pub struct Registered {
    /// Sector size, such as 32GiB: the newest proof of that size [default: from --dir]
    #[arg(long, value_name = "SIZE", conflicts_with = "registered_proof")]
    pub sector_size: Option<ByteSize>,
    /// Registered proof, by number or name, instead of the size
    #[arg(long, value_name = "PROOF")]
    pub registered_proof: Option<String>,
}

/// Which registered seal proof.
#[derive(Clone, Debug, Default, Args)]
pub struct Proof {
    #[command(flatten)]
    pub registered: Registered,
    /// How the proof of that size draws its challenges: interactive, synthetic or non-interactive
    #[arg(long, value_name = "NAME", requires = "sector_size")]
    pub feature: Option<Feature>,
}

/// Who proves.
#[derive(Clone, Debug, Default, Args)]
pub struct Prover {
    /// Prover id, 64 hex digits
    #[arg(long, value_name = "HEX", conflicts_with = "miner")]
    pub prover_id: Option<Hex32>,
    /// Miner, such as f01000, instead of the prover id [default: from --dir]
    #[arg(long, value_name = "ACTOR")]
    pub miner: Option<Miner>,
}

impl Prover {
    /// The prover id that either flag gives.
    pub fn id(&self) -> Option<Hex32> {
        self.prover_id.or_else(|| self.miner.map(|miner| Hex32(miner.prover_id())))
    }
}

/// Whose sector it is and its ticket.
#[derive(Clone, Debug, Default, Args)]
pub struct Identity {
    #[command(flatten)]
    pub prover: Prover,
    /// Sector number
    #[arg(long, value_name = "N")]
    pub sector: Option<u64>,
    /// Ticket, 64 hex digits
    #[arg(long, value_name = "HEX")]
    pub ticket: Option<Hex32>,
}

/// `filecash seal add-piece`.
#[derive(Debug, Args)]
pub struct AddPiece {
    /// File to append, - for standard input
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub proof: Proof,
    /// With --dir and all of it given: kept in sector.json, where PC1 finds it
    #[command(flatten)]
    pub identity: Identity,
    /// Staged file to append to
    #[arg(long, value_name = "FILE", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub staged: Option<PathBuf>,
    /// List of pieces, read and extended
    #[arg(long, value_name = "JSON", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub pieces: Option<PathBuf>,
    /// Raw size of the piece, 127·2ᵏ bytes [default: the smallest that holds the file]
    #[arg(long, value_name = "SIZE")]
    pub piece_size: Option<ByteSize>,
    /// List zero pieces after this one until the sector is full, as PC1 needs it
    #[arg(long)]
    pub fill: bool,
}

/// `filecash seal pc1`.
#[derive(Debug, Args)]
pub struct Pc1 {
    /// Folders of many sectors, each with staged data, pieces.json and sector.json: labelled together, which is faster
    #[arg(
        long,
        value_name = "DIR",
        num_args = 1..,
        value_hint = ValueHint::DirPath,
        conflicts_with_all = [
            "dir", "force", "sector_size", "registered_proof", "feature", "prover_id", "miner", "sector", "ticket",
            "staged", "sealed", "cache", "pieces", "out",
        ]
    )]
    pub sectors: Vec<PathBuf>,
    /// How many of --sectors at a time, each with two layers in memory [default: as many as there is free memory for]
    #[arg(long, value_name = "N", requires = "sectors", value_parser = clap::value_parser!(u32).range(1..))]
    pub at_once: Option<u32>,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub replace: Replace,
    #[command(flatten)]
    pub proof: Proof,
    #[command(flatten)]
    pub identity: Identity,
    /// Staged file
    #[arg(long, value_name = "FILE", required_unless_present_any = ["dir", "sectors"], value_hint = ValueHint::FilePath)]
    pub staged: Option<PathBuf>,
    /// Sealed file to make
    #[arg(long, value_name = "FILE", required_unless_present_any = ["dir", "sectors"], value_hint = ValueHint::FilePath)]
    pub sealed: Option<PathBuf>,
    /// Cache folder
    #[arg(long, value_name = "DIR", required_unless_present_any = ["dir", "sectors"], value_hint = ValueHint::DirPath)]
    pub cache: Option<PathBuf>,
    /// List of pieces
    #[arg(long, value_name = "JSON", required_unless_present_any = ["dir", "sectors"], value_hint = ValueHint::FilePath)]
    pub pieces: Option<PathBuf>,
    /// Output of the phase
    #[arg(long, value_name = "JSON", required_unless_present_any = ["dir", "sectors"], value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// `filecash seal pc2`.
#[derive(Debug, Args)]
pub struct Pc2 {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub replace: Replace,
    /// Output of PC1
    #[arg(long, value_name = "JSON", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub pc1: Option<PathBuf>,
    /// Sealed file, as PC1 left it; becomes the replica
    #[arg(long, value_name = "FILE", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub sealed: Option<PathBuf>,
    /// Cache folder
    #[arg(long, value_name = "DIR", required_unless_present = "dir", value_hint = ValueHint::DirPath)]
    pub cache: Option<PathBuf>,
    /// Output of the phase
    #[arg(long, value_name = "JSON", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// `filecash seal c1`.
#[derive(Debug, Args)]
pub struct C1 {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub replace: Replace,
    #[command(flatten)]
    pub identity: Identity,
    /// Seed, 64 hex digits; a non-interactive proof has none
    #[arg(long, value_name = "HEX")]
    pub seed: Option<Hex32>,
    #[command(flatten)]
    pub inputs: CommitInputs,
    /// Output of the phase
    #[arg(long, value_name = "JSON", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// The files of a sector after PC2 that vanilla proofs are made of.
#[derive(Debug, Args)]
pub struct CommitInputs {
    /// Output of PC2
    #[arg(long, value_name = "JSON", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub pc2: Option<PathBuf>,
    /// List of pieces
    #[arg(long, value_name = "JSON", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub pieces: Option<PathBuf>,
    /// Sealed file
    #[arg(long, value_name = "FILE", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub sealed: Option<PathBuf>,
    /// Cache folder; synthetic proofs lie in it too
    #[arg(long, value_name = "DIR", required_unless_present = "dir", value_hint = ValueHint::DirPath)]
    pub cache: Option<PathBuf>,
}

/// `filecash seal c2`.
#[derive(Debug, Args)]
pub struct C2 {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub replace: Replace,
    #[command(flatten)]
    pub identity: Identity,
    /// Output of C1
    #[arg(long, value_name = "JSON", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub c1: Option<PathBuf>,
    /// Proof to write: 192 bytes a partition, or the aggregate of a non-interactive PoRep's
    #[arg(long, value_name = "FILE", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// `filecash seal verify`.
#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub proof: Proof,
    #[command(flatten)]
    pub identity: Identity,
    /// Seed, 64 hex digits; a non-interactive proof has none
    #[arg(long, value_name = "HEX")]
    pub seed: Option<Hex32>,
    /// Sealed commitment: 64 hex digits or a CID [default: from the PC2 output]
    #[arg(long, value_name = "CID", value_parser = replica_commitment)]
    pub comm_r: Option<Hex32>,
    #[command(flatten)]
    pub data: DataCommitment,
    /// Proof: its bytes, or hex text
    #[arg(long = "proof", id = "proof_file", value_name = "FILE", required_unless_present_any = ["dir", "list"], value_hint = ValueHint::FilePath)]
    pub proof_file: Option<PathBuf>,
    /// List of seals, as `filecash seal list` makes it, to verify in one batch; names every one that is wrong
    #[arg(long, value_name = "JSON", value_hint = ValueHint::FilePath, conflicts_with_all = LISTED)]
    pub list: Option<PathBuf>,
    /// Verify the seals of the list one after the other
    #[arg(long, requires = "list")]
    pub one_by_one: bool,
}

/// What a list of seals says by itself.
const LISTED: [&str; 12] = [
    "dir",
    "sector_size",
    "registered_proof",
    "prover_id",
    "miner",
    "sector",
    "ticket",
    "seed",
    "comm_r",
    "comm_d",
    "pc2",
    "proof_file",
];

/// `filecash seal unseal`.
#[derive(Debug, Args)]
pub struct Unseal {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub replace: Replace,
    #[command(flatten)]
    pub proof: Proof,
    #[command(flatten)]
    pub identity: Identity,
    /// Sealed file
    #[arg(long, value_name = "FILE", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub sealed: Option<PathBuf>,
    #[command(flatten)]
    pub data: DataCommitment,
    /// Cache folder: the last layer, if it is there still, need not be computed again
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub cache: Option<PathBuf>,
    #[command(flatten)]
    pub extract: Extract,
    /// Folder for layers meanwhile [default: where the data goes; with -, where the sealed file lies]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub scratch: Option<PathBuf>,
}

/// The commitment to a sector's data, or the file that has it.
#[derive(Debug, Args)]
pub struct DataCommitment {
    /// Unsealed commitment: 64 hex digits or a CID [default: from the PC2 output]
    #[arg(long, value_name = "CID", value_parser = data_commitment)]
    pub comm_d: Option<Hex32>,
    /// Output of PC2, for commitments that no flag gives
    #[arg(long, value_name = "JSON", value_hint = ValueHint::FilePath)]
    pub pc2: Option<PathBuf>,
}

/// Which raw bytes of a sector to get back, and where they go.
#[derive(Debug, Args)]
pub struct Extract {
    /// First raw byte, counted from the start of the sector
    #[arg(long, value_name = "SIZE", default_value = "0")]
    pub offset: ByteSize,
    /// Raw bytes [default: up to the end of the sector, or from 0 on of the file that quickstart sealed into it]
    #[arg(long, value_name = "SIZE")]
    pub length: Option<ByteSize>,
    /// Where the data goes, - for standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: PathBuf,
}

/// `filecash seal clear-cache`.
#[derive(Debug, Args)]
pub struct ClearCache {
    #[command(flatten)]
    pub place: Place,
    /// The synthetic proofs too, which C1 of a synthetic PoRep needs
    #[arg(long)]
    pub synthetic: bool,
    /// Cache folder
    #[arg(long, value_name = "DIR", required_unless_present = "dir", value_hint = ValueHint::DirPath)]
    pub cache: Option<PathBuf>,
}

/// A CommD as hex digits or CID.
fn data_commitment(text: &str) -> Result<Hex32, String> {
    commitment(text, cid::parse_data)
}

/// A CommR as hex digits or CID.
fn replica_commitment(text: &str) -> Result<Hex32, String> {
    commitment(text, cid::parse_replica)
}

fn commitment(text: &str, parse_cid: fn(&str) -> Result<Node, CidError>) -> Result<Hex32, String> {
    // A CID in base32 begins with `b`, which is a hex digit too, but is longer and has letters beyond `f`.
    text.parse().or_else(|hex: String| match parse_cid(text) {
        Ok(node) => Ok(Hex32(node)),
        Err(CidError::Syntax { .. }) => Err(format!("{hex} or a CID")),
        Err(error) => Err(error.to_string()),
    })
}

/// A miner's actor number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Miner(pub u64);

impl Miner {
    /// The actor number as a prover id.
    pub fn prover_id(self) -> ProverId {
        prover_id(self.0)
    }
}

impl FromStr for Miner {
    type Err = String;

    /// `f01000`, `t01000` or `1000`.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix("f0").or_else(|| text.strip_prefix("t0")).unwrap_or(text);
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        match number.parse() {
            Ok(number) if digits => Ok(Self(number)),
            _ => Err("expected an id address such as f01000, or its number".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Command::command().debug_assert();
    }

    #[test]
    fn miners_parse() {
        for text in ["f01000", "t01000", "1000"] {
            assert_eq!(text.parse(), Ok(Miner(1000)), "{text}");
        }
        for text in ["", "f0", "f1abc", "f2zzz", "-1", "+1", "18446744073709551616", "f0 1"] {
            assert!(text.parse::<Miner>().is_err(), "{text}");
        }
        assert_eq!(Miner(1000).prover_id()[..3], [0xe8, 0x07, 0]);
    }

    #[test]
    fn hex_is_64_digits() {
        assert_eq!(format!("0x{}", "01".repeat(32)).parse(), Ok(Hex32([1; 32])));
        assert!("01".parse::<Hex32>().unwrap_err().contains("found 2"));
        assert!("zz".repeat(32).parse::<Hex32>().is_err());
    }
}
