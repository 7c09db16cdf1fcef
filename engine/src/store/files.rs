//! Every file of a sector's cache folder: its name and exact length.
//!
//! Stores are named `sc-02-data-<id>.dat`; where there are several base trees, `-t` follows the id. Layers and trees are
//! nodes of 32 bytes and nothing else, as many as [`crate::sector::geometry`] counts.
//!
//! Source: `spec/replication.md` 3.2, 5.3, 6.2 to 6.7.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sector::SectorParams;
use crate::sector::geometry::{Geometry, Rows};
use crate::sector::params::NODE_SIZE;
use crate::store::atomic::remove_abandoned;

/// `comm_c ‖ comm_r_last`.
pub const P_AUX: &str = "p_aux";
/// Where the stores of the sector are; see [`crate::store::aux`].
pub const T_AUX: &str = "t_aux";
/// The proofs of a synthetic PoRep's whole set.
pub const SYNTHETIC_PROOFS: &str = "syn-porep-vanilla-proofs.dat";
/// The id of TreeD's store.
pub const TREE_D: &str = "tree-d";
/// The id of TreeC's stores, without the number of a base tree.
pub const TREE_C: &str = "tree-c";
/// The id of TreeR-last's stores, without the number of a base tree.
pub const TREE_R_LAST: &str = "tree-r-last";

/// The file name of a store: `sc-02-data-tree-d.dat`.
fn store_name(id: &str) -> String {
    format!("sc-02-data-{id}.dat")
}

/// The id of a layer's store, counted from 1: `layer-1`.
pub fn layer_id(layer: usize) -> String {
    format!("layer-{layer}")
}

/// The file name of a layer, counted from 1.
pub fn layer_name(layer: usize) -> String {
    store_name(&layer_id(layer))
}

/// The file name of one base tree, counted from 0, out of `base_trees`.
pub fn base_tree_name(id: &str, tree: usize, base_trees: usize) -> String {
    if base_trees == 1 { store_name(id) } else { store_name(&format!("{id}-{tree}")) }
}

/// The file of a layer, counted from 1, in a cache folder.
pub fn layer(cache: &Path, layer: usize) -> PathBuf {
    cache.join(layer_name(layer))
}

/// The file of TreeD in a cache folder.
pub fn tree_d(cache: &Path) -> PathBuf {
    cache.join(store_name(TREE_D))
}

/// The files of TreeC in a cache folder, a base tree each.
pub fn tree_c(cache: &Path, base_trees: usize) -> impl Iterator<Item = PathBuf> {
    base_trees_in(cache, TREE_C, base_trees)
}

/// The files of TreeR-last in a cache folder, a base tree each.
pub fn tree_r_last(cache: &Path, base_trees: usize) -> impl Iterator<Item = PathBuf> {
    base_trees_in(cache, TREE_R_LAST, base_trees)
}

fn base_trees_in(cache: &Path, id: &'static str, base_trees: usize) -> impl Iterator<Item = PathBuf> {
    (0..base_trees).map(move |tree| cache.join(base_tree_name(id, tree, base_trees)))
}

/// The rows that a TreeR-last file of `bytes` bytes leaves out above the leaves; `None` for a length that none has.
pub fn discarded_rows(params: &SectorParams, bytes: u64) -> Option<usize> {
    let nodes = bytes.is_multiple_of(NODE_SIZE as u64).then_some(bytes / NODE_SIZE as u64)?;
    // The lowest row in the file is one above those left out.
    Some(Geometry::of(params).base_r_last_of(nodes)?.first_stored().saturating_sub(1))
}

/// A file that a phase writes or needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheFile {
    /// Its name in the cache folder.
    pub name: String,
    /// Its exact length.
    pub bytes: u64,
}

impl CacheFile {
    fn new(name: String, nodes: u64) -> Self {
        Self { name, bytes: nodes * NODE_SIZE as u64 }
    }
}

/// The stores of a sector.
#[derive(Clone, Copy, Debug)]
pub struct CacheFiles {
    geometry: Geometry,
    r_last: Rows,
}

impl CacheFiles {
    /// The stores of a sector whose TreeR-last leaves out `configured` rows above the leaves, if its trees allow.
    pub fn new(params: &SectorParams, configured: usize) -> Self {
        let geometry = Geometry::of(params);
        Self { geometry, r_last: geometry.base_r_last(configured) }
    }

    /// Layer 1 to the last.
    pub fn layers(self) -> Vec<CacheFile> {
        let file = |layer| CacheFile::new(layer_name(layer), self.geometry.nodes());
        (1..=self.geometry.layers()).map(file).collect()
    }

    /// The tree over the data.
    pub fn tree_d(self) -> CacheFile {
        CacheFile::new(store_name(TREE_D), self.geometry.data().stored())
    }

    /// The trees over the columns.
    pub fn tree_c(self) -> Vec<CacheFile> {
        self.base_trees(TREE_C, self.geometry.base())
    }

