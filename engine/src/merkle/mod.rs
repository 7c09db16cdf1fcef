//! Merkle trees: shapes, building, files, paths.
