//! Trees on disk: root, leaves, and the siblings on the way from a leaf to the root.
//!
//! Files are read in place, a few nodes at a time. A TreeR-last file begins at row d + 1, with d derived from its
//! length; the rows below are recomputed from the aligned block of `8^(d+1)` replica nodes around the leaf, and must
//! lead to the stored node. The levels above the base trees are in no file: [`Joined`] recomputes them from the roots.
//!
//! Source: `spec/replication.md` 0.4, 6.2 to 6.4.

use std::path::{Path, PathBuf};

use super::build::NodeHash;
use super::mapped_tree::{MappedFile, MappedTree};
use super::node_file::{NodeFile, NodeFileError};
use super::path::PathElement;
use crate::field::{Node, NonCanonical};
use crate::hash::poseidon::{hash_batch, hash_nodes};
use crate::sector::TreeShape;
use crate::sector::geometry::{Geometry, Rows};
use crate::sector::params::NODE_SIZE;
use crate::store::files;
use crate::store::mapped::Access;

/// Why a tree could not be opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum TreeFileError {
    #[error(transparent)]
    File(#[from] NodeFileError),
    #[error("a node of {}", path.display())]
    NonCanonical { path: PathBuf, source: NonCanonical },
    #[error("{} is {actual} bytes, the length of no TreeR-last over {leaves} leaves", path.display())]
    Truncated { path: PathBuf, leaves: u64, actual: u64 },
    #[error("nodes {first} to {} of {} do not lead to the tree in {}", first + count, replica.display(), path.display())]
    Inconsistent { path: PathBuf, replica: PathBuf, first: u64, count: u64 },
    #[error("leaf {leaf} of a tree of {leaves}")]
    NoSuchLeaf { leaf: u64, leaves: u64 },
}

/// The levels of a compound tree above its base trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    shape: TreeShape,
    base_roots: Vec<Node>,
    sub_roots: Vec<Node>,
    root: Node,
}

impl Joined {
    /// Hashes the roots of the base trees, `shape.base_trees()` of them, up to the root.
    ///
    /// # Errors
    /// [`NonCanonical`] when a root is no field element.
    pub fn new(shape: TreeShape, base_roots: Vec<Node>) -> Result<Self, NonCanonical> {
        let sub_roots = match shape.sub {
            0 => base_roots.clone(),
            sub => base_roots.chunks(sub).map(hash_nodes).collect::<Result<_, _>>()?,
        };
        let root = match shape.top {
            0 => sub_roots[0],
            _ => hash_nodes(&sub_roots)?,
        };
        Ok(Self { shape, base_roots, sub_roots, root })
    }

    /// The root of the compound tree.
    pub fn root(&self) -> Node {
        self.root
    }

    /// The roots of the base trees.
    pub fn base_roots(&self) -> &[Node] {
        &self.base_roots
    }

    /// The steps from the root of base tree `tree` to the root.
    pub(super) fn levels(&self, tree: usize) -> impl Iterator<Item = PathElement> {
        let group = |nodes: &[Node], arity: usize, index: usize| {
            let first = index / arity * arity;
            PathElement::new(&nodes[first..first + arity], index - first)
        };
        let TreeShape { sub, top, .. } = self.shape;
        let sub_level = (sub > 0).then(|| group(&self.base_roots, sub, tree));
        let top_level = (top > 0).then(|| group(&self.sub_roots, top, tree / sub.max(1)));
        sub_level.into_iter().chain(top_level)
    }
}

/// A tree on disk.
#[derive(Debug)]
pub struct TreeFile {
    /// Rows of each base tree, and which of them are stored.
    rows: Rows,
    files: Vec<NodeFile>,
    /// Row 0 of a TreeR-last.
    replica: Option<NodeFile>,
    joined: Joined,
}

impl TreeFile {
    /// Opens TreeD in a cache folder.
    ///
    /// # Errors
    /// [`TreeFileError`] when the file is missing or has another length.
    pub fn open_tree_d(cache: &Path, geometry: Geometry) -> Result<Self, TreeFileError> {
        Self::open_data(&files::tree_d(cache), geometry.data())
    }

    /// Opens a binary tree all of whose `rows` are in one file.
    ///
    /// # Errors
    /// [`TreeFileError`] when the file is missing or has another length.
    pub fn open_data(path: &Path, rows: Rows) -> Result<Self, TreeFileError> {
        let shape = TreeShape { base: rows.arity(), sub: 0, top: 0 };
        Self::join(rows, shape, vec![NodeFile::open(path, rows.stored())?], None)
    }

    /// Opens TreeC in a cache folder.
    ///
    /// # Errors
    /// [`TreeFileError`] when a file is missing, has another length, or holds a root that is no field element.
    pub fn open_tree_c(cache: &Path, geometry: Geometry) -> Result<Self, TreeFileError> {
        let rows = geometry.base();
        let paths = files::tree_c(cache, geometry.base_trees());
        let files = paths.map(|path| NodeFile::open(&path, rows.stored())).collect::<Result<_, _>>()?;
        Self::join(rows, geometry.shape(), files, None)
    }

