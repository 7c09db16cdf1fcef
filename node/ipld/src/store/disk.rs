//! Blocks in a folder, which outlive the process and its sudden end.
//!
//! | File | What is in it |
//! |---|---|
//! | `index.redb` | where each block is, by its multihash; blocks of up to 2 KiB themselves; free space |
//! | `blocks` | the other blocks, each from the start of a page of 4 KiB on |
//! | `lock` | nothing; held by the process that has the store open |
//!
//! ```text
//! index: multihash → 00 ‖ bytes      or      01 ‖ first page u64 ‖ length u32, little-endian
//! ```
//!
//! The values of redb take a power of two of pages with their heads, so that blocks of 256 KiB or 1 MiB take twice their size in it, and
//! longer to write than in a file of their own beside it. Such a file is not a log that has to be compacted: pages of removed
//! blocks are given to later ones.
//!
//! A block is written and synced before the transaction that tells where it is, and its pages are free until then. So whatever ends a
//! process, the index is as after the last [`put`](BlockStore::put) or [`remove`](BlockStore::remove) that returned, or the one that was
//! under way, and all blocks that it knows are there. A call costs three syncs however many blocks it has: hand over many at once, or all
//! that an iterator has by [`import`](super::import), which makes batches of 8 MiB.
//!
//! A block that is there is not written again. One that is damaged is [removed](BlockStore::remove) before it is put anew.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use multihash::Multihash;
use redb::{Database, Error, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::space::Space;
use super::{BlockStore, StoreError};
use crate::block::Block;
use crate::hash::{Cid, HashError, MAX_DIGEST, inlined, verify};
use crate::positioned::{self, ReadAt};

/// The longest block that is kept.
pub const MAX_BYTES: usize = 64 << 20;

const PAGE: u64 = 4 << 10;
const MAX_INLINE: usize = 2 << 10;
const INLINE: u8 = 0;
const EXTENT: u8 = 1;
const FORMAT: u64 = 1;

const BLOCKS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("blocks");
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct DiskOptions {
    /// Whether blocks are checked against their multihashes when they are read. That takes up to three milliseconds for a MiB, as long as
    /// disks take or longer; without it a damaged block is handed out as it is.
    pub verify: bool,
    /// Whether all of the index is read and checked when the store is opened. Without that, redb may panic over an index that something
    /// else has written to.
    pub check_index: bool,
    /// Memory for pages of the index.
    pub cache_bytes: usize,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self { verify: true, check_index: true, cache_bytes: 16 << 20 }
    }
}

/// How much is in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Blocks.
    pub blocks: u64,
    /// Bytes of all blocks.
    pub bytes: u64,
}

/// Keeps blocks in a folder.
#[derive(Debug)]
pub struct DiskStore {
    verify: bool,
    index: Database,
    blocks: File,
    /// Had by who changes something.
    writing: Mutex<()>,
    /// Shared by who looks for a block and reads it, so that its pages are not given to another in between.
    reading: RwLock<()>,
    _lock: File,
}

/// What the index says of a block.
enum Kept {
    Inline(Vec<u8>),
    Extent { page: u64, length: u32 },
}

impl Kept {
    fn parse(value: &[u8]) -> Option<Self> {
        match value {
            [INLINE, bytes @ ..] => Some(Self::Inline(bytes.to_vec())),
            [EXTENT, rest @ ..] => {
                let (page, length) = rest.split_first_chunk()?;
                let (page, length) = (u64::from_le_bytes(*page), u32::from_le_bytes(length.try_into().ok()?));
                // Whatever is in an index, neither places nor memory run over.
                let sound = length as usize <= MAX_BYTES && page < u64::MAX / PAGE / 2;
                sound.then_some(Self::Extent { page, length })
            }
            _ => None,
        }
    }

    fn value(&self) -> Vec<u8> {
        match self {
            Self::Inline(bytes) => [&[INLINE], &bytes[..]].concat(),
            Self::Extent { page, length } => [&[EXTENT], &page.to_le_bytes()[..], &length.to_le_bytes()].concat(),
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Extent { length, .. } => u64::from(*length),
        }
    }
}

fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE)
}

/// The tables, as a transaction that changes them sees them.
struct Tables<'a> {
    blocks: Table<'a, &'static [u8], &'static [u8]>,
    numbers: Table<'a, &'static str, u64>,
    space: Space<'a>,
}

impl<'a> Tables<'a> {
    fn open(transaction: &'a WriteTransaction) -> Result<Self, Error> {
        let (blocks, numbers) = (transaction.open_table(BLOCKS)?, transaction.open_table(NUMBERS)?);
        Ok(Self { blocks, numbers, space: Space::open(transaction)? })
    }

    fn count(&mut self, blocks: i64, bytes: i64) -> Result<(), Error> {
        for (name, change) in [("blocks", blocks), ("bytes", bytes)] {
            let number = self.numbers.get(name)?.map_or(0, |number| number.value());
            self.numbers.insert(name, number.saturating_add_signed(change))?;
        }
        Ok(())
    }

