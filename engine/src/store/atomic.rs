//! Files that appear whole or not at all.
//!
//! The bytes go to a temporary file in the same folder, are flushed to the disk, and take their name in one step; then
//! the folder is flushed too. Whoever looks sees the old file or the new one, after a crash as well.
//!
//! The temporary file of `NAME` is `NAME.XXXXXX.tmp` with six random letters and digits, and is locked while it is being
//! written. A process that is killed leaves it behind, unlocked: the next one that writes `NAME` removes it first, and
//! [`super::files::clear`] removes all that are in a cache folder. What a crash leaves does not outlive the next attempt.
//! Where the file system knows no locks, nobody can tell the living from the dead, and leftovers stay.
//!
//! Who can tell good bytes of a leftover from bad ones takes it over instead: [`AtomicFile::resume`].

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use super::positioned::{reserve, write_all_at};

/// Random letters and digits in a temporary name.
const RANDOM: usize = 6;
/// The end of a temporary name.
const SUFFIX: &str = ".tmp";

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

impl WriteError {
    /// What the system said when we tried to do something to a path.
    pub fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path, source },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Permission { action, path, source }
            }
            _ => Self::Io { action, path, source },
        }
    }
}

/// A file being written, not yet under its name; dropped without [`AtomicFile::commit`] or [`AtomicFile::keep`], it is gone.
#[derive(Debug)]
pub struct AtomicFile {
    temporary: NamedTempFile,
    path: PathBuf,
}

impl AtomicFile {
    /// Begins a file that will be at `path`, whose folder exists; removes what killed processes left of it.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        let Some(name) = path.file_name() else {
            return Err(WriteError::NoName { path: path.to_owned() });
        };
        if let Err(error) = remove_abandoned(folder(path), |of| name == of) {
            tracing::debug!(path = %path.display(), %error, "leftovers were not looked for");
        }
        loop {
            let temporary = locked_temporary(folder(path), name).map_err(WriteError::at("create", path))?;
            if let Some(temporary) = temporary {
                return Ok(Self { temporary, path: path.to_owned() });
            }
        }
    }

    /// Begins a file of `bytes` bytes, zeros until written; a disk without room for them is noticed here, where the
    /// system can tell.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn with_len(path: &Path, bytes: u64) -> Result<Self, WriteError> {
        let file = Self::create(path)?;
        file.file().set_len(bytes).map_err(|source| file.error(source))?;
        if bytes > 0 {
            reserve(file.file(), bytes).map_err(|source| file.error(source))?;
        }
        Ok(file)
    }

    /// Takes over what was left of a file of `bytes` bytes, or begins one as [`AtomicFile::with_len`] does; also returns whether it
    /// was there. A killed process may have left any bytes in it.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn resume(path: &Path, bytes: u64) -> Result<(Self, bool), WriteError> {
        let Some(name) = path.file_name() else {
            return Err(WriteError::NoName { path: path.to_owned() });
        };
        let left = take_abandoned(folder(path), name, bytes).unwrap_or_else(|error| {
            tracing::debug!(path = %path.display(), %error, "leftovers were not looked for");
            None
        });
        let Some(temporary) = left else { return Ok((Self::with_len(path, bytes)?, false)) };
        let file = Self { temporary, path: path.to_owned() };
        reserve(file.file(), bytes).map_err(|source| file.error(source))?;
        Ok((file, true))
    }

    /// From now on it is left for [`AtomicFile::resume`] when it is dropped.
    pub fn keep(&mut self) {
        self.temporary.disable_cleanup(true);
    }

    /// Flushes what was written so far to the disk.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn sync(&self) -> Result<(), WriteError> {
        self.file().sync_data().map_err(|source| self.error(source))
    }

    /// Writes `bytes` from `offset` on. Not to be mixed with [`Write`].
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), WriteError> {
        write_all_at(self.file(), bytes, offset).map_err(|source| self.error(source))
    }

    /// The file itself, to write to or to map.
    pub fn file(&self) -> &File {
        self.temporary.as_file()
    }

    /// Turns an error of [`AtomicFile::file`] into one that names the file.
    pub fn error(&self, source: io::Error) -> WriteError {
        WriteError::at("write", &self.path)(source)
    }

    /// Flushes the file to the disk and gives it its name, in place of an older one.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn commit(self) -> Result<(), WriteError> {
        let Self { temporary, path } = self;
        temporary.as_file().sync_all().map_err(WriteError::at("write", &path))?;
        temporary.persist(&path).map_err(|error| WriteError::at("name", &path)(error.error))?;
        sync_folder(folder(&path)).map_err(WriteError::at("flush the folder of", &path))
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
    file.write_all(bytes).map_err(|source| file.error(source))?;
    file.commit()
}

