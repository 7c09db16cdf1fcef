//! Merkle trees: shapes, building, files, paths.

pub mod build;
pub(crate) mod names;
pub mod node_file;
pub mod path;
pub mod shape;
pub mod tree_file;
