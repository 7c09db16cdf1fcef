//! Blocks to files and folders on a disk.
//!
//! Nothing is written outside of the target: a name has to be one that a file can have in its folder, and where a symbolic link is in the
//! way writing fails. A file is written under a temporary name, synced and then renamed, so that a file that is there is whole. What was
//! written before an error stays. Files and folders get the modes and times that their blocks have, if they do, but for the bits by which
//! a program gets the rights of somebody else.

use std::fs::{self, File, FileTimes};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use tempfile::Builder;

use super::data::Mtime;
use super::folder::list_node;
use super::node::{self, Attributes, Node};
use super::read::Reader;
use super::{Source, UnixFsError};
use crate::hash::Cid;

/// How many folders may be in each other.
pub const MAX_DEPTH: usize = 256;

/// How many names folders that are in each other may have together; of a sharded one those at its top count.
pub const MAX_NAMES: usize = 1 << 18;

/// What to do with symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// Fail.
    Refuse,
    /// Leave them out.
    Skip,
    /// Write them, wherever they lead.
    Write,
}

/// How to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether files and symbolic links that are there are replaced. Folders that are there are written into.
    pub overwrite: bool,
    /// What to do with symbolic links.
    pub symlinks: Symlinks,
    /// How many files, folders and links there may be: a few blocks can be a folder of very many.
    pub max_entries: u64,
    /// How many bytes all files may have together: a few blocks can be a file of very many.
    pub max_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { overwrite: false, symlinks: Symlinks::Refuse, max_entries: 1_000_000, max_bytes: u64::MAX }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Files, folders and symbolic links, those that were left out among them.
    pub entries: u64,
    /// Bytes of files.
    pub bytes: u64,
}

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ExtractError {
    #[error(transparent)]
    UnixFs(#[from] UnixFsError),
    #[error("{name:?} in {} is a name that no file is given", folder.display())]
    Name { folder: PathBuf, name: String },
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    #[error("{} is a symbolic link, and none are written", .0.display())]
    Symlink(PathBuf),
    #[error("{} would be in more than {limit} folders", path.display())]
    Depth { path: PathBuf, limit: usize },
    #[error("{} and the folders above have more than {limit} names", path.display())]
    Names { path: PathBuf, limit: usize },
    #[error("there are more than {0} files and folders")]
    Entries(u64),
    #[error("the files have more than {0} bytes")]
    Bytes(u64),
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Writes a file or a folder, which gets the path of the target, and tells now and then how many bytes have been written.
///
/// # Errors
/// [`ExtractError`].
pub fn extract(
    source: impl Source,
    root: &Cid,
    target: &Path,
    options: &Options,
    mut progress: impl FnMut(u64),
) -> Result<Extracted, ExtractError> {
    let mut writer = Writer { source: &source, options, progress: &mut progress, done: Extracted::default() };
    writer.write(root, target, Above::default())?;
    sync_folder(parent(target))?;
    Ok(writer.done)
}

struct Writer<'a> {
    source: &'a dyn Source,
    options: &'a Options,
    progress: &'a mut dyn FnMut(u64),
    done: Extracted,
}

/// The folders that something is in.
#[derive(Clone, Copy, Default)]
struct Above {
    folders: usize,
    names: usize,
}

impl Writer<'_> {
    fn write(&mut self, cid: &Cid, path: &Path, above: Above) -> Result<(), ExtractError> {
        if self.done.entries == self.options.max_entries {
            return Err(ExtractError::Entries(self.options.max_entries));
        }
        self.done.entries += 1;
        match Node::load_all(self.source, cid)? {
            (Node::File(file), attributes) => self.file(file, attributes, path),
            (Node::Symlink(target), _) => self.symlink(&target, path),
            (folder, attributes) => {
                self.folder(cid, folder, path, above)?;
                // Once nothing more is written into it.
                let restored = File::open(path).and_then(|folder| restore(&folder, attributes));
                restored.map_err(|source| ExtractError::Write { path: path.to_owned(), source })
            }
        }
    }

    fn folder(&mut self, cid: &Cid, node: Node, path: &Path, above: Above) -> Result<(), ExtractError> {
        if above.folders == MAX_DEPTH {
            return Err(ExtractError::Depth { path: path.to_owned(), limit: MAX_DEPTH });
        }
        let names = match &node {
            Node::Folder(links) => links.len(),
            Node::Shard(shard) => shard.slots.len(),
            _ => 0,
        };
        let above = Above { folders: above.folders + 1, names: above.names + names };
        if above.names > MAX_NAMES {
            return Err(ExtractError::Names { path: path.to_owned(), limit: MAX_NAMES });
        }
        make_folder(path)?;
        for entry in list_node(self.source, cid, node)? {
            let entry = entry?;
            if !is_safe(&entry.name) {
                return Err(ExtractError::Name { folder: path.to_owned(), name: entry.name });
            }
            self.write(&entry.cid, &path.join(&entry.name), above)?;
        }
        sync_folder(path)
    }

    fn file(&mut self, file: node::File, attributes: Attributes, path: &Path) -> Result<(), ExtractError> {
        let mut reader = Reader::of_file(self.source, file);
        let left = self.options.max_bytes.checked_sub(self.done.bytes);
        if left.is_none_or(|left| reader.size() > left) {
            return Err(ExtractError::Bytes(self.options.max_bytes));
        }
        self.make_way(path)?;
        let wrong = |source: io::Error| ExtractError::Write { path: path.to_owned(), source };
        let mut builder = Builder::new();
        builder.prefix(".unixfs-");
        // As a file that is created in the usual way; temporary ones are for their owner alone.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(parent(path)).map_err(wrong)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = reader.read_bytes(&mut buffer)?;
            if count == 0 {
                break;
            }
            file.write_all(&buffer[..count]).map_err(wrong)?;
            self.done.bytes += count as u64;
            (self.progress)(self.done.bytes);
        }
        restore(file.as_file(), attributes).and_then(|()| file.as_file().sync_all()).map_err(wrong)?;
        let named = match self.options.overwrite {
            true => file.persist(path),
            false => file.persist_noclobber(path),
        };
        named.map(drop).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => ExtractError::Exists(path.to_owned()),
            _ => wrong(error.error),
        })
    }

    fn symlink(&mut self, target: &str, path: &Path) -> Result<(), ExtractError> {
        match self.options.symlinks {
            Symlinks::Refuse => Err(ExtractError::Symlink(path.to_owned())),
            Symlinks::Skip => Ok(()),
            Symlinks::Write => {
                if self.make_way(path)? {
                    fs::remove_file(path).map_err(|source| ExtractError::Write { path: path.to_owned(), source })?;
                }
                make_symlink(target, path).map_err(|source| ExtractError::Write { path: path.to_owned(), source })
            }
        }
    }

    /// Fails where something is that may not be replaced; tells whether there is something.
    fn make_way(&self, path: &Path) -> Result<bool, ExtractError> {
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() || !self.options.overwrite => Err(ExtractError::Exists(path.to_owned())),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(ExtractError::Write { path: path.to_owned(), source }),
        }
    }
}

