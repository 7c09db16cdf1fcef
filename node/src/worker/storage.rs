//! Folders that hold sectors. Each has a name of its own in `filecash-storage.json`, by which every machine that reaches it knows
//! that it is the same; a sector is a folder in one of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use filecash_engine::store::atomic::{self, WriteError};
use rand_core::{OsRng, RngCore};
use serde::{Deserialize, Serialize};

use crate::jobs::Kind;

/// The file that makes a folder a storage.
pub const FILE: &str = "filecash-storage.json";

/// A storage and where it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Its name.
    pub id: String,
    /// Its folder.
    pub path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Content {
    id: String,
}

/// Why a folder is no storage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum StorageError {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not what this program wrote", path.display())]
    Content { path: PathBuf },
    #[error("{} lies in no storage", path.display())]
    Outside { path: PathBuf },
    #[error(transparent)]
    Write(#[from] WriteError),
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    let path = path.to_owned();
    move |source| StorageError::Io { action, path, source }
}

impl Storage {
    /// The storage in a folder, which becomes one if it is none yet; the folder is made if need be.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn open_or_make(folder: &Path) -> Result<Self, StorageError> {
        fs::create_dir_all(folder).map_err(failed("make the folder", folder))?;
        let path = fs::canonicalize(folder).map_err(failed("find", folder))?;
        if let Some(storage) = Self::open(&path)? {
            return Ok(storage);
        }
        let mut id = [0; 8];
        OsRng.fill_bytes(&mut id);
        let content = Content { id: hex::encode(id) };
        let text = serde_json::to_string(&content).unwrap_or_default() + "\n";
        // Of two that make it one at the same time, the first gives the name.
        let ours = path.join(format!("{FILE}.{}", content.id));
        atomic::write(&ours, text.as_bytes())?;
        let linked = fs::hard_link(&ours, path.join(FILE));
        match linked {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // There are file systems without links.
            Err(_) => fs::copy(&ours, path.join(FILE)).map(drop).map_err(failed("write into", &path))?,
        }
        drop(fs::remove_file(&ours));
        Self::open(&path)?.ok_or(StorageError::Content { path })
    }

    /// A folder in it by its path there, unless that leads out: what was queued elsewhere is not trusted.
    pub fn folder(&self, inner: &str) -> Option<PathBuf> {
        inner_path(inner).map(|inner| self.path.join(inner))
    }

    fn open(folder: &Path) -> Result<Option<Self>, StorageError> {
        let path = folder.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        match serde_json::from_slice::<Content>(&text) {
            Ok(Content { id }) if !id.is_empty() => Ok(Some(Self { id, path: folder.to_owned() })),
            _ => Err(StorageError::Content { path }),
        }
    }

    /// The storage that a folder lies in, and its path there, with `/` between names.
    ///
    /// # Errors
    /// [`StorageError::Outside`].
    pub fn around(folder: &Path) -> Result<(Self, String), StorageError> {
        let path = fs::canonicalize(folder).map_err(failed("find", folder))?;
        for above in path.ancestors().skip(1) {
            if let Some(storage) = Self::open(above)? {
                let inner = path.strip_prefix(above).unwrap_or(&path);
                let names: Option<Vec<_>> = inner.iter().map(|name| name.to_str()).collect();
                let inner = names.ok_or(StorageError::Outside { path: path.clone() })?.join("/");
                return Ok((storage, inner));
            }
        }
        Err(StorageError::Outside { path })
    }
}

/// A path that goes down and nowhere else.
pub fn inner_path(text: &str) -> Option<&Path> {
    let path = Path::new(text);
    let is_inner = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    (is_inner && !text.is_empty()).then_some(path)
}

/// A number of the disk that a folder is on, where the system has such.
pub fn disk_of(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        fs::metadata(folder).ok().map(|metadata| std::os::unix::fs::MetadataExt::dev(&metadata))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

/// Bytes that are free on a folder's disk for such as us; `None` where the system does not say.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(folder).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

/// Bytes that the disk has for the files which a job of a kind writes into a sector's folder; what cannot be read counts for
/// nothing.
pub fn written_bytes(folder: &Path, kind: Kind) -> u64 {
    let parts: &[&str] = match kind {
        Kind::Pc1 => &["sealed", "sc-02-data-tree-d", "sc-02-data-layer-"],
        // The replica, before it has its name.
        Kind::Pc2 => &["sc-02-data-tree-c", "sc-02-data-tree-r-last", "sealed."],
        _ => &[],
    };
    let is_its = |name: &str| parts.iter().any(|part| name.starts_with(part));
    let folders = [folder.to_owned(), folder.join("cache")];
    let entries = folders.iter().flat_map(fs::read_dir).flatten().flatten();
    let its = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_its));
    its.map(|entry| entry.metadata().map_or(0, |metadata| allocated(&metadata))).sum()
}

#[cfg(unix)]
fn allocated(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(metadata) * 512
}

#[cfg(not(unix))]
fn allocated(metadata: &fs::Metadata) -> u64 {
    metadata.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_sector_are_those_that_were_written() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("cache")).unwrap();
        let write = |name: &str| fs::write(folder.path().join(name), vec![1; 1 << 20]).unwrap();
        let of = |kind| written_bytes(folder.path(), kind) >> 20;
        // The data was there before.
        write("staged");
        assert_eq!([of(Kind::Pc1), of(Kind::Pc2)], [0, 0]);
        write("cache/sc-02-data-layer-1.dat");
        write("sealed");
        assert_eq!([of(Kind::Pc1), of(Kind::Pc2)], [2, 0]);
        write("cache/sc-02-data-tree-c-0.dat");
        assert_eq!([of(Kind::Pc1), of(Kind::Pc2), of(Kind::C1)], [2, 1, 0]);
        write("sealed.Ab3dE6.tmp");
        assert_eq!(of(Kind::Pc2), 2);
        assert_eq!(written_bytes(&folder.path().join("no"), Kind::Pc1), 0);
    }

    #[test]
    fn storage_is_known_by_its_name_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("ssd");
        let made = Storage::open_or_make(&there).unwrap();
        assert_eq!(made.id.len(), 16);
        assert_eq!(Storage::open_or_make(&there).unwrap(), made);
        let elsewhere = folder.path().join("mounted");
        fs::rename(&there, &elsewhere).unwrap();
        assert_eq!(Storage::open_or_make(&elsewhere).unwrap().id, made.id);
        assert_ne!(Storage::open_or_make(&there).unwrap().id, made.id);

        let sector = elsewhere.join("f01000/s 5");
        fs::create_dir_all(&sector).unwrap();
        let (storage, inner) = Storage::around(&sector).unwrap();
        assert_eq!((storage.id, inner.as_str()), (made.id, "f01000/s 5"));
        // A storage does not lie in itself.
        assert!(matches!(Storage::around(&elsewhere), Err(StorageError::Outside { .. })));
        assert!(matches!(Storage::around(&folder.path().join("no")), Err(StorageError::Io { .. })));
        fs::write(elsewhere.join(FILE), "{}").unwrap();
        assert!(matches!(Storage::open_or_make(&elsewhere), Err(StorageError::Content { .. })));
        assert!(matches!(Storage::around(&sector), Err(StorageError::Content { .. })));
        #[cfg(unix)]
        assert!(free_bytes(folder.path()).unwrap() > 0);
    }
}