    /// Opens TreeR-last in a cache folder, over the replica it was made of, whatever rows it discarded.
    ///
    /// # Errors
    /// [`TreeFileError`] when a file is missing, has an impossible or another length, or holds a root that is no
    /// field element.
    pub fn open_tree_r_last(cache: &Path, replica: &Path, geometry: Geometry) -> Result<Self, TreeFileError> {
        let paths = files::tree_r_last(cache, geometry.base_trees());
        let files: Vec<_> = paths.map(|path| NodeFile::open_any(&path)).collect::<Result<_, _>>()?;
        let rows = geometry.base_r_last_of(files[0].nodes()).ok_or_else(|| {
            let (path, actual) = (files[0].path().to_owned(), files[0].nodes() * NODE_SIZE as u64);
            TreeFileError::Truncated { path, leaves: geometry.base().leaves(), actual }
        })?;
        files.iter().try_for_each(|file| file.expect_nodes(rows.stored()))?;
        Self::join(rows, geometry.shape(), files, Some(NodeFile::open(replica, geometry.nodes())?))
    }

    fn join(
        rows: Rows,
        shape: TreeShape,
        files: Vec<NodeFile>,
        replica: Option<NodeFile>,
    ) -> Result<Self, TreeFileError> {
        let roots = files.iter().map(|file| file.node(rows.stored() - 1)).collect::<Result<_, _>>()?;
        let joined = Joined::new(shape, roots)
            .map_err(|source| TreeFileError::NonCanonical { path: files[0].path().to_owned(), source })?;
        Ok(Self { rows, files, replica, joined })
    }

    /// The root of the whole tree.
    pub fn root(&self) -> Node {
        self.joined.root()
    }

    /// The levels above the base trees.
    pub fn joined(&self) -> &Joined {
        &self.joined
    }

    /// Number of leaves.
    pub fn leaves(&self) -> u64 {
        self.rows.leaves() * self.files.len() as u64
    }

    /// Maps the tree's files into memory, for more leaves than are worth a read each.
    ///
    /// # Errors
    /// [`TreeFileError::File`].
    pub fn map(&self, hash: NodeHash) -> Result<MappedTree, TreeFileError> {
        let map = |file: &NodeFile| Ok(MappedFile { path: file.path().to_owned(), bytes: file.map(Access::Random)? });
        let files = self.files.iter().map(map).collect::<Result<_, NodeFileError>>()?;
        let replica = self.replica.as_ref().map(map).transpose()?;
        Ok(MappedTree::new(hash, self.rows, files, replica, self.joined.clone()))
    }

    fn locate(&self, leaf: u64) -> Result<(usize, u64), TreeFileError> {
        let leaves = self.leaves();
        if leaf >= leaves {
            return Err(TreeFileError::NoSuchLeaf { leaf, leaves });
        }
        Ok(((leaf / self.rows.leaves()) as usize, leaf % self.rows.leaves()))
    }

    /// Leaf `leaf`, counted over all base trees.
    ///
    /// # Errors
    /// [`TreeFileError`] when there is no such leaf or it cannot be read.
    pub fn leaf(&self, leaf: u64) -> Result<Node, TreeFileError> {
        let (tree, place) = self.locate(leaf)?;
        Ok(match &self.replica {
            Some(replica) => replica.node(leaf)?,
            None => self.files[tree].node(place)?,
        })
    }

    /// The steps from leaf `leaf`, counted over all base trees, to the root: bottom up, sub and top levels included.
    ///
    /// # Errors
    /// [`TreeFileError`] when there is no such leaf, a file cannot be read, or the replica contradicts the tree.
    pub fn levels(&self, leaf: u64) -> Result<Vec<PathElement>, TreeFileError> {
        let (tree, place) = self.locate(leaf)?;
        let mut levels = match &self.replica {
            Some(replica) => self.rebuilt(replica, tree, place)?,
            None => Vec::new(),
        };
        let arity = self.rows.arity() as u64;
        let mut place = (0..levels.len()).fold(place, |place, _| place / arity);
        let mut children = vec![[0; NODE_SIZE]; self.rows.arity()];
        for row in levels.len()..self.rows.count() - 1 {
            self.files[tree].read(self.rows.row_offset(row) + place / arity * arity, &mut children)?;
            levels.push(PathElement::new(&children, (place % arity) as usize));
            place /= arity;
        }
        levels.extend(self.joined.levels(tree));
        Ok(levels)
    }

    /// The steps below the first stored row, from the replica.
    fn rebuilt(&self, replica: &NodeFile, tree: usize, place: u64) -> Result<Vec<PathElement>, TreeFileError> {
        let arity = self.rows.arity();
        let count = (0..self.rows.first_stored()).fold(1, |count, _| count * arity as u64);
        let first = tree as u64 * self.rows.leaves() + place / count * count;
        let mut nodes = vec![[0; NODE_SIZE]; count as usize];
        replica.read(first, &mut nodes)?;
        let mut index = (place % count) as usize;
        let mut levels = Vec::with_capacity(self.rows.count() + 1);
        while nodes.len() > 1 {
            levels.push(PathElement::new(&nodes[index / arity * arity..][..arity], index % arity));
            index /= arity;
            let mut parents = vec![[0; NODE_SIZE]; nodes.len() / arity];
            hash_batch(arity, &nodes, &mut parents)
                .map_err(|source| TreeFileError::NonCanonical { path: replica.path().to_owned(), source })?;
            nodes = parents;
        }
        let file = &self.files[tree];
        if file.node(place / count)? != nodes[0] {
            let (path, replica) = (file.path().to_owned(), replica.path().to_owned());
            return Err(TreeFileError::Inconsistent { path, replica, first, count });
        }
        Ok(levels)
    }
}
