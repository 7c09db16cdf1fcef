//! Names of the files that phase 2 reads and writes in a cache folder: `spec/replication.md` 3.2, 5.3, 6.2 to 6.4.

use std::path::{Path, PathBuf};

/// TreeD.
pub(crate) fn tree_d(cache: &Path) -> PathBuf {
    cache.join("sc-02-data-tree-d.dat")
}

/// The labels of a layer, counted from 1.
pub(crate) fn layer(cache: &Path, layer: usize) -> PathBuf {
    cache.join(format!("sc-02-data-layer-{layer}.dat"))
}

/// Base tree `tree` of TreeC.
pub(crate) fn tree_c(cache: &Path, tree: usize, base_trees: usize) -> PathBuf {
    numbered(cache, "tree-c", tree, base_trees)
}

/// Base tree `tree` of TreeR-last.
pub(crate) fn tree_r_last(cache: &Path, tree: usize, base_trees: usize) -> PathBuf {
    numbered(cache, "tree-r-last", tree, base_trees)
}

/// A number is appended only where there are several.
fn numbered(cache: &Path, id: &str, tree: usize, base_trees: usize) -> PathBuf {
    let name = if base_trees == 1 { format!("sc-02-data-{id}.dat") } else { format!("sc-02-data-{id}-{tree}.dat") };
    cache.join(name)
}
