//! The two small files of a sector: `p_aux`, its Poseidon commitments, and `t_aux`, its stores.
//!
//! `p_aux` is 64 bytes: `comm_c ‖ comm_r_last`. `t_aux` is bincode, all integers little-endian:
//!
//! ```text
//! u64  number of layers
//!      layer-1 … layer-L, tree-d, tree-r-last, tree-c, each:
//!        u64 length ‖ path ‖ u64 length ‖ id ‖ u8 1 ‖ u64 nodes ‖ u64 rows left out above the leaves
//! ```
//!
//! (`u8 0` without the nodes where they are unknown.) Paths are those of the cache folder at the time of writing and mean
//! nothing to a reader. Nodes of tree-c and tree-r-last are those of one full base tree.
//!
//! Source: `spec/replication.md` 6.5.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bincode::Options;
use serde::{Deserialize, Serialize};

use crate::field::{Node, NonCanonical, fr};
use crate::sector::SectorParams;
use crate::sector::geometry::Geometry;
use crate::store::atomic::{self, WriteError};
use crate::store::files::{self, P_AUX, T_AUX, TREE_C, TREE_D, TREE_R_LAST};

/// Larger files are not read: 14 configurations with the longest paths are far below.
const MAX_BYTES: u64 = 1 << 20;

/// Why an auxiliary file was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum AuxError {
    #[error("p_aux has {0} bytes, expected 64")]
    PAuxLength(usize),
    #[error(transparent)]
    NonCanonical(#[from] NonCanonical),
    #[error("t_aux is malformed")]
    TAux(#[source] bincode::Error),
    #[error("t_aux names {actual} layers, expected {expected}")]
    Layers { expected: usize, actual: usize },
    #[error(transparent)]
    Store(#[from] UnexpectedStore),
    /// What is wrong with the file at a path.
    #[error("{} cannot be used", .path.display())]
    File { path: PathBuf, source: Box<Self> },
    #[error("cannot read {}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is larger than any auxiliary file", .path.display())]
    TooLarge { path: PathBuf },
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// A store other than the one that stands at this place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store is {actual}, expected {expected}")]
pub struct UnexpectedStore {
    /// What stands there.
    pub expected: String,
    /// What came.
    pub actual: String,
}

/// The Poseidon commitments of a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PAux {
    /// Root of TreeC.
    pub comm_c: Node,
    /// Root of TreeR-last.
    pub comm_r_last: Node,
}

impl PAux {
    /// The 64 bytes of the file.
    pub fn encode(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.comm_c);
        bytes[32..].copy_from_slice(&self.comm_r_last);
        bytes
    }

    /// Reads the bytes of the file.
    ///
    /// # Errors
    /// [`AuxError::PAuxLength`], [`AuxError::NonCanonical`].
    pub fn decode(bytes: &[u8]) -> Result<Self, AuxError> {
        let ([comm_c, comm_r_last], []) = bytes.as_chunks::<32>() else {
            return Err(AuxError::PAuxLength(bytes.len()));
        };
        fr::from_node(comm_c)?;
        fr::from_node(comm_r_last)?;
        Ok(Self { comm_c: *comm_c, comm_r_last: *comm_r_last })
    }

    /// Reads the file of a cache folder.
    ///
    /// # Errors
    /// [`AuxError`].
    pub fn read(cache: &Path) -> Result<Self, AuxError> {
        let path = cache.join(P_AUX);
        Self::decode(&read(&path)?).map_err(in_file(&path))
    }

    /// Writes the file of a cache folder.
    ///
    /// # Errors
    /// [`AuxError::Write`]; a file that was there before stays.
    pub fn write(&self, cache: &Path) -> Result<(), AuxError> {
        Ok(atomic::write(&cache.join(P_AUX), &self.encode())?)
    }
}

/// Where and how large a store is; JSON keys in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreConfig {
    /// The cache folder when this was written.
    pub path: String,
    /// What the store is: `layer-1`, `tree-d`.
    pub id: String,
    /// Its nodes.
    pub size: Option<u64>,
    /// Rows left out above the leaves.
    pub rows_to_discard: u64,
}

impl StoreConfig {
    /// A store of `size` nodes with every row.
    pub fn new(path: &str, id: &str, size: u64) -> Self {
        Self { path: path.to_owned(), id: id.to_owned(), size: Some(size), rows_to_discard: 0 }
    }

    /// The store of a sector's layer, counted from 1.
    pub fn layer(path: &str, params: &SectorParams, layer: usize) -> Self {
        Self::new(path, &files::layer_id(layer), params.nodes())
    }

