//! `filecash post …`: the command line of proofs of space-time.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};
use filecash_engine::api::post::ReadLimits;
use serde::{Deserialize, Serialize};

use super::{Hex32, Prover, Registered, Replace, replica_commitment};

const SECTORS: &str = "Sectors (any mixture, each once)";
const LIMITS: &str = "Time for reading";

/// `filecash post`.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one value in a run")]
pub enum Post {
    /// The proof that comes with a block: of the sector that wins, at 66 leaves
    #[command(subcommand)]
    Winning(Winning),
    /// The proof of a deadline: of every sector, at 10 leaves each
    #[command(subcommand)]
    Window(Window),
}

/// `filecash post winning`.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one value in a run")]
pub enum Winning {
    /// Say which sector wins and which of its leaves are opened
    Challenges(WinningChallenges),
    /// Open the winning sector: its vanilla proof
    Vanilla(WinningVanilla),
    /// The SNARK, 192 bytes, of a sector or of its vanilla proof
    Prove(WinningProve),
    /// Verify a proof; exit status 1 when it is wrong
    Verify(WinningVerify),
}

/// `filecash post window`.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one value in a run")]
pub enum Window {
    /// Say which leaves of each sector are opened
    Challenges(WindowChallenges),
    /// Open every sector: its vanilla proof; names those that are faulty
    Vanilla(WindowVanilla),
    /// The SNARKs, 192 bytes a partition, of sectors or of their vanilla proofs
    Prove(WindowProve),
    /// Verify a proof; exit status 1 when it is wrong
    Verify(WindowVerify),
}

/// What is proven, when, by whom.
#[derive(Clone, Debug, Default, Args)]
pub struct Round {
    #[command(flatten)]
    pub proof: Registered,
    /// Randomness of the chain, 64 hex digits, the two top bits of the last byte cleared
    #[arg(long, value_name = "HEX")]
    pub randomness: Option<Hex32>,
    #[command(flatten)]
    pub prover: Prover,
}

/// Which sectors.
#[derive(Clone, Debug, Default, Args)]
pub struct Sectors {
    /// List of sectors: [{"sector_id", "comm_r", "cache", "sealed"}, …]; to verify, no paths are needed
    #[arg(long, value_name = "JSON", value_hint = ValueHint::FilePath, help_heading = SECTORS)]
    pub sectors: Option<PathBuf>,
    /// Folder as `filecash quickstart` makes it; may be repeated
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = SECTORS)]
    pub dir: Vec<PathBuf>,
    /// Sector as NUMBER,COMM_R or NUMBER,COMM_R,CACHE,SEALED; may be repeated
    #[arg(long, value_name = "SECTOR", help_heading = SECTORS)]
    pub sector: Vec<SectorEntry>,
}

/// What every step is about.
#[derive(Clone, Debug, Default, Args)]
pub struct Subject {
    #[command(flatten)]
    pub round: Round,
    #[command(flatten)]
    pub sectors: Sectors,
}

/// A sector in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SectorEntry {
    /// Its number.
    pub sector_id: u64,
    /// CommR as hex digits or CID.
    pub comm_r: CommR,
    /// Cache folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
    /// The replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<PathBuf>,
}

impl FromStr for SectorEntry {
    type Err = String;

    /// `12,baga…,/cache/12,/sealed/12`; paths with commas need a list.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').collect();
        let (number, comm_r, paths) = match parts[..] {
            [number, comm_r] => (number, comm_r, None),
            [number, comm_r, cache, sealed] => (number, comm_r, Some([cache, sealed].map(PathBuf::from))),
            _ => return Err("expected NUMBER,COMM_R or NUMBER,COMM_R,CACHE,SEALED".to_owned()),
        };
        let sector_id = number.parse().map_err(|_| format!("{number:?} is no sector number"))?;
        let [cache, sealed] = paths.map_or([None, None], |paths| paths.map(Some));
        Ok(Self { sector_id, comm_r: comm_r.to_owned().try_into()?, cache, sealed })
    }
}