/// Flushes a file that was written at `from` to the disk and gives it the name `to`, in the same folder, in place of an older one.
///
/// # Errors
/// [`WriteError`].
pub fn rename(file: &File, from: &Path, to: &Path) -> Result<(), WriteError> {
    file.sync_all().map_err(WriteError::at("write", from))?;
    fs::rename(from, to).map_err(WriteError::at("name", to))?;
    sync_folder(folder(to)).map_err(WriteError::at("flush the folder of", to))
}

/// A new temporary file of `name`, locked; `None` to try again: somebody took it for a leftover before it was.
fn locked_temporary(folder: &Path, name: &OsStr) -> io::Result<Option<NamedTempFile>> {
    let mut prefix = name.to_owned();
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(RANDOM);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As for any other file, less what the umask takes away.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let temporary = builder.tempfile_in(folder)?;
    match temporary.as_file().lock() {
        // Who removes a leftover holds its lock. Now we do: the file is gone already, or stays.
        Ok(()) => Ok(temporary.path().exists().then_some(temporary)),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Some(temporary)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}

/// The name of the file that a file of this name becomes; `None` for one that is not temporary.
fn name_of_temporary(name: &str) -> Option<&str> {
    let (of, random) = name.strip_suffix(SUFFIX)?.rsplit_once('.')?;
    let ours = !of.is_empty() && random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
    ours.then_some(of)
}

/// Removes the temporary files of a folder that nobody writes any more, of the files that `of` accepts; returns how many.
///
/// # Errors
/// What the system says when the folder cannot be listed. A leftover that cannot be removed stays.
pub fn remove_abandoned(folder: &Path, of: impl Fn(&str) -> bool) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let wanted = entry.file_name().to_str().and_then(name_of_temporary).is_some_and(&of);
        if wanted && entry.file_type()?.is_file() {
            match remove_if_abandoned(&entry.path()) {
                Ok(true) => removed += 1,
                Ok(false) => {}
                Err(error) => tracing::debug!(path = %entry.path().display(), %error, "leftover stays"),
            }
        }
    }
    Ok(removed)
}

fn remove_if_abandoned(path: &Path) -> io::Result<bool> {
    // Locked until it is gone: who has just made it and not locked it yet looks whether it is there when it has.
    let Some(_locked) = lock_abandoned(path)? else { return Ok(false) };
    tracing::info!(path = %path.display(), "removing what an interrupted job left");
    fs::remove_file(path)?;
    Ok(true)
}

