//! Files of nodes, opened at an exact length and read in place. They are written by [`crate::store::atomic`].

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::field::Node;
use crate::sector::params::NODE_SIZE;
use crate::store::mapped::{Access, Mapped};
use crate::store::positioned::read_exact_at;

/// Why a file of nodes could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum NodeFileError {
    #[error("cannot read {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is not a file", path.display())]
    NotAFile { path: PathBuf },
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
        let metadata = file.metadata().map_err(NodeFileError::at(path))?;
        if !metadata.is_file() {
            return Err(NodeFileError::NotAFile { path: path.to_owned() });
        }
        let actual = metadata.len();
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
        read_exact_at(&self.file, nodes.as_flattened_mut(), offset).map_err(NodeFileError::at(&self.path))
    }

    /// Maps the file into memory; see [`Mapped::open`].
    ///
    /// # Errors
    /// [`NodeFileError::Io`].
    pub fn map(&self, access: Access) -> Result<Mapped, NodeFileError> {
        let mapped = Mapped::open(&self.file, access).map_err(NodeFileError::at(&self.path))?;
        // It may have been cut since it was opened.
        let [expected, actual] = [self.nodes * NODE_SIZE as u64, mapped.len() as u64];
        if expected == actual {
            return Ok(mapped);
        }
        Err(NodeFileError::Length { path: self.path.clone(), expected, actual })
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn nodes_are_read_from_any_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.dat");
        fs::write(&path, [[0; 32], [7; 32], [9; 32]].as_flattened()).unwrap();
        let read = NodeFile::open(&path, 3).unwrap();
        assert_eq!((read.node(2).unwrap(), read.node(1).unwrap(), read.nodes()), ([9; 32], [7; 32], 3));
        let mut nodes = [[1; 32]; 2];
        read.read(0, &mut nodes).unwrap();
        assert_eq!(nodes, [[0; 32], [7; 32]]);
        assert!(read.read(2, &mut nodes).is_err() && read.node(3).is_err());
    }

    #[test]
    fn other_lengths_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.dat");
        assert!(matches!(NodeFile::open(&path, 2), Err(NodeFileError::Io { .. })));
        assert!(matches!(NodeFile::open(folder.path(), 2), Err(NodeFileError::NotAFile { .. })));
        for (bytes, expected) in [(63, 64), (96, 64)] {
            fs::write(&path, vec![0; bytes]).unwrap();
            let error = NodeFile::open(&path, 2).unwrap_err();
            assert!(error.to_string().ends_with(&format!("a.dat is {bytes} bytes, expected {expected}")), "{error}");
        }
    }
}
