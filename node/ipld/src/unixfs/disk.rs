//! Files and folders of a disk to blocks.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::import::{ImportError, Imported, Importer};

/// How many folders of a disk may be in each other.
pub const MAX_DEPTH: usize = 256;

/// What to do with files and folders in folders whose names begin with a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// Leave them out, as kubo does when it is not told otherwise.
    Skip,
    /// Take them like others.
    Take,
}

impl Importer<'_> {
    /// A file, a symbolic link, which is not followed, or a folder with all that is in it. Modes and times are left out.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn path(&mut self, path: &Path, hidden: Hidden) -> Result<Imported, ImportError> {
        self.path_at(path, hidden, 0)
    }

    fn path_at(&mut self, path: &Path, hidden: Hidden, depth: usize) -> Result<Imported, ImportError> {
        let unread = |source: io::Error| ImportError::Path { path: path.to_owned(), source };
        let kind = fs::symlink_metadata(path).map_err(unread)?.file_type();
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(unread)?;
            return self.symlink(target.to_str().ok_or_else(|| ImportError::Text(path.to_owned()))?);
        }
        if kind.is_file() {
            return match self.file(File::open(path).map_err(unread)?) {
                Err(ImportError::Read(source)) => Err(unread(source)),
                other => other,
            };
        }
        if !kind.is_dir() {
            return Err(ImportError::Special(path.to_owned()));
        }
        if depth == MAX_DEPTH {
            return Err(ImportError::Depth { path: path.to_owned(), limit: MAX_DEPTH });
        }
        let names = fs::read_dir(path).map_err(unread)?.map(|entry| Ok(entry?.file_name()));
        let mut names = names.collect::<io::Result<Vec<OsString>>>().map_err(unread)?;
        names.retain(|name| hidden == Hidden::Take || !name.as_encoded_bytes().starts_with(b"."));
        names.sort();
        let mut entries = Vec::new();
        for name in names {
            let path = path.join(&name);
            let name = name.into_string().map_err(|_| ImportError::Text(path.clone()))?;
            entries.push((name, self.path_at(&path, hidden, depth + 1)?));
        }
        self.folder(entries)
    }
}
