//! Merkle trees: shapes, building, files, paths.

pub mod path;
