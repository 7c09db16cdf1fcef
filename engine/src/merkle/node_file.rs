//! Files of nodes: opened at an exact length and read in place, or written under a temporary name and then renamed.
//!
//! A file under its final name is therefore always complete; what a crash leaves behind is `<name>.tmp`, which the
//! next attempt overwrites.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::field::Node;
use crate::sector::params::NODE_SIZE;

/// Why a file of nodes could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum NodeFileError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is {actual} bytes, expected {expected}", path.display())]
    Length { path: PathBuf, expected: u64, actual: u64 },
}

impl NodeFileError {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// A file open for reading at any place, by several threads.
#[derive(Debug)]
pub struct NodeFile {
    path: PathBuf,
    file: File,
    nodes: u64,
}

impl NodeFile {
    /// Opens a file of exactly `nodes` nodes.
    ///
    /// # Errors
    /// [`NodeFileError`] when it cannot be opened or has another length.
    pub fn open(path: &Path, nodes: u64) -> Result<Self, NodeFileError> {
        let this = Self::open_any(path)?;
        this.expect_nodes(nodes)?;
        Ok(this)
    }

    /// Opens a file of any whole number of nodes.
    ///
    /// # Errors
    /// [`NodeFileError`] when it cannot be opened, or ends inside a node.
    pub fn open_any(path: &Path) -> Result<Self, NodeFileError> {
        let file = File::open(path).map_err(NodeFileError::at(path))?;
        let actual = file.metadata().map_err(NodeFileError::at(path))?.len();
        let nodes = actual / NODE_SIZE as u64;
        if actual % NODE_SIZE as u64 != 0 {
            let expected = (nodes + 1) * NODE_SIZE as u64;
            return Err(NodeFileError::Length { path: path.to_owned(), expected, actual });
        }
        Ok(Self { path: path.to_owned(), file, nodes })
    }

    /// # Errors
    /// [`NodeFileError::Length`] unless the file has `nodes` nodes.
    pub fn expect_nodes(&self, nodes: u64) -> Result<(), NodeFileError> {
        let [expected, actual] = [nodes, self.nodes].map(|nodes| nodes * NODE_SIZE as u64);
        if expected == actual {
            return Ok(());
        }
        Err(NodeFileError::Length { path: self.path.clone(), expected, actual })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of nodes.
    pub fn nodes(&self) -> u64 {
        self.nodes
    }

    /// Fills `nodes` from node `first` on.
    ///
    /// # Errors
    /// [`NodeFileError::Io`], also when the file ends earlier.
    pub fn read(&self, first: u64, nodes: &mut [Node]) -> Result<(), NodeFileError> {
        let offset = first * NODE_SIZE as u64;
        self.file.read_exact_at(nodes.as_flattened_mut(), offset).map_err(NodeFileError::at(&self.path))
    }

    /// Reads one node.
    ///
    /// # Errors
    /// [`NodeFileError::Io`], also when the file ends earlier.
    pub fn node(&self, index: u64) -> Result<Node, NodeFileError> {
        let mut node = [[0; NODE_SIZE]];
        self.read(index, &mut node)?;
        Ok(node[0])
    }
}

/// A file being written; it appears under its name only in [`NewFile::publish`].
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    published: bool,
}

impl NewFile {
    /// Starts a file of `nodes` nodes at `path`, zeros until written.
    ///
    /// # Errors
    /// [`NodeFileError::Io`].
    pub fn create(path: &Path, nodes: u64) -> Result<Self, NodeFileError> {
        let mut temporary = OsString::from(path);
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&temporary);
        let file = options.map_err(NodeFileError::at(&temporary))?;
        let this = Self { path: path.to_owned(), temporary, file, published: false };
        this.file.set_len(nodes * NODE_SIZE as u64).map_err(NodeFileError::at(&this.temporary))?;
        Ok(this)
    }

    /// Writes `nodes` from node `first` on.
    ///
    /// # Errors
    /// [`NodeFileError::Io`].
    pub fn write(&self, first: u64, nodes: &[Node]) -> Result<(), NodeFileError> {
        let offset = first * NODE_SIZE as u64;
        self.file.write_all_at(nodes.as_flattened(), offset).map_err(NodeFileError::at(&self.temporary))
    }

    /// Waits until the content is on the disk, then gives the file its name, replacing what had it.
    ///
    /// # Errors
    /// [`NodeFileError::Io`].
    pub fn publish(mut self) -> Result<(), NodeFileError> {
        self.file.sync_all().map_err(NodeFileError::at(&self.temporary))?;
        fs::rename(&self.temporary, &self.path).map_err(NodeFileError::at(&self.path))?;
        self.published = true;
        let folder = match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(NodeFileError::at(folder))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.published {
            // A leftover does no harm: it is not under a name that anybody reads.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_appears_only_when_published() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.dat");
        let file = NewFile::create(&path, 3).unwrap();
        file.write(1, &[[7; 32]]).unwrap();
        assert!(!path.exists());
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        let file = NewFile::create(&path, 3).unwrap();
        file.write(1, &[[7; 32]]).unwrap();
        file.publish().unwrap();
        let read = NodeFile::open(&path, 3).unwrap();
        assert_eq!((read.node(0).unwrap(), read.node(1).unwrap()), ([0; 32], [7; 32]));
        assert!(read.node(3).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn other_lengths_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.dat");
        assert!(matches!(NodeFile::open(&path, 2), Err(NodeFileError::Io { .. })));
        for (bytes, expected) in [(63, 64), (96, 64)] {
            fs::write(&path, vec![0; bytes]).unwrap();
            let error = NodeFile::open(&path, 2).unwrap_err();
            assert!(error.to_string().ends_with(&format!("a.dat is {bytes} bytes, expected {expected}")), "{error}");
        }
    }
}