    /// Whether the block was not there, and whether it went into the file.
    fn put(&mut self, block: &Block, file: &File) -> Result<(bool, bool), Error> {
        let (key, bytes) = (block.cid().hash().to_bytes(), block.bytes());
        if self.blocks.get(&key[..])?.is_some() {
            return Ok((false, false));
        }
        let inline = bytes.len() <= MAX_INLINE;
        let kept = if inline {
            Kept::Inline(bytes.to_vec())
        } else {
            let page = self.space.take(pages(bytes.len() as u64))?;
            positioned::write_all(file, bytes, page.saturating_mul(PAGE))?;
            Kept::Extent { page, length: bytes.len() as u32 }
        };
        self.blocks.insert(&key[..], &kept.value()[..])?;
        self.count(1, bytes.len() as i64)?;
        Ok((true, !inline))
    }

    /// Whether the block was there.
    fn remove(&mut self, cid: &Cid) -> Result<bool, Error> {
        let Some(value) = self.blocks.remove(&cid.hash().to_bytes()[..])?.map(|value| value.value().to_vec()) else {
            return Ok(false);
        };
        let kept = Kept::parse(&value).ok_or_else(|| Error::Corrupted("a block that is nowhere".to_owned()))?;
        if let Kept::Extent { page, length } = kept {
            self.space.free(page, pages(length.into()))?;
        }
        self.count(-1, -(kept.length() as i64))?;
        Ok(true)
    }
}

impl DiskStore {
    /// Opens the store in a folder, or makes one there.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another process has it open, or this one; [`StoreError::Format`] for a folder that holds something
    /// else; [`StoreError::Backend`].
    pub fn open(folder: &Path, options: &DiskOptions) -> Result<Self, StoreError> {
        create_folder(folder).map_err(StoreError::backend)?;
        let lock = File::options().create(true).truncate(false).write(true).open(folder.join("lock"));
        let lock = lock.map_err(StoreError::backend)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::InUse { path: folder.to_owned() },
            TryLockError::Error(error) => StoreError::backend(error),
        })?;
        let (path, blocks) = (folder.join("index.redb"), folder.join("blocks"));
        if !path.try_exists().map_err(StoreError::backend)? {
            let wrong = |what| StoreError::Format { path: folder.to_owned(), what };
            if fs::metadata(&blocks).is_ok_and(|data| data.len() > 0) {
                return Err(wrong("blocks without their index"));
            }
            create(folder, &path, &blocks).map_err(StoreError::backend)?;
        }
        let mut builder = Database::builder();
        builder.set_cache_size(options.cache_bytes).set_check_integrity_on_open(options.check_index);
        let index = builder.open(&path).map_err(StoreError::backend)?;
        let (format, end) = head(&index).map_err(StoreError::backend)?;
        if format != Some(FORMAT) {
            return Err(StoreError::Format { path, what: "an index of another kind" });
        }
        let blocks = File::options().read(true).write(true).open(blocks).map_err(StoreError::backend)?;
        let (writing, reading) = (Mutex::default(), RwLock::default());
        let store = Self { verify: options.verify, index, blocks, writing, reading, _lock: lock };
        // What was written and never acknowledged.
        store.trim(end).map_err(StoreError::backend)?;
        Ok(store)
    }

    /// How much is in it.
    ///
    /// # Errors
    /// [`StoreError::Backend`].
    pub fn totals(&self) -> Result<Totals, StoreError> {
        let read = || -> Result<Totals, Error> {
            let numbers = self.index.begin_read()?.open_table(NUMBERS)?;
            let number = |name| Ok::<_, Error>(numbers.get(name)?.map_or(0, |number| number.value()));
            Ok(Totals { blocks: number("blocks")?, bytes: number("bytes")? })
        };
        read().map_err(StoreError::backend)
    }

    /// The multihashes of all blocks that are there now, in order of their bytes. What is put or removed meanwhile makes no difference.
    ///
    /// # Errors
    /// [`StoreError::Backend`], of each item too.
    pub fn multihashes(
        &self,
    ) -> Result<impl Iterator<Item = Result<Multihash<MAX_DIGEST>, StoreError>> + use<>, StoreError> {
        let read = || -> Result<_, Error> { Ok(self.index.begin_read()?.open_table(BLOCKS)?.range::<&[u8]>(..)?) };
        Ok(read().map_err(StoreError::backend)?.map(|entry| {
            let (key, _) = entry.map_err(StoreError::backend)?;
            Multihash::from_bytes(key.value()).map_err(StoreError::backend)
        }))
    }

    fn find(&self, cid: &Cid) -> Result<Option<Kept>, StoreError> {
        let read = || -> Result<_, Error> {
            let blocks = self.index.begin_read()?.open_table(BLOCKS)?;
            Ok(blocks.get(&cid.hash().to_bytes()[..])?.map(|value| Kept::parse(value.value())))
        };
        match read().map_err(StoreError::backend)? {
            None => Ok(None),
            Some(Some(kept)) => Ok(Some(kept)),
            Some(None) => Err(damaged(cid)),
        }
    }

    fn read(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        let _shared = self.reading.read().unwrap_or_else(PoisonError::into_inner);
        match self.find(cid)? {
            None => Ok(None),
            Some(Kept::Inline(bytes)) => Ok(Some(bytes)),
            Some(Kept::Extent { page, length }) => {
                let mut bytes = vec![0; length as usize];
                match self.blocks.read_all(&mut bytes, page * PAGE) {
                    Ok(()) => Ok(Some(bytes)),
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(damaged(cid)),
                    Err(error) => Err(StoreError::backend(error)),
                }
            }
        }
    }

    fn try_put(&self, blocks: &[Block]) -> Result<(), Error> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = self.begin()?;
        let (mut new, mut written) = (false, false);
        let mut tables = Tables::open(&transaction)?;
        for block in blocks.iter().filter(|block| inlined(block.cid()).is_none()) {
            let put = tables.put(block, &self.blocks)?;
            (new, written) = (new | put.0, written | put.1);
        }
        drop(tables);
        if written {
            self.blocks.sync_data()?;
        }
        if new { Ok(transaction.commit()?) } else { Ok(transaction.abort()?) }
    }

    fn try_remove(&self, cids: &[Cid]) -> Result<u64, Error> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = self.begin()?;
        let mut tables = Tables::open(&transaction)?;
        let mut removed = 0;
        for cid in cids {
            removed += u64::from(tables.remove(cid)?);
        }
        let end = tables.space.end()?;
        drop(tables);
        if removed == 0 {
            transaction.abort()?;
            return Ok(0);
        }
        transaction.commit()?;
        // Nobody finds the blocks any more, and who has found one is waited for here: then its pages may be another's.
        drop(self.reading.write().unwrap_or_else(PoisonError::into_inner));
        // They are removed in any case, and the next to open the store tries again.
        let _ = self.trim(end);
        Ok(removed)
    }

    /// A transaction that is safe even from bytes that were chosen to look like the pages of another.
    fn begin(&self) -> Result<WriteTransaction, Error> {
        let mut transaction = self.index.begin_write()?;
        transaction.set_two_phase_commit(true);
        Ok(transaction)
    }

    fn trim(&self, end: u64) -> io::Result<()> {
        let bytes = end.saturating_mul(PAGE);
        if self.blocks.metadata()?.len() > bytes { self.blocks.set_len(bytes) } else { Ok(()) }
    }
}