/// The file at a temporary name, locked; `None` if somebody writes it still.
fn lock_abandoned(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().read(true).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A temporary file of `name` and of so many bytes that nobody writes any more, locked.
fn take_abandoned(folder: &Path, name: &OsStr, bytes: u64) -> io::Result<Option<NamedTempFile>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_wanted = entry.file_name().to_str().and_then(name_of_temporary).is_some_and(|of| name == of);
        if !is_wanted || !entry.file_type()?.is_file() || entry.metadata()?.len() != bytes {
            continue;
        }
        let path = entry.path();
        match lock_abandoned(&path) {
            // Unless somebody removed it before it was locked.
            Ok(Some(file)) if path.exists() => {
                tracing::info!(path = %path.display(), "going on with what an interrupted job left");
                return Ok(Some(NamedTempFile::from_parts(file, TempPath::try_from_path(path)?)));
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(path = %path.display(), %error, "leftover stays"),
        }
    }
    Ok(None)
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
pub(crate) mod tests {
    use super::*;
    use std::fs;

    /// A file that nothing can be written to.
    pub(crate) fn unwritable(path: &Path) -> AtomicFile {
        let (_, temporary) = NamedTempFile::new_in(folder(path)).unwrap().into_parts();
        let file = File::open(&temporary).unwrap();
        AtomicFile { temporary: NamedTempFile::from_parts(file, temporary), path: path.to_owned() }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_was_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealed");
        let (mut file, is_left) = AtomicFile::resume(&path, 100).unwrap();
        assert!(!is_left);
        file.write_at(b"half", 50).unwrap();
        file.sync().unwrap();
        file.keep();
        // It is being written; who asks meanwhile gets another.
        let (other, is_left) = AtomicFile::resume(&path, 100).unwrap();
        assert!(!is_left);
        drop((file, other));
        assert_eq!(names(folder.path()).len(), 1);
        fs::write(folder.path().join("sealed.Ab3dE6.tmp"), [1; 99]).unwrap();
        fs::write(folder.path().join("other.Ab3dE6.tmp"), [1; 100]).unwrap();

        let (file, is_left) = AtomicFile::resume(&path, 100).unwrap();
        assert!(is_left);
        file.write_at(b"whole", 0).unwrap();
        file.commit().unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!((&bytes[..5], &bytes[50..54], bytes.len()), (&b"whole"[..], &b"half"[..], 100));
        // Of another length: it is removed by who begins anew.
        let (file, is_left) = AtomicFile::resume(&path, 100).unwrap();
        assert!(!is_left);
        drop(file);
        let mut left = names(folder.path());
        left.sort_unstable();
        assert_eq!(left, ["other.Ab3dE6.tmp", "sealed"]);
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
        let file = AtomicFile::create(&path).unwrap();
        file.write_at(b"half", 0).unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn file_of_a_given_length_is_zero_where_nothing_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.dat");
        let file = AtomicFile::with_len(&path, 6).unwrap();
        file.write_at(b"yz", 3).unwrap();
        assert!(!path.exists());
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"\0\0\0yz\0");
    }

    #[test]
    fn leftovers_of_killed_processes_go_and_files_being_written_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.dat");
        let mut other = AtomicFile::create(&path).unwrap();
        let of_other = names(folder.path());
        assert_eq!(of_other.iter().map(|name| name_of_temporary(name)).collect::<Vec<_>>(), [Some("a.dat")]);
        // Nobody holds their locks.
        fs::write(folder.path().join("a.dat.Ab3dE6.tmp"), b"half").unwrap();
        let unlike = ["a.dat.tmp", "a.dat.Ab3dE.tmp", "a.dat.b.Ab3dE6.tmp", "b.dat.Ab3dE6.tmp", ".Ab3dE6.tmp"];
        unlike.iter().for_each(|name| fs::write(folder.path().join(name), b"").unwrap());

        write(&path, b"whole").unwrap();
        let mut expected: Vec<_> = unlike.map(String::from).into_iter().chain(of_other).collect();
        expected.push("a.dat".to_owned());
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        assert_eq!(sorted(names(folder.path())), sorted(expected));

        other.write_all(b"later").unwrap();
        other.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"later");
        assert_eq!(remove_abandoned(folder.path(), |_| true).unwrap(), 2);
        assert_eq!(sorted(names(folder.path())), [".Ab3dE6.tmp", "a.dat", "a.dat.Ab3dE.tmp", "a.dat.tmp"]);
    }

    #[test]
    fn who_removes_leftovers_removes_nothing_that_was_just_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = &folder.path().join("a.dat");
        let begun = || (0..2000).all(|_| AtomicFile::create(path).unwrap().temporary.path().exists());
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4).map(|_| scope.spawn(begun)).collect();
            assert!(writers.into_iter().all(|writer| writer.join().unwrap()));
        });
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
        let of = |kind| WriteError::at("write", Path::new("x"))(io::Error::from(kind)).to_string();
        assert_eq!(of(io::ErrorKind::StorageFull), "the disk of x is full");
        assert_eq!(of(io::ErrorKind::PermissionDenied), "no permission to write x");
    }
}
