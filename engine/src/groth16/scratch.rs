//! A vector of a domain in a file, for transforms that have no memory for it.
//!
//! The vector is a matrix of R rows, row after row, as [`Domain`] cuts it. Rows and strips of columns are read and written
//! by several threads at a time; a strip is a piece of every row, so that a wide one is read in long pieces.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::backend::cpu::ntt::{Domain, RowNumbers};
use crate::field::{Fr, raw};
use crate::store::positioned::{read_exact_at, reserve, write_all_at};

const FR_BYTES: u64 = size_of::<Fr>() as u64;
/// Elements that one task reads or writes at least.
const TASK: usize = 1 << 12;

/// The file of a vector failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep {bytes} bytes of a proof in a file in {}", folder.display())]
#[allow(missing_docs, reason = "the message is the docs")]
pub struct ScratchError {
    pub folder: PathBuf,
    pub bytes: u64,
    pub source: io::Error,
}

/// A vector in a file without a name, which is gone when it is dropped, however the process ends.
#[derive(Debug)]
pub(super) struct Scratch {
    file: File,
    folder: PathBuf,
    /// Elements.
    size: usize,
    /// Of a row.
    columns: usize,
}

impl Scratch {
    /// A vector of zeros or anything else, once there is room for it.
    pub(super) fn create(folder: &Path, domain: &Domain) -> Result<Self, ScratchError> {
        let size = domain.size();
        let bytes = size as u64 * FR_BYTES;
        let make = || {
            let file = tempfile::tempfile_in(folder)?;
            if !reserve(&file, bytes)? {
                file.set_len(bytes)?;
            }
            Ok(file)
        };
        let file = make().map_err(|source| ScratchError { folder: folder.to_owned(), bytes, source })?;
        Ok(Self { file, folder: folder.to_owned(), size, columns: size >> domain.rows_log2() })
    }

    fn error(&self, source: io::Error) -> ScratchError {
        ScratchError { folder: self.folder.clone(), bytes: self.size as u64 * FR_BYTES, source }
    }

    fn rows(&self) -> usize {
        self.size / self.columns
    }

    /// Elements from `first` on.
    pub(super) fn read(&self, first: usize, elements: &mut [Fr]) -> Result<(), ScratchError> {
        read_exact_at(&self.file, raw::bytes_mut(elements), first as u64 * FR_BYTES).map_err(|error| self.error(error))
    }

    /// Writes elements from `first` on.
    pub(super) fn write(&self, first: usize, elements: &[Fr]) -> Result<(), ScratchError> {
        write_all_at(&self.file, raw::bytes(elements), first as u64 * FR_BYTES).map_err(|error| self.error(error))
    }

    /// Fills a strip with columns from `first` on, a piece of each row after the other.
    pub(super) fn read_columns(&self, first: usize, strip: &mut [Fr]) -> Result<(), ScratchError> {
        let width = strip.len() / self.rows();
        let pieces = strip.par_chunks_exact_mut(width).with_min_len(TASK.div_ceil(width)).enumerate();
        pieces.map(|(row, piece)| self.read(row * self.columns + first, piece)).collect()
    }

    /// Writes a strip over columns from `first` on.
    pub(super) fn write_columns(&self, first: usize, strip: &[Fr]) -> Result<(), ScratchError> {
        let width = strip.len() / self.rows();
        let pieces = strip.par_chunks_exact(width).with_min_len(TASK.div_ceil(width)).enumerate();
        pieces.map(|(row, piece)| self.write(row * self.columns + first, piece)).collect()
    }

    /// Fills `rows` with whole rows, one after the other.
    pub(super) fn read_rows(&self, numbers: RowNumbers, rows: &mut [Fr]) -> Result<(), ScratchError> {
        let rows = rows.par_chunks_exact_mut(self.columns).with_min_len(TASK.div_ceil(self.columns)).enumerate();
        rows.map(|(index, row)| self.read(numbers.at(index) * self.columns, row)).collect()
    }

    /// Writes whole rows.
    pub(super) fn write_rows(&self, numbers: RowNumbers, rows: &[Fr]) -> Result<(), ScratchError> {
        let rows = rows.par_chunks_exact(self.columns).with_min_len(TASK.div_ceil(self.columns)).enumerate();
        rows.map(|(index, row)| self.write(numbers.at(index) * self.columns, row)).collect()
    }
}
