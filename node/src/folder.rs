//! A sector in one folder: where each file of it lies, and `sector.json`, which says whose sector it is.
//!
//! `filecash quickstart` makes such folders, and `--dir` lets every sealing verb take its paths from one.
//!
//! ```text
//! staged  sealed  cache/  pieces.json  pc1.json  pc2.json  c1.json  proof.bin  winning.bin  window.bin  sector.json
//! ```

use std::path::{Path, PathBuf};

use filecash_engine::api::SectorIdentity;
use filecash_engine::sector::{Profile, SealProof};
use serde::{Deserialize, Serialize};

use crate::hex32::Hex32;

/// Name of the file whose lock has him who works in a folder.
pub const LOCK: &str = ".filecash-lock";

/// A folder that holds one sector.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The sector in `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Fr32-padded data.
    pub fn staged(&self) -> PathBuf {
        self.0.join("staged")
    }

    /// After PC1 the data, after PC2 the replica.
    pub fn sealed(&self) -> PathBuf {
        self.0.join("sealed")
    }

    /// The reference's cache folder.
    pub fn cache(&self) -> PathBuf {
        self.0.join("cache")
    }

    /// List of pieces.
    pub fn pieces(&self) -> PathBuf {
        self.0.join("pieces.json")
    }

    /// Output of PC1.
    pub fn pc1(&self) -> PathBuf {
        self.0.join("pc1.json")
    }

    /// Output of PC2.
    pub fn pc2(&self) -> PathBuf {
        self.0.join("pc2.json")
    }

    /// Output of C1.
    pub fn c1(&self) -> PathBuf {
        self.0.join("c1.json")
    }

    /// The SNARK.
    pub fn proof(&self) -> PathBuf {
        self.0.join("proof.bin")
    }

    /// A winning proof of space-time.
    pub fn winning(&self) -> PathBuf {
        self.0.join("winning.bin")
    }

    /// A window proof of space-time.
    pub fn window(&self) -> PathBuf {
        self.0.join("window.bin")
    }

    /// Whose lock has him who works in the folder.
    pub fn lock(&self) -> PathBuf {
        self.0.join(LOCK)
    }

    /// [`Identity`].
    pub fn identity(&self) -> PathBuf {
        self.0.join("sector.json")
    }
}

/// What `sector.json` says: everything besides the data that a sector depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Network whose rules apply.
    pub profile: Profile,
    /// Name of the registered seal proof.
    pub registered_proof: String,
    /// Prover id.
    pub prover_id: Hex32,
    /// Sector number.
    pub sector: u64,
    /// Ticket.
    pub ticket: Hex32,
    /// The chain's epoch of which the ticket is, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_epoch: Option<i64>,
    /// Seed, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Hex32>,
    /// Raw bytes of the file at the start of the sector, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_bytes: Option<u64>,
}

impl Identity {
    /// Without seed and file.
    pub fn of(proof: &SealProof, identity: &SectorIdentity) -> Self {
        Self {
            profile: proof.profile,
            registered_proof: proof.name.to_owned(),
            prover_id: Hex32(identity.prover_id),
            sector: identity.sector_id,
            ticket: Hex32(identity.ticket),
            ticket_epoch: None,
            seed: None,
            file_bytes: None,
        }
    }

    /// The registered seal proof.
    pub fn proof(&self) -> Result<SealProof, filecash_engine::sector::UnknownProof> {
        SealProof::by_name(self.profile, &self.registered_proof)
    }
}
