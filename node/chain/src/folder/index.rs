//! What a chain folder knows beside the blocks: which chain it follows, and how far a sync came.
//!
//! | Table of `chain.redb` | From | To |
//! |---|---|---|
//! | `facts` | `format` | 1, eight bytes little-endian |
//! | | `genesis`, `head` | a key |
//! | `heights` | height | key of the tipset of the chain at that height |
//! | `noted` | height | key of a tipset below which a sync goes on |
//!
//! A key is a list of links in dag-cbor. Each change is one transaction.

use std::error::Error as StdError;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use filecash_ipld::Cid;
use redb::{Database, Error, ReadableDatabase, TableDefinition, WriteTransaction};

use super::FolderError;
use crate::object::Object;

const FACTS: TableDefinition<&str, &[u8]> = TableDefinition::new("facts");
const HEIGHTS: TableDefinition<u64, &[u8]> = TableDefinition::new("heights");
const NOTED: TableDefinition<u64, &[u8]> = TableDefinition::new("noted");
const FORMAT: u64 = 1;
const CACHE_BYTES: usize = 8 << 20;

/// A height with the key of the tipset there.
pub(super) type Place = (i64, Vec<Cid>);

#[derive(Debug)]
pub(super) struct Index(Database);

fn failed(source: impl Into<Box<dyn StdError + Send + Sync>>) -> FolderError {
    FolderError::Index(source.into())
}

/// Heights of tipsets that were checked are not below zero.
fn number(height: i64) -> u64 {
    u64::try_from(height).unwrap_or(0)
}

fn height(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn key_of(bytes: &[u8]) -> Result<Vec<Cid>, Error> {
    Vec::decode(bytes).map_err(|_| Error::Corrupted("a key that is none".to_owned()))
}

impl Index {
    /// Makes the index of a genesis: it gets its name last, and whole.
    pub(super) fn create(path: &Path, genesis: &[Cid]) -> Result<(), FolderError> {
        let new = path.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        write_new(&new, genesis).map_err(failed)?;
        let named = || {
            File::options().write(true).open(&new)?.sync_all()?;
            fs::rename(&new, path)?;
            // A folder is no file that can be synced everywhere.
            if cfg!(unix) { path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()) } else { Ok(()) }
        };
        named().map_err(failed)
    }

    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let index = Self(builder.open(path).map_err(failed)?);
        if index.fact("format")?.is_none_or(|bytes| bytes != FORMAT.to_le_bytes()) {
            return Err(FolderError::Format { path: path.to_owned(), what: "an index of another kind" });
        }
        Ok(index)
    }

    fn fact(&self, name: &str) -> Result<Option<Vec<u8>>, FolderError> {
        let read = || -> Result<_, Error> {
            let facts = match self.0.begin_read()?.open_table(FACTS) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
                facts => facts?,
            };
            Ok(facts.get(name)?.map(|value| value.value().to_vec()))
        };
        read().map_err(failed)
    }

    fn key(&self, name: &'static str) -> Result<Vec<Cid>, FolderError> {
        let bytes = self.fact(name)?.ok_or_else(|| failed(Error::Corrupted(format!("no {name}"))))?;
        key_of(&bytes).map_err(failed)
    }

    pub(super) fn genesis(&self) -> Result<Vec<Cid>, FolderError> {
        self.key("genesis")
    }

    pub(super) fn head(&self) -> Result<Vec<Cid>, FolderError> {
        self.key("head")
    }

    /// The last tipset of the chain that is not above a height.
    pub(super) fn at_or_below(&self, height: i64) -> Result<Option<Place>, FolderError> {
        let read = || -> Result<_, Error> {
            let heights = self.0.begin_read()?.open_table(HEIGHTS)?;
            match heights.range(..=number(height))?.next_back() {
                Some(entry) => place(entry?).map(Some),
                None => Ok(None),
            }
        };
        if height < 0 { Ok(None) } else { read().map_err(failed) }
    }

    /// Puts tipsets in the place of all above a height, the first of them the new head.
    pub(super) fn advance(&self, above: i64, places: &[Place]) -> Result<(), FolderError> {
        let write = |transaction: &WriteTransaction| -> Result<(), Error> {
            let mut heights = transaction.open_table(HEIGHTS)?;
            heights.retain_in(number(above) + 1.., |_, _| false)?;
            for (height, key) in places {
                heights.insert(number(*height), &key.encode()[..])?;
            }
            if let Some((_, head)) = places.first() {
                transaction.open_table(FACTS)?.insert("head", &head.encode()[..])?;
            }
            Ok(())
        };
        self.write(write)
    }

    /// Notes tipsets in the place of all that were noted above a height and below another.
    pub(super) fn note(&self, above: i64, below: i64, places: &[Place]) -> Result<(), FolderError> {
        self.write(|transaction| {
            let mut noted = transaction.open_table(NOTED)?;
            noted.retain_in(number(above) + 1..number(below), |_, _| false)?;
            for (height, key) in places {
                noted.insert(number(*height), &key.encode()[..])?;
            }
            Ok(())
        })
    }

    /// Noted tipsets above a height and up to another, the lowest first, not more than so many.
    pub(super) fn noted(&self, above: i64, to: i64, most: usize) -> Result<Vec<Place>, FolderError> {
        let read = || -> Result<_, Error> {
            let noted = match self.0.begin_read()?.open_table(NOTED) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                noted => noted?,
            };
            noted.range(number(above) + 1..=number(to))?.take(most).map(|entry| place(entry?)).collect()
        };
        if to <= above { Ok(Vec::new()) } else { read().map_err(failed) }
    }

    pub(super) fn forget_notes(&self) -> Result<(), FolderError> {
        self.write(|transaction| Ok(transaction.delete_table(NOTED).map(drop)?))
    }

    fn write(&self, change: impl FnOnce(&WriteTransaction) -> Result<(), Error>) -> Result<(), FolderError> {
        let write = || -> Result<(), Error> {
            let transaction = self.0.begin_write()?;
            change(&transaction)?;
            Ok(transaction.commit()?)
        };
        write().map_err(failed)
    }
}

fn place(entry: (redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, &'static [u8]>)) -> Result<Place, Error> {
    Ok((height(entry.0.value()), key_of(entry.1.value())?))
}

fn write_new(path: &Path, genesis: &[Cid]) -> Result<(), Error> {
    let database = Database::builder().set_cache_size(1 << 20).create(path)?;
    let transaction = database.begin_write()?;
    let key = genesis.to_vec().encode();
    transaction.open_table(HEIGHTS)?.insert(0, &key[..])?;
    let mut facts = transaction.open_table(FACTS)?;
    facts.insert("format", &FORMAT.to_le_bytes()[..])?;
    facts.insert("genesis", &key[..])?;
    facts.insert("head", &key[..])?;
    drop(facts);
    transaction.commit()?;
    Ok(database.close()?)
}
