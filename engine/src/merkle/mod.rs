//! Merkle trees: building, files, paths.

pub mod build;
pub mod mapped_tree;
pub mod node_file;
pub mod path;
pub mod tree_file;
