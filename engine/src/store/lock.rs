//! One writer at a time: a lock on a file, given back when the process ends, however it ends.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// A lock that is held; dropping it gives it back. The file stays.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock of a file, which is created if need be. `None` while somebody else has it.
    ///
    /// File systems that know no locks grant every one, with a warning.
    ///
    /// # Errors
    /// What the system says.
    pub fn acquire(path: &Path) -> io::Result<Option<Self>> {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(path = %path.display(), "the file system knows no locks; do not run two jobs here");
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(Some(Self { _file: file }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_lock_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = FileLock::acquire(&path).unwrap();
        assert!(first.is_some());
        assert!(FileLock::acquire(&path).unwrap().is_none());
        drop(first);
        assert!(FileLock::acquire(&path).unwrap().is_some());
    }
}