/// A CommR, written as hex digits, read as these or as a CID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommR(pub [u8; 32]);

impl TryFrom<String> for CommR {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        replica_commitment(&text).map(|comm_r| Self(comm_r.0))
    }
}

impl From<CommR> for String {
    fn from(comm_r: CommR) -> Self {
        hex::encode(comm_r.0)
    }
}

/// How long reading may take.
#[derive(Clone, Copy, Debug, Args)]
pub struct Limits {
    /// Seconds for one sector: one that is not read by then is faulty
    #[arg(long, value_name = "SECONDS", default_value_t = 60, help_heading = LIMITS)]
    pub sector_timeout: u64,
    /// Seconds for all sectors together
    #[arg(long, value_name = "SECONDS", default_value_t = 900, help_heading = LIMITS)]
    pub timeout: u64,
    /// Sectors read at a time
    #[arg(long, value_name = "N", default_value_t = 32, help_heading = LIMITS)]
    pub parallel: usize,
}

impl From<Limits> for ReadLimits {
    fn from(limits: Limits) -> Self {
        // Instants beyond some centuries do not exist.
        let seconds = |seconds: u64| Duration::from_secs(seconds.min(u32::MAX.into()));
        Self {
            per_sector: seconds(limits.sector_timeout),
            total: seconds(limits.timeout),
            parallel: limits.parallel.max(1),
        }
    }
}

/// Which partition of a window.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Partition {
    /// The sectors are those of this partition alone, counted from 0
    #[arg(long, value_name = "N")]
    pub partition: Option<u64>,
}

/// What to do about faulty sectors.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Skip {
    /// Leave faulty sectors out and name them, instead of refusing all; the result is of the others.
    ///
    /// The verifier has to be given the list of the others (`prove --proven` writes it). With --partition, the partitions
    /// after this one keep their borders: its proof is then verified with `verify --partition` and that list, and may
    /// stand in the proof of the whole window only as its last partition.
    #[arg(long)]
    pub skip_faulty: bool,
}

/// Where challenges go.
#[derive(Debug, Args)]
pub struct WriteChallenges {
    #[command(flatten)]
    pub replace: Replace,
    /// Challenges to write, for `vanilla`
    #[arg(long, value_name = "JSON", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// What the output of `challenges` says by itself, besides the partition.
const CHALLENGED: [&str; 5] = ["sector_size", "registered_proof", "randomness", "prover_id", "miner"];

/// What vanilla proofs say by themselves, and reading, which they are done with.
const OPENED: [&str; 5] = ["sectors", "sector", "sector_timeout", "timeout", "parallel"];

/// `filecash post winning challenges`.
#[derive(Debug, Args)]
pub struct WinningChallenges {
    #[command(flatten)]
    pub subject: Subject,
    /// Say only which place wins out of so many sectors
    #[arg(long, value_name = "N", conflicts_with_all = ["sectors", "sector", "out", "force"])]
    pub sector_count: Option<u64>,
    #[command(flatten)]
    pub output: WriteChallenges,
}

/// `filecash post winning vanilla`.
#[derive(Debug, Args)]
pub struct WinningVanilla {
    #[command(flatten)]
    pub subject: Subject,
    /// Output of `challenges`, instead of the round
    #[arg(long, value_name = "JSON", conflicts_with_all = CHALLENGED, value_hint = ValueHint::FilePath)]
    pub challenges: Option<PathBuf>,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub replace: Replace,
    /// Vanilla proof to write
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: PathBuf,
}

/// `filecash post winning prove`.
#[derive(Debug, Args)]
pub struct WinningProve {
    #[command(flatten)]
    pub subject: Subject,
    /// Vanilla proof of the winning sector, instead of sectors; --dir then gives size and miner only
    #[arg(long, value_name = "FILE", conflicts_with_all = OPENED, value_hint = ValueHint::FilePath)]
    pub vanilla: Option<PathBuf>,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub replace: Replace,
    /// Proof to write: 192 bytes
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: PathBuf,
}

/// `filecash post winning verify`, and what `filecash post window verify` has in common with it.
#[derive(Debug, Args)]
pub struct WinningVerify {
    #[command(flatten)]
    pub subject: Subject,
    /// Proof: its bytes, or hex text
    #[arg(long = "proof", id = "proof_file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub proof_file: PathBuf,
}

/// `filecash post window challenges`.
#[derive(Debug, Args)]
pub struct WindowChallenges {
    #[command(flatten)]
    pub subject: Subject,
    #[command(flatten)]
    pub partition: Partition,
    #[command(flatten)]
    pub output: WriteChallenges,
}

/// `filecash post window vanilla`.
#[derive(Debug, Args)]
pub struct WindowVanilla {
    #[command(flatten)]
    pub subject: Subject,
    #[command(flatten)]
    pub partition: Partition,
    /// Output of `challenges`, instead of round and partition
    #[arg(
        long,
        value_name = "JSON",
        conflicts_with_all = CHALLENGED,
        conflicts_with = "partition",
        value_hint = ValueHint::FilePath
    )]
    pub challenges: Option<PathBuf>,
    #[command(flatten)]
    pub skip: Skip,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub replace: Replace,
    /// Folder for the vanilla proofs, a file `sector-N` for each
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,
}

