//! Synthetic proofs of replication: vanilla proofs of a whole set of challenges, made before the seed is known.
//!
//! After phase 2 of the pre-commit a sector proves all members of its [`SyntheticSet`] into one file and can drop its
//! layers, TreeD and TreeC: when the seed comes, phase 1 of the commit takes the members that it selects out of the file.
//!
//! ```text
//! syn-porep-vanilla-proofs.dat = root of TreeD ‖ root of TreeC ‖ root of TreeR-last ‖ S records
//! ```
//!
//! Record m is of member m, all have one length ([`record`]), so that any is read alone. [`generate`] writes the file.
//!
//! Source: `spec/replication.md` 8.6.
//!
//! [`SyntheticSet`]: crate::porep::challenges::SyntheticSet

pub mod generate;
pub mod record;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::field::Node;
use crate::job::Cancelled;
use crate::porep::proof::{Proof, ProofShape};
use crate::porep::synthetic::record::{RecordError, Roots, record_bytes};
use crate::porep::verify::VanillaError;
use crate::sector::Feature;
use crate::sector::params::NODE_SIZE;
use crate::store::files::SYNTHETIC_PROOFS;
use crate::store::positioned::read_exact_at;

/// Bytes before the first record.
const HEAD_BYTES: u64 = 3 * NODE_SIZE as u64;

/// Why synthetic proofs could not be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum SyntheticError {
    #[error("{0} proofs of replication have no synthetic set")]
    Feature(Feature),
    #[error("{} is missing: synthetic proofs are made before the cache is cleared, and not afterwards", path.display())]
    Cleared { path: PathBuf },
    #[error("{} is missing: it is made after phase 2 of the pre-commit, before the cache is cleared", path.display())]
    Missing { path: PathBuf },
    #[error("{} is not a file", path.display())]
    NotAFile { path: PathBuf },
    #[error("cannot read {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is {actual} bytes, expected {expected}", path.display())]
    Length { path: PathBuf, expected: u64, actual: u64 },
    #[error(
        "{} is of another sector: its {what} is {}, expected {}",
        path.display(),
        hex::encode(actual),
        hex::encode(expected)
    )]
    OtherSector { path: PathBuf, what: &'static str, expected: Node, actual: Node },
    #[error("record {record} of {}", path.display())]
    Record { path: PathBuf, record: u64, source: RecordError },
    #[error("record {record} of {} is of node {actual}, expected {expected}", path.display())]
    Challenge { path: PathBuf, record: u64, expected: u64, actual: u64 },
    #[error("record {record} of {} does not hold", path.display())]
    Invalid { path: PathBuf, record: u64, source: Box<VanillaError> },
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Bytes of a file of `records` records.
pub fn file_bytes(shape: &ProofShape, records: u64) -> u64 {
    HEAD_BYTES + records * record_bytes(shape)
}

/// A file of synthetic proofs, open for reading at any record.
#[derive(Debug)]
pub struct SyntheticFile {
    path: PathBuf,
    file: File,
    shape: ProofShape,
    roots: Roots,
}

impl SyntheticFile {
    /// Opens the file of a cache folder, which has to be of exactly `records` records of a sector of this shape.
    ///
    /// # Errors
    /// [`SyntheticError`] when it is missing, cannot be read, or has another length.
    pub fn open(cache: &Path, shape: ProofShape, records: u64) -> Result<Self, SyntheticError> {
        let path = cache.join(SYNTHETIC_PROOFS);
        let failed = |source| SyntheticError::Io { path: path.clone(), source };
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(SyntheticError::Missing { path }),
            Err(error) => return Err(failed(error)),
        };
        if !metadata.is_file() {
            return Err(SyntheticError::NotAFile { path });
        }
        let (expected, actual) = (file_bytes(&shape, records), metadata.len());
        if expected != actual {
            return Err(SyntheticError::Length { path, expected, actual });
        }
        let file = File::open(&path).map_err(failed)?;
        let mut head = [0; HEAD_BYTES as usize];
        read_exact_at(&file, &mut head, 0).map_err(failed)?;
        Ok(Self { file, shape, roots: Roots::decode(&head), path })
    }

    /// The roots that it says its openings lead to.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Compares its roots with those of the sector that it should be of.
    ///
    /// # Errors
    /// [`SyntheticError::OtherSector`].
    pub fn expect_roots(&self, expected: &Roots) -> Result<(), SyntheticError> {
        let pairs = [
            ("root of TreeD", expected.tree_d, self.roots.tree_d),
            ("root of TreeC", expected.tree_c, self.roots.tree_c),
            ("root of TreeR-last", expected.tree_r_last, self.roots.tree_r_last),
        ];
        match pairs.into_iter().find(|(_, expected, actual)| expected != actual) {
            None => Ok(()),
            Some((what, expected, actual)) => {
                Err(SyntheticError::OtherSector { path: self.path.clone(), what, expected, actual })
            }
        }
    }

    /// The proof in a record, which has to be of the node `challenge` and hold as `verify` says.
    ///
    /// # Errors
    /// [`SyntheticError`], which names the record.
    pub fn proof(
        &self,
        record: u64,
        challenge: u64,
        verify: impl FnOnce(&Proof) -> Result<(), VanillaError>,
    ) -> Result<Proof, SyntheticError> {
        let path = || self.path.clone();
        let length = record_bytes(&self.shape);
        let mut bytes = vec![0; length as usize];
        read_exact_at(&self.file, &mut bytes, HEAD_BYTES + record * length)
            .map_err(|source| SyntheticError::Io { path: path(), source })?;
        let proof = record::decode(&self.shape, &self.roots, &bytes).map_err(|source| SyntheticError::Record {
            path: path(),
            record,
            source,
        })?;
        let (expected, actual) = (challenge, proof.challenge());
        if expected != actual {
            return Err(SyntheticError::Challenge { path: path(), record, expected, actual });
        }
        verify(&proof).map_err(|source| SyntheticError::Invalid { path: path(), record, source: Box::new(source) })?;
        Ok(proof)
    }
}

#[cfg(test)]
mod tests;
