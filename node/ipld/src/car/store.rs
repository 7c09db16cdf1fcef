//! Blocks of a CAR file by their CIDs.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::index::{Entries, Index, IndexKind};
use super::{CarError, CarOptions, CarReader, Head, SECTION_HEAD_BYTES, check_section, split_cid};
use crate::block::Block;
use crate::hash::{Cid, inlined, verify};
use crate::positioned::ReadAt;
use crate::store::{BlockStore, StoreError};
use crate::varint::{self, VarintError};

/// A CAR file as a store that is only read. A v2 is opened by its index, which stays in the file; one without, and a v1, is gone through
/// once, and an index of 40 bytes for a section kept in memory. An index is believed in what it does not know; where it leads to another
/// block, that is an error.
#[derive(Debug)]
pub struct CarStore {
    file: Arc<File>,
    options: CarOptions,
    roots: Vec<Cid>,
    /// Where the v1 begins and ends.
    data: (u64, u64),
    index: AnyIndex,
}

#[derive(Debug)]
enum AnyIndex {
    InFile(Index<Arc<File>>),
    InMemory(Index<Vec<u8>>),
}

/// The head of a section.
struct Section {
    cid: Cid,
    /// Where its block begins and ends.
    block: (u64, u64),
}

impl CarStore {
    /// Opens a file.
    ///
    /// # Errors
    /// [`CarError`].
    pub fn open(path: &Path, options: &CarOptions) -> Result<Self, CarError> {
        Self::new(File::open(path).map_err(|source| CarError::Io { at: 0, source })?, options)
    }

    /// Takes a file that stands at its beginning.
    ///
    /// # Errors
    /// [`CarError`].
    pub fn new(file: File, options: &CarOptions) -> Result<Self, CarError> {
        let length = file.metadata().map_err(|source| CarError::Io { at: 0, source })?.len();
        let reader = CarReader::new(&file, options)?;
        let (first, roots) = (reader.position(), reader.roots().to_vec());
        let head = reader.head().copied();
        let Head { data_offset, data_size, index_offset, .. } =
            head.unwrap_or(Head { data_size: length, ..Head::default() });
        let data = (data_offset, data_offset.saturating_add(data_size));
        if data.1 > length {
            return Err(CarError::Truncated { at: length });
        }
        let file = Arc::new(file);
        let index = if index_offset == 0 {
            AnyIndex::InMemory(scan(&file, data, first, options)?)
        } else {
            AnyIndex::InFile(Index::open(file.clone(), index_offset, length)?)
        };
        Ok(Self { file, options: options.clone(), roots, data, index })
    }

    /// From where to begin.
    pub fn roots(&self) -> &[Cid] {
        &self.roots
    }

    fn find(&self, cid: &Cid) -> Result<Option<Section>, CarError> {
        match &self.index {
            AnyIndex::InFile(index) => self.find_by(index.offsets(cid), cid),
            AnyIndex::InMemory(index) => self.find_by(index.offsets(cid), cid),
        }
    }

    fn find_by(
        &self,
        offsets: impl Iterator<Item = Result<(u64, u64), CarError>>,
        cid: &Cid,
    ) -> Result<Option<Section>, CarError> {
        let mut misled = None;
        for offset in offsets {
            let (offset, told) = offset?;
            let at = self.data.0.checked_add(offset).filter(|at| *at < self.data.1);
            let at = at.ok_or(CarError::Index { at: told, what: "an offset outside of the blocks" })?;
            let section = section(&self.file, at, self.data.1, &self.options)?;
            if section.cid.hash() == cid.hash() {
                return Ok(Some(section));
            }
            // An index by digests alone may mean another hash function's.
            if section.cid.hash().digest() != cid.hash().digest() {
                misled = Some(CarError::Index { at: told, what: "an offset that leads to another block" });
            }
        }
        misled.map_or(Ok(None), Err)
    }

    fn read(&self, section: &Section) -> Result<Vec<u8>, CarError> {
        let (at, end) = section.block;
        // Not longer than a section may be, and within the file.
        let mut bytes = vec![0; (end - at) as usize];
        self.file.read_all(&mut bytes, at).map_err(|error| CarError::io(at, error))?;
        Ok(bytes)
    }
}

/// Reads the head of a section.
fn section(file: &File, at: u64, end: u64, options: &CarOptions) -> Result<Section, CarError> {
    let mut bytes = [0; SECTION_HEAD_BYTES];
    let most = bytes.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
    let read = file.read_up_to(&mut bytes[..most], at).map_err(|error| CarError::io(at, error))?;
    let mut rest = &bytes[..read];
    let length = varint::read(&mut rest).map_err(|error| match error {
        VarintError::Incomplete => CarError::Truncated { at: end },
        VarintError::Syntax => CarError::Syntax { at, what: "a length that is no number" },
    })?;
    check_section(length, at, options)?;
    let cid_at = at + (read - rest.len()) as u64;
    if length > end - cid_at {
        return Err(CarError::Truncated { at: end });
    }
    let within = &rest[..rest.len().min(usize::try_from(length).unwrap_or(usize::MAX))];
    let (cid, cid_bytes) = split_cid(within, at)?;
    Ok(Section { cid, block: (cid_at + cid_bytes as u64, cid_at + length) })
}

/// Makes the index of a file that has none.
fn scan(file: &File, data: (u64, u64), first: u64, options: &CarOptions) -> Result<Index<Vec<u8>>, CarError> {
    let (mut entries, mut at) = (Entries::default(), first);
    while at < data.1 {
        match section(file, at, data.1, options) {
            Ok(section) => {
                if inlined(&section.cid).is_none() {
                    entries.add(&section.cid, at - data.0)?;
                }
                at = section.block.1;
            }
            Err(CarError::Syntax { what: "a section of no bytes", .. }) if options.allow_padding => {
                zeros(file, at, data.1)?;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    let mut bytes = Vec::new();
    entries.write(IndexKind::MultihashSorted, &mut bytes).map_err(|source| CarError::Io { at, source })?;
    let end = bytes.len() as u64;
    Index::open(bytes, 0, end)
}

/// Whether there are only zeros between two places.
fn zeros(file: &File, mut at: u64, end: u64) -> Result<(), CarError> {
    let mut bytes = vec![0; 64 << 10];
    while at < end {
        let part = &mut bytes[..(64 << 10).min(end - at) as usize];
        file.read_all(part, at).map_err(|error| CarError::io(at, error))?;
        if let Some(place) = part.iter().position(|byte| *byte != 0) {
            return Err(CarError::Syntax { at: at + place as u64, what: "something behind a section of no bytes" });
        }
        at += part.len() as u64;
    }
    Ok(())
}

impl BlockStore for CarStore {
    fn put(&self, _blocks: &[Block]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn get_kept(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(section) = self.find(cid).map_err(StoreError::backend)? else { return Ok(None) };
        let bytes = self.read(&section).map_err(StoreError::backend)?;
        if self.options.verify {
            verify(cid, &bytes).map_err(|source| StoreError::Damaged { cid: Box::new(*cid), source })?;
        }
        Ok(Some(bytes))
    }

    fn size_kept(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        let section = self.find(cid).map_err(StoreError::backend)?;
        Ok(section.map(|section| section.block.1 - section.block.0))
    }

    fn remove(&self, _cids: &[Cid]) -> Result<u64, StoreError> {
        Err(StoreError::ReadOnly)
    }
}
