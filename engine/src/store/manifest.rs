//! `filecash-manifest.json` beside the files of a sector: which sector they are of, and their digests.
//!
//! The reference takes any file of the right length for a finished one. We take a file only if the manifest is that of
//! the same replica and the file's SHA-256 is the one noted when it was finished; whatever else is there is made again.
//! A manifest is replaced as a whole, after each file, so that work survives a process that is killed.
//!
//! ```json
//! {"version":1,"profile":"filecash","size_bytes":2048,"porep_id":"<64 hex>","replica_id":"<64 hex>",
//!  "legacy_graph":false,"files":{"sc-02-data-layer-1.dat":{"size_bytes":2048,"sha256":"<64 hex>"}}}
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::job::{Cancelled, Stage};
use crate::sector::{PoRepConfig, Profile, ReplicaId};
use crate::store::atomic::{self, WriteError};

/// The name of the file.
pub const MANIFEST_NAME: &str = "filecash-manifest.json";
/// The only version there is.
const VERSION: u32 = 1;
/// Bytes that are hashed between two reports of progress.
const BLOCK_BYTES: usize = 1 << 20;

/// What decides the bytes of a sector's layers, trees and replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The network.
    pub profile: Profile,
    /// Padded size of the sector.
    pub size_bytes: u64,
    /// Seeds the graph.
    #[serde(with = "hexadecimal")]
    pub porep_id: [u8; 32],
    /// Enters every label.
    #[serde(with = "hexadecimal")]
    pub replica_id: ReplicaId,
    /// Whether the graph is that of API version 1.0.0.
    pub legacy_graph: bool,
}

impl Identity {
    /// The identity of a replica under a configuration.
    pub fn new(config: &PoRepConfig, replica_id: &ReplicaId) -> Self {
        Self {
            profile: config.profile,
            size_bytes: config.params.size_bytes,
            porep_id: config.porep_id.0,
            replica_id: *replica_id,
            legacy_graph: config.legacy_graph(),
        }
    }
}

/// Why a file was not checked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum CheckError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A finished file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its length.
    pub size_bytes: u64,
    /// The SHA-256 of its bytes.
    #[serde(with = "hexadecimal")]
    pub sha256: [u8; 32],
}

impl FileRecord {
    /// Of a file, which is read; the stage, if there is one, advances by its bytes.
    ///
    /// # Errors
    /// When the system cannot read the file, or the job is cancelled.
    pub fn of(path: &Path, stage: Option<&Stage<'_>>) -> Result<Self, CheckError> {
        let mut file = File::open(path)?;
        let mut hasher = Sha256::new();
        let mut block = vec![0; BLOCK_BYTES];
        let mut size_bytes = 0;
        loop {
            let read = file.read(&mut block)?;
            if read == 0 {
                return Ok(Self { size_bytes, sha256: hasher.finalize().into() });
            }
            hasher.update(&block[..read]);
            size_bytes += read as u64;
            if let Some(stage) = stage {
                stage.advance(read as u64)?;
            }
        }
    }
}

/// The finished files of a sector's folder, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    #[serde(flatten)]
    identity: Identity,
    files: BTreeMap<String, FileRecord>,
}

impl Manifest {
    /// A manifest without files.
    pub fn new(identity: Identity) -> Self {
        Self { version: VERSION, identity, files: BTreeMap::new() }
    }

    /// Reads the manifest of a folder. One that is not there, cannot be understood or is of another sector counts as
    /// one without files; the two latter with a warning.
    ///
    /// # Errors
    /// What the system says when it cannot read the file.
    pub fn load(folder: &Path, identity: Identity) -> io::Result<Self> {
        match Self::find(folder)? {
            Some(manifest) if manifest.identity == identity => return Ok(manifest),
            Some(_) => {
                tracing::warn!(folder = %folder.display(), "manifest is of another sector, its files count for nothing");
            }
            None => {}
        }
        Ok(Self::new(identity))
    }

