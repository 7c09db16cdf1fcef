//! Every file of a sector's cache folder: its name and exact length.
//!
//! Stores are named `sc-02-data-<id>.dat`. A layer has n nodes of 32 bytes, TreeD 2n − 1; a base tree of TreeC over
//! `w = 8ᵏ` leaves has `(8·w − 1)/7`, and its twin of TreeR-last, which leaves out the leaves and d rows above them,
//! `(8^(k−d) − 1)/7`. Where there are several base trees, `-t` follows the id.
//!
//! Source: `spec/replication.md` 3.2, 5.3, 6.2 to 6.7.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sector::SectorParams;
use crate::sector::params::NODE_SIZE;

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
pub fn store_name(id: &str) -> String {
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

/// Rows above the leaves of a base tree, root included: log₈ of its leaves.
fn upper_rows(params: &SectorParams) -> usize {
    params.base_leaves().trailing_zeros() as usize / 3
}

/// Nodes of one full base tree.
pub fn base_tree_nodes(params: &SectorParams) -> u64 {
    (8 * params.base_leaves() - 1) / 7
}

/// Rows above the leaves that TreeR-last files leave out, when `configured` are asked for.
///
/// The root and the row below it stay, except that a tree of three rows keeps its root alone.
pub fn rows_to_discard(params: &SectorParams, configured: usize) -> usize {
    match upper_rows(params) {
        0 | 1 => 0,
        2 => 1,
        upper => configured.min(upper - 1),
    }
}

/// The rows that a TreeR-last file of `bytes` bytes leaves out above the leaves; `None` for a length that none has.
pub fn discarded_rows(params: &SectorParams, bytes: u64) -> Option<usize> {
    (0..upper_rows(params)).find(|&discard| base_tree_r_last_bytes(params, discard) == bytes)
}

/// Bytes of one TreeR-last file that leaves out `discard` rows above the leaves; 0 when that is every row.
pub fn base_tree_r_last_bytes(params: &SectorParams, discard: usize) -> u64 {
    let kept = upper_rows(params).saturating_sub(discard) as u32;
    (8_u64.pow(kept) - 1) / 7 * NODE_SIZE as u64
}

/// A file that a phase writes or needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheFile {
    /// Its name in the cache folder.
    pub name: String,
    /// Its exact length.
    pub bytes: u64,
}

/// The stores of a sector.
#[derive(Clone, Copy, Debug)]
pub struct CacheFiles {
    params: &'static SectorParams,
    discard: usize,
}

impl CacheFiles {
    /// The stores of a sector whose TreeR-last leaves out `configured` rows above the leaves, if its trees allow.
    pub fn new(params: &'static SectorParams, configured: usize) -> Self {
        Self { params, discard: rows_to_discard(params, configured) }
    }

    /// Layer 1 to the last.
    pub fn layers(self) -> Vec<CacheFile> {
        (1..=self.params.layers)
            .map(|layer| CacheFile { name: layer_name(layer), bytes: self.params.size_bytes })
            .collect()
    }

    /// The tree over the data.
    pub fn tree_d(self) -> CacheFile {
        CacheFile { name: store_name(TREE_D), bytes: 2 * self.params.size_bytes - NODE_SIZE as u64 }
    }

    /// The trees over the columns.
    pub fn tree_c(self) -> Vec<CacheFile> {
        self.base_trees(TREE_C, base_tree_nodes(self.params) * NODE_SIZE as u64)
    }

    /// The trees over the replica.
    pub fn tree_r_last(self) -> Vec<CacheFile> {
        self.base_trees(TREE_R_LAST, base_tree_r_last_bytes(self.params, self.discard))
    }

    fn base_trees(self, id: &str, bytes: u64) -> Vec<CacheFile> {
        let trees = self.params.shape.base_trees();
        (0..trees).map(|tree| CacheFile { name: base_tree_name(id, tree, trees), bytes }).collect()
    }

    /// What has to be there before phase 2 of the pre-commit.
    pub fn for_precommit(self) -> Vec<CacheFile> {
        let mut files = self.layers();
        files.push(self.tree_d());
        files
    }

    /// What has to be there before phase 1 of the commit, besides `p_aux` and `t_aux`.
    pub fn for_commit(self) -> Vec<CacheFile> {
        let mut files = self.for_precommit();
        files.extend(self.tree_c());
        files.extend(self.tree_r_last());
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

/// Removes TreeD, TreeC and the layers from a cache folder; returns how many files went.
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
    Ok(removed)
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
            assert_eq!(rows_to_discard(params, 2), discard, "{size}");
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
        assert_eq!([0, 1, 2, 3, 5, 6, 100].map(|rows| rows_to_discard(params, rows)), [0, 1, 2, 3, 5, 5, 5]);
        for discard in 0..=5 {
            assert_eq!(discarded_rows(params, base_tree_r_last_bytes(params, discard)), Some(discard));
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
        assert_eq!(clear(folder.path()).unwrap(), 5);
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