    /// The trees over the replica.
    pub fn tree_r_last(self) -> Vec<CacheFile> {
        self.base_trees(TREE_R_LAST, self.r_last)
    }

    fn base_trees(self, id: &str, rows: Rows) -> Vec<CacheFile> {
        let trees = self.geometry.base_trees();
        (0..trees).map(|tree| CacheFile::new(base_tree_name(id, tree, trees), rows.stored())).collect()
    }

    /// What has to be there before phase 2 of the pre-commit.
    pub fn for_precommit(self) -> Vec<CacheFile> {
        let mut files = self.layers();
        files.push(self.tree_d());
        files
    }

    /// What has to be there before phase 1 of the commit, besides `p_aux` and `t_aux`.
    pub fn for_commit(self) -> Vec<CacheFile> {
        let mut files = self.for_synthetic();
        files.extend(self.tree_r_last());
        files
    }

    /// What has to be there before synthetic proofs are made, and what clearing the cache removes.
    pub fn for_synthetic(self) -> Vec<CacheFile> {
        let mut files = self.for_precommit();
        files.extend(self.tree_c());
        files
    }

    /// What a PoSt needs, besides the replica and `p_aux`.
    pub fn for_post(self) -> Vec<CacheFile> {
        self.tree_r_last()
    }
}

/// Whether clearing the cache after the commit removes a file: TreeD, TreeC, layers.
pub fn is_cleared(name: &str) -> bool {
    let id = name.strip_prefix("sc-02-data-").and_then(|rest| rest.strip_suffix(".dat"));
    id.is_some_and(|id| id == TREE_D || id.starts_with(TREE_C) || id.starts_with("layer"))
}

/// What is wrong with a file of a cache folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum FileError {
    #[error("{} is missing", .path.display())]
    Missing { path: PathBuf },
    #[error("{} is not a file", .path.display())]
    NotAFile { path: PathBuf },
    #[error("{} has {actual} bytes, expected {expected}", .path.display())]
    Length { path: PathBuf, expected: u64, actual: u64 },
    #[error("cannot {action} {}", .path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

/// Checks that every file is there and has its exact length.
///
/// # Errors
/// [`FileError`] for the first that is not so.
pub fn check(folder: &Path, files: &[CacheFile]) -> Result<(), FileError> {
    files.iter().try_for_each(|file| {
        let path = folder.join(&file.name);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(FileError::Missing { path }),
            Err(source) => return Err(FileError::Io { action: "examine", path, source }),
        };
        if !metadata.is_file() {
            return Err(FileError::NotAFile { path });
        }
        if metadata.len() != file.bytes {
            return Err(FileError::Length { path, expected: file.bytes, actual: metadata.len() });
        }
        Ok(())
    })
}

/// Removes TreeD, TreeC and the layers from a cache folder, and what killed processes left there; returns how many files
/// went.
///
/// For an interactive proof this comes after phase 1 of the commit, never before. It takes no sector size.
///
/// # Errors
/// [`FileError::Io`]; files removed until then stay removed.
pub fn clear(folder: &Path) -> Result<usize, FileError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| FileError::Io { action, path, source }
    };
    let mut removed = 0;
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let path = entry.map_err(failed("list", folder))?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(is_cleared) {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
            removed += 1;
        }
    }
    Ok(removed + remove_abandoned(folder, |_| true).map_err(failed("list", folder))?)
}

