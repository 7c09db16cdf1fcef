//! A file that is not complete yet, and the note of what is there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use filecash_engine::store::atomic::{self, WriteError};
use filecash_engine::store::lock::FileLock;
use filecash_engine::store::positioned::{read_exact_at, reserve, write_all_at};
use serde::{Deserialize, Serialize};

use super::FetchError;

/// What `NAME.part.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// Of the file.
    pub(super) bytes: u64,
    /// Of a piece but the last.
    pub(super) piece_bytes: u64,
    /// Names of places.
    pub(super) places: Vec<String>,
    /// Every piece, if it is there.
    pub(super) pieces: Vec<Option<RecordedPiece>>,
}

/// A piece that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordedPiece {
    /// The number of the place that gave it.
    pub(super) place: usize,
    /// Hex digits.
    pub(super) digest: String,
}

/// `NAME.part`. Nobody else writes it meanwhile.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    path: PathBuf,
    record_path: PathBuf,
    _lock: FileLock,
}

impl Part {
    /// The part of the file that will be at `path`, with room on the disk for all of it; `None` while somebody else has it.
    pub(super) fn open(path: &Path, bytes: u64) -> Result<Option<Self>, WriteError> {
        let with = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let (path, record_path) = (with(".part"), with(".part.json"));
        let Some(lock) = FileLock::acquire(&path).map_err(WriteError::at("create", &path))? else { return Ok(None) };
        let file = File::options().read(true).write(true).open(&path).map_err(WriteError::at("open", &path))?;
        file.set_len(bytes).map_err(WriteError::at("write", &path))?;
        if bytes > 0 {
            reserve(&file, bytes).map_err(WriteError::at("write", &path))?;
        }
        Ok(Some(Self { file, path, record_path, _lock: lock }))
    }

    /// What an earlier attempt noted, if that can be read.
    pub(super) fn record(&self) -> Option<Record> {
        let bytes = fs::read(&self.record_path).ok()?;
        serde_json::from_slice(&bytes).map_err(|error| tracing::info!(%error, "the note of pieces is unreadable")).ok()
    }

    /// Notes what is there.
    pub(super) fn note(&self, record: &Record) -> Result<(), WriteError> {
        let json = serde_json::to_vec(record).map_err(io::Error::from);
        atomic::write(&self.record_path, &json.map_err(WriteError::at("write", &self.record_path))?)
    }

    pub(super) fn read(&self, bytes: &mut [u8], offset: u64) -> Result<(), FetchError> {
        read_exact_at(&self.file, bytes, offset).map_err(|source| FetchError::Io { path: self.path.clone(), source })
    }

    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), WriteError> {
        write_all_at(&self.file, bytes, offset).map_err(WriteError::at("write", &self.path))
    }

    /// Gives the file its name.
    pub(super) fn commit(self, path: &Path) -> Result<(), WriteError> {
        atomic::rename(&self.file, &self.path, path)?;
        remove(&self.record_path)
    }

    /// Forgets it.
    pub(super) fn remove(self) -> Result<(), WriteError> {
        remove(&self.record_path)?;
        remove(&self.path)
    }
}

fn remove(path: &Path) -> Result<(), WriteError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(WriteError::at("remove", path)(error)),
        _ => Ok(()),
    }
}
