//! `filecash update …`: the command line of sector updates.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::{Extract, Hex32, Place, Registered, Replace, data_commitment, replica_commitment};

const REPLICAS: &str = "Replicas (with --dir DIR: DIR/sealed and DIR/cache, DIR/update/sealed and DIR/update/cache)";
const STATEMENT: &str = "What is proven (instead of --update)";

/// `filecash update`.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one value in a run")]
pub enum Update {
    /// Encode staged data into a sealed sector: the new replica, its trees, its commitments
    Encode(UpdateEncode),
    /// Open the challenges: the partition proofs
    Vanilla(UpdateVanilla),
    /// The SNARK, 192 bytes a partition, of partition proofs or of both replicas
    Prove(UpdateProve),
    /// Verify a proof; exit status 1 when it is wrong
    Verify(UpdateVerify),
    /// Get data back out of an updated replica
    Decode(UpdateDecode),
    /// Take the data out of an updated replica: makes the old replica again.
    ///
    /// With it come its tree-r-last, t_aux and p_aux; the updated replica stays as it is. Nothing gets its name before it is
    /// known to be the old replica. A run that was cut off after that, when the replica had its name and p_aux had not, is
    /// repeated with --force.
    Remove(UpdateRemove),
}

/// The old replica and its cache folder.
#[derive(Clone, Debug, Default, Args)]
pub struct SectorKey {
    /// Old replica, the sector key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = REPLICAS)]
    pub sector_key: Option<PathBuf>,
    /// Cache folder of the old replica
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = REPLICAS)]
    pub sector_key_cache: Option<PathBuf>,
}

/// The new replica and its cache folder.
#[derive(Clone, Debug, Default, Args)]
pub struct NewReplica {
    /// New replica
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = REPLICAS)]
    pub replica: Option<PathBuf>,
    /// Cache folder of the new replica
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = REPLICAS)]
    pub cache: Option<PathBuf>,
}

/// `filecash update encode`.
#[derive(Debug, Args)]
pub struct UpdateEncode {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub replace: Replace,
    #[command(flatten)]
    pub proof: Registered,
    #[command(flatten)]
    pub old: SectorKey,
    #[command(flatten)]
    pub new: NewReplica,
    /// Staged file with the new data [default: update/staged in --dir]
    #[arg(long, value_name = "FILE", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub staged: Option<PathBuf>,
    /// List of its pieces, which fill the sector [default: update/pieces.json in --dir]
    #[arg(long, value_name = "JSON", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub pieces: Option<PathBuf>,
    /// Output: the commitments [default: update/update.json in --dir]
    #[arg(long, value_name = "JSON", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// `filecash update vanilla`.
#[derive(Debug, Args)]
pub struct UpdateVanilla {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub replace: Replace,
    #[command(flatten)]
    pub old: SectorKey,
    #[command(flatten)]
    pub new: NewReplica,
    /// Output of encode [default: update/update.json in --dir]
    #[arg(long, value_name = "JSON", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub update: Option<PathBuf>,
    /// Partition proofs to write [default: update/vanilla.bin in --dir]
    #[arg(long, value_name = "FILE", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// `filecash update prove`.
#[derive(Debug, Args)]
pub struct UpdateProve {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub replace: Replace,
    /// Output of encode [default: update/update.json in --dir]
    #[arg(long, value_name = "JSON", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub update: Option<PathBuf>,
    /// Partition proofs [default: update/vanilla.bin in --dir if it is there; else the replicas are opened now]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["sector_key", "sector_key_cache", "replica", "cache"])]
    pub vanilla: Option<PathBuf>,
    #[command(flatten)]
    pub old: SectorKey,
    #[command(flatten)]
    pub new: NewReplica,
    /// Proof to write: 192 bytes a partition [default: update/proof.bin in --dir]
    #[arg(long, value_name = "FILE", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// What an update is about, where there is no output of encode.
#[derive(Clone, Debug, Default, Args)]
pub struct Statement {
    /// Sealed commitment of the old replica: 64 hex digits or a CID
    #[arg(long, value_name = "CID", value_parser = replica_commitment, help_heading = STATEMENT)]
    pub comm_r_old: Option<Hex32>,
    /// Sealed commitment of the new replica
    #[arg(long, value_name = "CID", value_parser = replica_commitment, help_heading = STATEMENT)]
    pub comm_r_new: Option<Hex32>,
    /// Unsealed commitment of the new data
    #[arg(long, value_name = "CID", value_parser = data_commitment, help_heading = STATEMENT)]
    pub comm_d_new: Option<Hex32>,
}

/// `filecash update verify`.
#[derive(Debug, Args)]
pub struct UpdateVerify {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub proof: Registered,
    /// Output of encode, for the commitments [default: update/update.json in --dir]
    #[arg(long, value_name = "JSON", value_hint = ValueHint::FilePath)]
    pub update: Option<PathBuf>,
    #[command(flatten)]
    pub statement: Statement,
    /// Proof: its bytes, or hex text [default: update/proof.bin in --dir]
    #[arg(long = "proof", id = "proof_file", value_name = "FILE", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub proof_file: Option<PathBuf>,
}

/// `filecash update decode`.
#[derive(Debug, Args)]
pub struct UpdateDecode {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub replace: Replace,
    #[command(flatten)]
    pub proof: Registered,
    /// New replica [default: update/sealed in --dir]
    #[arg(long, value_name = "FILE", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub replica: Option<PathBuf>,
    /// Old replica, the sector key [default: sealed in --dir]
    #[arg(long, value_name = "FILE", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub sector_key: Option<PathBuf>,
    /// Output of encode, for the commitments [default: update/update.json in --dir]
    #[arg(long, value_name = "JSON", value_hint = ValueHint::FilePath)]
    pub update: Option<PathBuf>,
    /// Sealed commitment of the old replica: 64 hex digits or a CID
    #[arg(long, value_name = "CID", value_parser = replica_commitment, help_heading = STATEMENT)]
    pub comm_r_old: Option<Hex32>,
    /// Unsealed commitment of the data
    #[arg(long, value_name = "CID", value_parser = data_commitment, help_heading = STATEMENT)]
    pub comm_d_new: Option<Hex32>,
    #[command(flatten)]
    pub extract: Extract,
}

/// `filecash update remove`.
#[derive(Debug, Args)]
pub struct UpdateRemove {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub replace: Replace,
    #[command(flatten)]
    pub new: NewReplica,
    /// Staged file with the data that was encoded [default: update/staged in --dir]
    #[arg(long, value_name = "FILE", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub staged: Option<PathBuf>,
    /// Output of encode [default: update/update.json in --dir]
    #[arg(long, value_name = "JSON", required_unless_present = "dir", value_hint = ValueHint::FilePath)]
    pub update: Option<PathBuf>,
    #[command(flatten)]
    pub old: SectorKey,
}