impl BlockStore for DiskStore {
    fn put(&self, blocks: &[Block]) -> Result<(), StoreError> {
        if let Some(block) = blocks.iter().find(|block| block.bytes().len() > MAX_BYTES) {
            return Err(StoreError::TooLong { length: block.bytes().len(), limit: MAX_BYTES });
        }
        self.try_put(blocks).map_err(StoreError::backend)
    }

    fn get_kept(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes = self.read(cid)?;
        if let Some(bytes) = bytes.as_ref().filter(|_| self.verify) {
            verify(cid, bytes).map_err(|source| StoreError::Damaged { cid: Box::new(*cid), source })?;
        }
        Ok(bytes)
    }

    fn size_kept(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        Ok(self.find(cid)?.map(|kept| kept.length()))
    }

    fn remove(&self, cids: &[Cid]) -> Result<u64, StoreError> {
        self.try_remove(cids).map_err(StoreError::backend)
    }
}

fn damaged(cid: &Cid) -> StoreError {
    StoreError::Damaged { cid: Box::new(*cid), source: HashError::Mismatch(Box::new(*cid)) }
}

/// The format of an index, and the first page behind all that are used.
fn head(index: &Database) -> Result<(Option<u64>, u64), Error> {
    let transaction = index.begin_read()?;
    let format = match transaction.open_table(NUMBERS) {
        Ok(numbers) => numbers.get("format")?.map(|number| number.value()),
        Err(redb::TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(error.into()),
    };
    Ok((format, if format.is_some() { Space::end_of(&transaction)? } else { 0 }))
}

/// Makes an empty store: the index gets its name last, and whole.
fn create(folder: &Path, index: &Path, blocks: &Path) -> Result<(), Error> {
    let new = index.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let database = Database::builder().set_cache_size(1 << 20).create(&new)?;
    let transaction = database.begin_write()?;
    Tables::open(&transaction)?.numbers.insert("format", FORMAT)?;
    transaction.commit()?;
    database.close()?;
    File::options().write(true).open(&new)?.sync_all()?;
    File::options().create(true).truncate(false).write(true).open(blocks)?.sync_all()?;
    fs::rename(&new, index)?;
    Ok(sync_folder(folder)?)
}

fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.try_exists()? {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
        _ => sync_folder(Path::new(".")),
    }
}

/// Makes new names in a folder durable.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes new names in a folder durable: nothing to do here.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