/// Removes the file of synthetic proofs from a cache folder; says whether it was there.
///
/// This comes after phase 1 of the commit: without the file, and without what [`clear`] removes, there is no other proof.
///
/// # Errors
/// [`FileError::Io`].
pub fn clear_synthetic(folder: &Path) -> Result<bool, FileError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| FileError::Io { action, path, source }
    };
    remove_abandoned(folder, |name| name == SYNTHETIC_PROOFS).map_err(failed("list", folder))?;
    let path = folder.join(SYNTHETIC_PROOFS);
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(failed("remove", &path)(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sector::{Profile, params};

    /// spec/replication.md 3.2.
    #[test]
    fn files_match_reference() {
        const KIB: u64 = 1 << 10;
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        // Size, TreeD, TreeC files and bytes, rows discarded, TreeR-last bytes, layers.
        let table = [
            (2 * KIB, 4064, 1, 2336, 1, 32, 2),
            (4 * KIB, 8160, 2, 2336, 1, 32, 2),
            (16 * KIB, 32736, 8, 2336, 1, 32, 2),
            (32 * KIB, 65504, 16, 2336, 1, 32, 2),
            (8 * MIB, 16_777_184, 1, 9_586_976, 2, 18_720, 2),
            (16 * MIB, 33_554_400, 2, 9_586_976, 2, 18_720, 2),
            (512 * MIB, 1_073_741_792, 1, 613_566_752, 2, 1_198_368, 2),
            (GIB, 2_147_483_616, 2, 613_566_752, 2, 1_198_368, 2),
            (32 * GIB, 68_719_476_704, 8, 4_908_534_048, 2, 9_586_976, 11),
            (64 * GIB, 137_438_953_440, 16, 4_908_534_048, 2, 9_586_976, 11),
            (4 * GIB, 8_589_934_560, 1, 4_908_534_048, 2, 9_586_976, 8),
            (16 * GIB, 34_359_738_336, 4, 4_908_534_048, 2, 9_586_976, 5),
        ];
        for (size, tree_d, trees, tree_c, discard, tree_r_last, layers) in table {
            let params = params::for_size(Profile::Filecash, size).unwrap();
            let files = CacheFiles::new(params, 2);
            assert_eq!(discarded_rows(params, tree_r_last), Some(discard), "{size}");
            assert_eq!(files.tree_d().bytes, tree_d, "{size}");
            let lengths = |files: Vec<CacheFile>| files.iter().map(|file| file.bytes).collect::<Vec<_>>();
            assert_eq!(lengths(files.tree_c()), vec![tree_c; trees], "{size}");
            assert_eq!(lengths(files.tree_r_last()), vec![tree_r_last; trees], "{size}");
            assert_eq!(lengths(files.layers()), vec![size; layers], "{size}");
        }
    }

    #[test]
    fn discarded_rows_leave_the_root() {
        let params = params::for_size(Profile::Filecoin, 8 << 20).unwrap();
        for (configured, discarded) in [0, 1, 2, 3, 5, 6, 100].into_iter().zip([0, 1, 2, 3, 5, 5, 5]) {
            let bytes = CacheFiles::new(params, configured).tree_r_last()[0].bytes;
            assert_eq!(discarded_rows(params, bytes), Some(discarded));
        }
        assert_eq!(discarded_rows(params, 0), None);
        assert_eq!(discarded_rows(params, 64), None);
    }

    #[test]
    fn only_several_base_trees_are_numbered() {
        let names = |size| {
            let files = CacheFiles::new(params::for_size(Profile::Filecoin, size).unwrap(), 2);
            files.for_commit().into_iter().map(|file| file.name).collect::<Vec<_>>()
        };
        let single = [
            "sc-02-data-layer-1.dat",
            "sc-02-data-layer-2.dat",
            "sc-02-data-tree-d.dat",
            "sc-02-data-tree-c.dat",
            "sc-02-data-tree-r-last.dat",
        ];
        assert_eq!(names(2 << 10), single);
        assert_eq!(names(4 << 10)[3..5], ["sc-02-data-tree-c-0.dat", "sc-02-data-tree-c-1.dat"]);
        assert_eq!(names(4 << 10)[5..], ["sc-02-data-tree-r-last-0.dat", "sc-02-data-tree-r-last-1.dat"]);
    }

    /// spec/replication.md 6.7.
    #[test]
    fn clearing_keeps_what_later_proofs_need() {
        let folder = tempfile::tempdir().unwrap();
        let files = CacheFiles::new(params::for_size(Profile::Filecoin, 4 << 10).unwrap(), 2);
        let mut kept: Vec<String> = files.for_post().into_iter().map(|file| file.name).collect();
        kept.extend([P_AUX, T_AUX, SYNTHETIC_PROOFS, "layer-1.dat", "sc-02-data-other.dat"].map(String::from));
        for name in files.for_commit().iter().map(|file| &file.name).chain(&kept) {
            fs::write(folder.path().join(name), b"x").unwrap();
        }
        fs::write(folder.path().join("sc-02-data-tree-r-last-0.dat.Ab3dE6.tmp"), b"half").unwrap();
        assert_eq!(clear(folder.path()).unwrap(), 6);
        let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut left: Vec<_> = left.collect();
        left.sort();
        kept.sort();
        assert_eq!(left, kept);
        assert!(matches!(clear(&folder.path().join("none")), Err(FileError::Io { action: "list", .. })));
    }

    #[test]
    fn missing_and_cut_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let files = CacheFiles::new(params::for_size(Profile::Filecoin, 2 << 10).unwrap(), 2).for_precommit();
        let error = check(folder.path(), &files).unwrap_err();
        assert!(matches!(&error, FileError::Missing { path } if path.ends_with("sc-02-data-layer-1.dat")), "{error}");
        for file in &files {
            fs::write(folder.path().join(&file.name), vec![0; file.bytes as usize]).unwrap();
        }
        check(folder.path(), &files).unwrap();
        fs::write(folder.path().join("sc-02-data-tree-d.dat"), [0; 4063]).unwrap();
        let error = check(folder.path(), &files).unwrap_err();
        assert!(matches!(error, FileError::Length { expected: 4064, actual: 4063, .. }));
        fs::remove_file(folder.path().join("sc-02-data-layer-2.dat")).unwrap();
        fs::create_dir(folder.path().join("sc-02-data-layer-2.dat")).unwrap();
        assert!(matches!(check(folder.path(), &files), Err(FileError::NotAFile { .. })));
    }
}