    /// The store of a sector's TreeD.
    pub fn tree_d(path: &str, params: &SectorParams) -> Self {
        Self::new(path, TREE_D, 2 * params.nodes() - 1)
    }

    /// Checks what a reader relies on: which store it is, and its nodes if they are given.
    pub(crate) fn expect(&self, expected: &Self) -> Result<(), UnexpectedStore> {
        let describe = |config: &Self| match config.size {
            Some(size) => format!("{:?} of {size} nodes", config.id),
            None => format!("{:?}", config.id),
        };
        if self.id == expected.id && self.size.is_none_or(|size| Some(size) == expected.size) {
            return Ok(());
        }
        Err(UnexpectedStore { expected: describe(expected), actual: describe(self) })
    }
}

/// The stores of a sector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TAux {
    /// Layer 1 to the last.
    pub layers: Vec<StoreConfig>,
    /// The tree over the data.
    pub tree_d: StoreConfig,
    /// The trees over the replica; `rows_to_discard` is theirs.
    pub tree_r_last: StoreConfig,
    /// The trees over the columns.
    pub tree_c: StoreConfig,
}

impl TAux {
    /// The stores of a sector in the cache folder `path`; TreeR-last leaves out `discard` rows above the leaves.
    pub fn new(path: &str, params: &SectorParams, discard: usize) -> Self {
        let base_tree = |id| StoreConfig::new(path, id, Geometry::of(params).base().total());
        Self {
            layers: (1..=params.layers).map(|layer| StoreConfig::layer(path, params, layer)).collect(),
            tree_d: StoreConfig::tree_d(path, params),
            tree_r_last: StoreConfig { rows_to_discard: discard as u64, ..base_tree(TREE_R_LAST) },
            tree_c: base_tree(TREE_C),
        }
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// [`AuxError::TAux`], which does not happen in memory.
    pub fn encode(&self) -> Result<Vec<u8>, AuxError> {
        bincode::serialize(self).map_err(AuxError::TAux)
    }

    /// Reads the bytes of the file; nothing may follow.
    ///
    /// # Errors
    /// [`AuxError::TAux`].
    pub fn decode(bytes: &[u8]) -> Result<Self, AuxError> {
        let options = bincode::options().with_fixint_encoding().with_limit(bytes.len() as u64);
        options.deserialize(bytes).map_err(AuxError::TAux)
    }

    /// Reads the file of a cache folder and checks that it describes a sector of these parameters.
    ///
    /// Only `tree_r_last.rows_to_discard` says something that the parameters do not.
    ///
    /// # Errors
    /// [`AuxError`].
    pub fn read(cache: &Path, params: &SectorParams) -> Result<Self, AuxError> {
        let path = cache.join(T_AUX);
        Self::decode(&read(&path)?).and_then(|aux| aux.checked(params)).map_err(in_file(&path))
    }

    fn checked(self, params: &SectorParams) -> Result<Self, AuxError> {
        let expected = Self::new("", params, 0);
        if self.layers.len() != expected.layers.len() {
            return Err(AuxError::Layers { expected: expected.layers.len(), actual: self.layers.len() });
        }
        self.layers.iter().zip(&expected.layers).try_for_each(|(config, expected)| config.expect(expected))?;
        self.tree_d.expect(&expected.tree_d)?;
        self.tree_r_last.expect(&expected.tree_r_last)?;
        self.tree_c.expect(&expected.tree_c)?;
        Ok(self)
    }

    /// Writes the file of a cache folder.
    ///
    /// # Errors
    /// [`AuxError::Write`]; a file that was there before stays.
    pub fn write(&self, cache: &Path) -> Result<(), AuxError> {
        Ok(atomic::write(&cache.join(T_AUX), &self.encode()?)?)
    }
}

fn in_file(path: &Path) -> impl FnOnce(AuxError) -> AuxError {
    let path = path.to_owned();
    move |error| AuxError::File { path, source: Box::new(error) }
}

/// A small file.
fn read(path: &Path) -> Result<Vec<u8>, AuxError> {
    let failed = |source| AuxError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(AuxError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sector::{Profile, params};
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    fn aux(profile: Profile, size: u64) -> TAux {
        let params = params::for_size(profile, size).unwrap();
        TAux::new("/c", params, Geometry::of(params).rows_to_discard(2))
    }

    /// spec/replication.md 12.6.
    #[test]
    fn t_aux_of_2kib_matches_reference() {
        let expected = "020000000000000002000000000000002f6307000000000000006c617965722d310140000000000000000000000000\
                        00000002000000000000002f6307000000000000006c617965722d3201400000000000000000000000000000000200\
                        0000000000002f630600000000000000747265652d64017f0000000000000000000000000000000200000000000000\
                        2f630b00000000000000747265652d722d6c617374014900000000000000010000000000000002000000000000002f\
                        630600000000000000747265652d630149000000000000000000000000000000";
        let aux = aux(Profile::Filecoin, 2048);
        let bytes = aux.encode().unwrap();
        assert_eq!(hex::encode(&bytes), expected);
        assert_eq!(TAux::decode(&bytes).unwrap(), aux);
    }

    /// spec/replication.md 12.6.
    #[test]
    fn t_aux_of_larger_sectors_matches_reference() {
        let table = [
            (Profile::Filecoin, 2 << 10, 220, "b43fc01502b89552e82294c57eed539914b8fbdad1bbc749b0b6a1c6e3447d2b"),
            (Profile::Filecoin, 8 << 20, 220, "97b3355202d87be1af4c8e9569be8397945501825260ff727df93ac39f95cc36"),
            (Profile::Filecoin, 512 << 20, 220, "6e62c910694ad1b31ae95e19ee5190c34dd5aacab16f518d585187d778a693ee"),
            (Profile::Filecoin, 32 << 30, 600, "9e6e610b5d71830c58b5b25037b2f80c9a401011d28492d6b63f526ea0183cd8"),
            (Profile::Filecoin, 64 << 30, 600, "c07505b40b3504c98c3678ee7cd2734d33f5cfeb077db46c92550c6675d1c640"),
            (Profile::Filecash, 4 << 30, 472, "5b38afb2b108fc664210d4c354427f67deb0cf604137261a981b04bb1bcf2998"),
            (Profile::Filecash, 16 << 30, 346, "1524dd1808b4e7bfa6e0d04e6aaf6c2ed4ee0c03b845583946daa2daa44adcdc"),
        ];
        for (profile, size, length, digest) in table {
            let bytes = aux(profile, size).encode().unwrap();
            assert_eq!((bytes.len(), hex::encode(Sha256::digest(&bytes)).as_str()), (length, digest), "{size}");
        }
    }

    #[test]
    fn files_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let params = params::for_size(Profile::Filecoin, 2048).unwrap();
        let p_aux = PAux { comm_c: [1; 32], comm_r_last: [2; 32] };
        p_aux.write(folder.path()).unwrap();
        assert_eq!(PAux::read(folder.path()).unwrap(), p_aux);
        let t_aux = aux(Profile::Filecoin, 2048);
        t_aux.write(folder.path()).unwrap();
        assert_eq!(TAux::read(folder.path(), params).unwrap(), t_aux);
        assert!(matches!(PAux::read(&folder.path().join("none")), Err(AuxError::Read { .. })));
    }

    #[test]
    fn t_aux_of_another_sector_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let of = |size| params::for_size(Profile::Filecoin, size).unwrap();
        aux(Profile::Filecoin, 8 << 20).write(folder.path()).unwrap();
        let problem = |size| match TAux::read(folder.path(), of(size)).unwrap_err() {
            AuxError::File { path, source } if path.ends_with("t_aux") => source.to_string(),
            error => panic!("{error}"),
        };
        let expected = "the store is \"layer-1\" of 262144 nodes, expected \"layer-1\" of 64 nodes";
        assert_eq!(problem(2048), expected);
        assert_eq!(problem(32 << 30), "t_aux names 2 layers, expected 11");
    }

    #[test]
    fn malformed_p_aux_is_refused() {
        assert!(matches!(PAux::decode(&[0; 63]), Err(AuxError::PAuxLength(63))));
        assert!(matches!(PAux::decode(&[0; 65]), Err(AuxError::PAuxLength(65))));
        assert!(matches!(PAux::decode(&[0xff; 64]), Err(AuxError::NonCanonical(_))));
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = aux(Profile::Filecoin, 2048).encode().unwrap();
        bytes.push(0);
        assert!(matches!(TAux::decode(&bytes), Err(AuxError::TAux(_))));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = TAux::decode(&bytes);
            let _ = PAux::decode(&bytes);
        }

        #[test]
        fn flipped_and_cut_bytes_never_panic(at in 0_usize..220, bit in 0_u8..8, cut in 0_usize..220) {
            let whole = aux(Profile::Filecoin, 2048).encode().unwrap();
            prop_assert!(TAux::decode(&whole[..cut]).is_err());
            let mut flipped = whole;
            flipped[at] ^= 1 << bit;
            if let Ok(decoded) = TAux::decode(&flipped) {
                prop_assert_eq!(decoded.encode().unwrap(), flipped);
            }
        }
    }
}