/// `filecash post window prove`.
#[derive(Debug, Args)]
pub struct WindowProve {
    #[command(flatten)]
    pub subject: Subject,
    /// Vanilla proofs, instead of sectors: files, or folders as `vanilla` makes them; --dir then gives size and miner only
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with_all = OPENED, value_hint = ValueHint::AnyPath)]
    pub vanilla: Vec<PathBuf>,
    #[command(flatten)]
    pub partition: Partition,
    #[command(flatten)]
    pub skip: Skip,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub replace: Replace,
    /// Proof to write: 192 bytes a partition
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: PathBuf,
    /// Also write the list of the sectors that are proven, as `verify --sectors` wants it
    #[arg(long, value_name = "JSON", value_hint = ValueHint::FilePath)]
    pub proven: Option<PathBuf>,
}

/// `filecash post window verify`.
#[derive(Debug, Args)]
pub struct WindowVerify {
    #[command(flatten)]
    pub verify: WinningVerify,
    #[command(flatten)]
    pub partition: Partition,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_parse_with_and_without_paths() {
        let comm_r = "25140203d160791e6748f76792b2a4d9dcac5bf4c37b38dd84359355a4c28c33";
        let cid = "bagboea4b5abcajiuaib5cydzdztur53hskzkjwo4vrn7jq33hdoyinmtkwsmfdbt";
        let short: SectorEntry = format!("7,{comm_r}").parse().unwrap();
        assert_eq!(short, format!("7,{cid}").parse().unwrap());
        assert_eq!((short.sector_id, short.cache.clone()), (7, None));
        let long: SectorEntry = format!("7,{comm_r},a/cache,a/sealed").parse().unwrap();
        assert_eq!(long.sealed, Some(PathBuf::from("a/sealed")));
        for bad in ["7", "x,00", &format!("7,{comm_r},cache"), "7,00"] {
            assert!(bad.parse::<SectorEntry>().is_err(), "{bad}");
        }
        let json = serde_json::to_string(&short).unwrap();
        assert_eq!(json, format!("{{\"sector_id\":7,\"comm_r\":\"{comm_r}\"}}"));
        assert_eq!(serde_json::from_str::<SectorEntry>(&json).unwrap(), short);
        assert!(serde_json::from_str::<SectorEntry>("{\"sector_id\":7,\"comm_r\":\"00\"}").is_err());
    }
}
