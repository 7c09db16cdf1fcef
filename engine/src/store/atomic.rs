//! Files that appear whole or not at all.
//!
//! The bytes go to a temporary file in the same folder, are flushed to the disk, and take their name in one step; then
//! the folder is flushed too. Whoever looks sees the old file or the new one, after a crash as well.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Why a file was not written; the old one, if any, is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum WriteError {
    #[error("{} names no file", .path.display())]
    NoName { path: PathBuf },
    #[error("the disk of {} is full", .path.display())]
    DiskFull { path: PathBuf, source: io::Error },
    #[error("no permission to {action} {}", .path.display())]
    Permission { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot {action} {}", .path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => WriteError::DiskFull { path, source },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            WriteError::Permission { action, path, source }
        }
        _ => WriteError::Io { action, path, source },
    }
}

/// A file being written, not yet under its name; dropped without [`AtomicFile::commit`], it is gone.
#[derive(Debug)]
pub struct AtomicFile {
    temporary: NamedTempFile,
    path: PathBuf,
}

impl AtomicFile {
    /// Begins a file that will be at `path`, whose folder exists.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        let Some(name) = path.file_name() else {
            return Err(WriteError::NoName { path: path.to_owned() });
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(name).suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As for any other file, less what the umask takes away.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let temporary = builder.tempfile_in(folder(path)).map_err(failed("create", path))?;
        Ok(Self { temporary, path: path.to_owned() })
    }

    /// The file itself, to write to or to map.
    pub fn file(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// Turns an error of [`AtomicFile::file`] into one that names the file.
    pub fn error(&self, source: io::Error) -> WriteError {
        failed("write", &self.path)(source)
    }

    /// Flushes the file to the disk and gives it its name, in place of an older one.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn commit(self) -> Result<(), WriteError> {
        let Self { temporary, path } = self;
        temporary.as_file().sync_all().map_err(failed("write", &path))?;
        temporary.persist(&path).map_err(|error| failed("name", &path)(error.error))?;
        sync_folder(folder(&path)).map_err(failed("flush the folder of", &path))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temporary.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.flush()
    }
}

/// Writes a whole file.
///
/// # Errors
/// [`WriteError`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).map_err(failed("write", path))?;
    file.commit()
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a new name in a folder durable.
#[cfg(unix)]
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes a new name in a folder durable: nothing to do here.
#[cfg(not(unix))]
pub fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn file_replaces_the_old_one_when_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p_aux");
        write(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["p_aux"]);
    }

    #[test]
    fn abandoned_file_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t_aux");
        let mut file = AtomicFile::create(&path).unwrap();
        file.file().write_all(b"half").unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_as_far_as_the_umask_allows() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("ours"), b"").unwrap();
        fs::write(folder.path().join("plain"), b"").unwrap();
        let mode = |name| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode("ours"), mode("plain"));
    }

    #[test]
    fn errors_name_the_file_and_what_failed() {
        let folder = tempfile::tempdir().unwrap();
        let missing = write(&folder.path().join("none/p_aux"), b"").unwrap_err();
        assert!(matches!(&missing, WriteError::Io { action: "create", .. }), "{missing}");
        assert!(missing.to_string().ends_with("none/p_aux"), "{missing}");
        assert!(matches!(write(Path::new("/"), b""), Err(WriteError::NoName { .. })));
        fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(matches!(write(&folder.path().join("folder"), b""), Err(WriteError::Io { action: "name", .. })));
        let of = |kind| failed("write", Path::new("x"))(io::Error::from(kind)).to_string();
        assert_eq!(of(io::ErrorKind::StorageFull), "the disk of x is full");
        assert_eq!(of(io::ErrorKind::PermissionDenied), "no permission to write x");
    }
}