    /// Reads the manifest of a folder, of whichever replica. One that cannot be understood counts as none, with a
    /// warning.
    ///
    /// # Errors
    /// What the system says when it cannot read the file.
    pub fn find(folder: &Path) -> io::Result<Option<Self>> {
        let path = folder.join(MANIFEST_NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match serde_json::from_slice::<Self>(&bytes) {
            Ok(manifest) if manifest.version == VERSION => Ok(Some(manifest)),
            result => {
                let version = result.as_ref().map_or(0, |manifest| manifest.version);
                let error = result.err();
                tracing::warn!(path = %path.display(), version, ?error, "manifest cannot be read, files count for nothing");
                Ok(None)
            }
        }
    }

    /// Which sector's files these are.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Replaces the manifest of a folder.
    ///
    /// # Errors
    /// [`WriteError`]; the manifest is then the one before.
    pub fn store(&self, folder: &Path) -> Result<(), WriteError> {
        let path = folder.join(MANIFEST_NAME);
        let mut bytes = serde_json::to_vec(self).map_err(|error| WriteError::at("write", &path)(error.into()))?;
        bytes.push(b'\n');
        atomic::write(&path, &bytes)
    }

    /// The record of a file.
    pub fn file(&self, name: &str) -> Option<&FileRecord> {
        self.files.get(name)
    }

    /// Notes a finished file.
    pub fn record(&mut self, name: impl Into<String>, record: FileRecord) {
        self.files.insert(name.into(), record);
    }

    /// Forgets a file.
    pub fn forget(&mut self, name: &str) {
        self.files.remove(name);
    }

    /// Whether a file is there with the noted length and digest; the stage advances by its bytes.
    ///
    /// # Errors
    /// When the system cannot read the file, or the job is cancelled.
    pub fn holds(&self, folder: &Path, name: &str, stage: &Stage<'_>) -> Result<bool, CheckError> {
        let Some(record) = self.files.get(name) else { return Ok(false) };
        let path = folder.join(name);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() == record.size_bytes => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(FileRecord::of(&path, Some(stage))? == *record)
    }
}

/// 32 bytes as 64 hexadecimal digits.
mod hexadecimal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let digits = String::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(D::Error::custom)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::job::{Cancel, Job, Quiet, Unit};
    use crate::sector::SealProof;

    fn identity(replica_id: ReplicaId) -> Identity {
        Identity::new(&SealProof::by_id(Profile::Filecash, 7).unwrap().config(), &replica_id)
    }

    fn holds(manifest: &Manifest, folder: &Path, name: &str) -> bool {
        let (config, cancel) = (Config::default(), Cancel::default());
        let job = Job { config: &config, progress: &Quiet, cancel: &cancel };
        manifest.holds(folder, name, &job.stage("check", Unit::Bytes, 0)).unwrap()
    }

    fn recorded(bytes: &[u8]) -> FileRecord {
        FileRecord { size_bytes: bytes.len() as u64, sha256: Sha256::digest(bytes).into() }
    }

    #[test]
    fn manifest_reads_what_it_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::load(folder.path(), identity([1; 32])).unwrap();
        assert_eq!(manifest, Manifest::new(identity([1; 32])));
        manifest.record("a", recorded(b"123"));
        manifest.store(folder.path()).unwrap();
        assert_eq!(Manifest::load(folder.path(), identity([1; 32])).unwrap(), manifest);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let text = fs::read_to_string(folder.path().join(MANIFEST_NAME)).unwrap();
        assert_eq!(
            text,
            format!(
                "{{\"version\":1,\"profile\":\"filecash\",\"size_bytes\":2048,\"porep_id\":\"07{}\",\"replica_id\":\"{}\",\
                 \"legacy_graph\":false,\"files\":{{\"a\":{{\"size_bytes\":3,\"sha256\":\"{}\"}}}}}}\n",
                "00".repeat(31),
                "01".repeat(32),
                hex::encode(Sha256::digest(b"123"))
            )
        );
    }

    #[test]
    fn other_sectors_manifest_counts_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::new(identity([1; 32]));
        manifest.record("a", recorded(b"123"));
        manifest.store(folder.path()).unwrap();
        let filecoin = Identity { profile: Profile::Filecoin, ..identity([1; 32]) };
        let legacy = Identity { legacy_graph: true, ..identity([1; 32]) };
        for other in [identity([2; 32]), filecoin, legacy] {
            assert_eq!(Manifest::load(folder.path(), other.clone()).unwrap(), Manifest::new(other));
        }
    }

    #[test]
    fn damaged_manifest_counts_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::new(identity([1; 32]));
        manifest.record("a", recorded(b"123"));
        let text = serde_json::to_string(&manifest).unwrap();
        for damaged in ["", &text[..text.len() - 1], &text.replace(":1,", ":2,"), &text.replace("07", "zz"), "[]"] {
            fs::write(folder.path().join(MANIFEST_NAME), damaged).unwrap();
            assert_eq!(Manifest::load(folder.path(), identity([1; 32])).unwrap(), Manifest::new(identity([1; 32])));
        }
    }

    #[test]
    fn only_the_noted_bytes_hold() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..3 * BLOCK_BYTES / 2).map(|i| (i % 251) as u8).collect();
        let mut manifest = Manifest::new(identity([1; 32]));
        assert!(!holds(&manifest, folder.path(), "a"));
        manifest.record("a", recorded(&bytes));
        assert!(!holds(&manifest, folder.path(), "a"));
        fs::write(folder.path().join("a"), &bytes).unwrap();
        assert!(holds(&manifest, folder.path(), "a"));
        fs::write(folder.path().join("a"), &bytes[1..]).unwrap();
        assert!(!holds(&manifest, folder.path(), "a"));
        let mut flipped = bytes.clone();
        flipped[BLOCK_BYTES + 5] ^= 0x80;
        fs::write(folder.path().join("a"), &flipped).unwrap();
        assert!(!holds(&manifest, folder.path(), "a"));
        fs::write(folder.path().join("a"), &bytes).unwrap();
        manifest.forget("a");
        assert!(!holds(&manifest, folder.path(), "a"));
    }
}