/// Gives a file or a folder what its block says of it. A time that no file can have is left out.
fn restore(file: &File, Attributes { mode, mtime }: Attributes) -> io::Result<()> {
    if let Some(time) = mtime.and_then(Mtime::to_system) {
        file.set_times(FileTimes::new().set_modified(time))?;
    }
    #[cfg(unix)]
    if let Some(mode) = mode {
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    }
    #[cfg(not(unix))]
    let _ = mode;
    Ok(())
}

/// Whether a name is that of something in a folder, and nothing more.
fn is_safe(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let first = components.next();
    !name.contains('\0')
        && components.next().is_none()
        && matches!(first, Some(Component::Normal(component)) if component == name)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// Makes a folder, or takes one that is there and no symbolic link to one.
fn make_folder(path: &Path) -> Result<(), ExtractError> {
    let Err(source) = fs::create_dir(path) else { return Ok(()) };
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(ExtractError::Exists(path.to_owned())),
        Err(_) => Err(ExtractError::Write { path: path.to_owned(), source }),
    }
}

/// So that names in it survive a power failure; elsewhere folders cannot be opened.
fn sync_folder(path: &Path) -> Result<(), ExtractError> {
    if cfg!(unix) {
        let sync = File::open(path).and_then(|folder| folder.sync_all());
        sync.map_err(|source| ExtractError::Write { path: path.to_owned(), source })?;
    }
    Ok(())
}

#[cfg(unix)]
fn make_symlink(target: &str, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn make_symlink(_: &str, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
