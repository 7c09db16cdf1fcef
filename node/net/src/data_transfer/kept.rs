//! Channels in a file, which outlive the process.
//!
//! | Table | From | To |
//! |---|---|---|
//! | `facts` | `format` | 1 |
//! | `channels` | channel, as `[initiator, responder, id]` | `[channel, [address, …]]`, see [`Channel::to_bytes`] |
//! | `ended` | number | a channel that is over; those with the lowest numbers are forgotten |
//!
//! Values are in dag-cbor. A call of [`Kept::write`] is one transaction.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};

use filecash_ipld::Ipld;
use filecash_ipld::codec::dag_cbor;
use filecash_ipld::data_transfer::{Channel, Role, SavedError};
use filecash_ipld::wire::data_transfer::ChannelId;
use libp2p::{Multiaddr, PeerId};
use redb::backends::InMemoryBackend;
use redb::{
    Database, Error, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction,
};

const FACTS: TableDefinition<&str, u64> = TableDefinition::new("facts");
const CHANNELS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("channels");
const ENDED: TableDefinition<u64, &[u8]> = TableDefinition::new("ended");
const FORMAT: u64 = 1;
const CACHE_BYTES: usize = 4 << 20;
/// Channels that are over and remembered.
const MAX_ENDED: u64 = 1 << 12;

/// Why channels are not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum KeptError {
    #[error("the channels in {}", path.display())]
    File { path: PathBuf, source: Box<dyn StdError + Send + Sync> },
    #[error("{} has no channels, or those of another version", path.display())]
    Format { path: PathBuf },
    #[error("a channel that was kept")]
    Channel(#[source] Box<dyn StdError + Send + Sync>),
}

/// A channel to be written.
pub(super) struct Record {
    pub(super) id: ChannelId,
    pub(super) is_over: bool,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Record {
    pub(super) fn new(channel: &Channel, addresses: &[Multiaddr]) -> Self {
        let addresses = addresses.iter().map(|address| Ipld::Bytes(address.to_vec())).collect();
        let value = dag_cbor::encode(&Ipld::List(vec![Ipld::Bytes(channel.to_bytes()), Ipld::List(addresses)]));
        let id = channel.id().clone();
        Self { key: key_of(&id), id, is_over: channel.status().is_final(), value }
    }
}

/// A channel that was not over.
pub(super) struct Found {
    pub(super) channel: Channel,
    pub(super) peer: PeerId,
    pub(super) addresses: Vec<Multiaddr>,
}

impl Found {
    fn read(bytes: &[u8]) -> Result<Self, KeptError> {
        let none = || KeptError::Channel(Box::new(SavedError::Missing("fields")));
        let value = dag_cbor::decode(bytes).map_err(|error| KeptError::Channel(Box::new(error)))?;
        let Ipld::List(fields) = value else { return Err(none()) };
        let [Ipld::Bytes(channel), Ipld::List(addresses)] = &fields[..] else { return Err(none()) };
        let channel = Channel::from_bytes(channel).map_err(|error| KeptError::Channel(Box::new(error)))?;
        let other = match channel.role() {
            Role::Initiator => &channel.id().responder,
            Role::Responder => &channel.id().initiator,
        };
        let peer = PeerId::from_bytes(other).map_err(|_| KeptError::Channel(Box::new(SavedError::Missing("peer"))))?;
        let address = |value: &Ipld| match value {
            Ipld::Bytes(bytes) => Multiaddr::try_from(bytes.clone()).map_err(|_| none()),
            _ => Err(none()),
        };
        let addresses = addresses.iter().map(address).collect::<Result<_, _>>()?;
        Ok(Self { channel, peer, addresses })
    }
}

fn key_of(ChannelId { initiator, responder, id }: &ChannelId) -> Vec<u8> {
    let [initiator, responder] = [initiator, responder].map(|peer| Ipld::Bytes(peer.clone()));
    dag_cbor::encode(&Ipld::List(vec![initiator, responder, Ipld::Integer((*id).into())]))
}

pub(super) struct Kept {
    database: Database,
    path: PathBuf,
}

impl Kept {
    /// Opens a file, or makes it, and gives the channels that are not over.
    pub(super) fn open(path: Option<&Path>) -> Result<(Self, Vec<Found>), KeptError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let (database, path) = match path {
            Some(path) => (builder.create(path), path),
            None => (builder.create_with_backend(InMemoryBackend::new()), Path::new("memory")),
        };
        let failed = |error: Error| KeptError::File { path: path.to_owned(), source: Box::new(error) };
        let kept = Self { database: database.map_err(|error| failed(error.into()))?, path: path.to_owned() };
        if kept.format().map_err(failed)? != FORMAT {
            return Err(KeptError::Format { path: kept.path });
        }
        let found = kept.all()?.into_iter().filter(|found| !found.channel.status().is_final()).collect();
        Ok((kept, found))
    }

    fn failed(&self, error: Error) -> KeptError {
        KeptError::File { path: self.path.clone(), source: Box::new(error) }
    }

    /// The format of the file; that of a new one is ours.
    fn format(&self) -> Result<u64, Error> {
        let write = self.database.begin_write()?;
        let format = {
            let mut facts = write.open_table(FACTS)?;
            let format = facts.get("format")?.map(|format| format.value());
            match format {
                Some(format) => format,
                None if write.list_tables()?.count() > 1 => 0,
                None => {
                    facts.insert("format", FORMAT)?;
                    write.open_table(CHANNELS)?;
                    write.open_table(ENDED)?;
                    FORMAT
                }
            }
        };
        if format == FORMAT {
            write.commit()?;
        }
        Ok(format)
    }

    fn all(&self) -> Result<Vec<Found>, KeptError> {
        let values = || -> Result<Vec<Vec<u8>>, Error> {
            let channels = self.database.begin_read()?.open_table(CHANNELS)?;
            channels.iter()?.map(|entry| Ok(entry?.1.value().to_vec())).collect()
        };
        values().map_err(|error| self.failed(error))?.iter().map(|bytes| Found::read(bytes)).collect()
    }

    /// A channel that was written.
    pub(super) fn get(&self, id: &ChannelId) -> Result<Option<Channel>, KeptError> {
        let read = || -> Result<_, Error> {
            let channels = self.database.begin_read()?.open_table(CHANNELS)?;
            Ok(channels.get(&key_of(id)[..])?.map(|value| value.value().to_vec()))
        };
        read().map_err(|error| self.failed(error))?.map(|bytes| Ok(Found::read(&bytes)?.channel)).transpose()
    }

    /// Writes channels, each in the place of what it was.
    pub(super) fn write(&self, records: &[Record]) -> Result<(), KeptError> {
        let write = || -> Result<(), Error> {
            let transaction = self.database.begin_write()?;
            put(&transaction, records)?;
            Ok(transaction.commit()?)
        };
        if records.is_empty() { Ok(()) } else { write().map_err(|error| self.failed(error)) }
    }
}

fn put(transaction: &WriteTransaction, records: &[Record]) -> Result<(), Error> {
    let mut channels = transaction.open_table(CHANNELS)?;
    let mut ended = transaction.open_table(ENDED)?;
    for record in records {
        channels.insert(&record.key[..], &record.value[..])?;
        if record.is_over {
            let number = ended.last()?.map_or(0, |(number, _)| number.value() + 1);
            ended.insert(number, &record.key[..])?;
        }
    }
    while ended.len()? > MAX_ENDED
        && let Some((_, key)) = ended.pop_first()?
    {
        channels.remove(key.value())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use filecash_ipld::data_transfer::{Decision, Event, Status, Validate};
    use filecash_ipld::selector::Selector;
    use filecash_ipld::wire::data_transfer::Opening;

    use super::*;

    struct Yes;

    impl Validate for Yes {
        fn open(&self, _id: &ChannelId, _opening: &Opening) -> Decision {
            Decision::accept()
        }
    }

    fn channel(number: u64) -> (Channel, PeerId) {
        let (us, them) = (PeerId::random(), PeerId::random());
        let id = ChannelId { initiator: us.to_bytes(), responder: them.to_bytes(), id: number };
        let root = filecash_ipld::hash::HashKind::Sha256.cid(0x55, b"hello").unwrap();
        let opening = Opening { root, selector: Selector::everything().to_ipld(), is_pull: true, voucher: None };
        (Channel::open(id, opening).0, them)
    }

    #[test]
    fn channels_are_found_again_until_they_are_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transfers.redb");
        let ((one, peer), (mut other, _)) = (channel(1), channel(u64::MAX));
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        {
            let (kept, found) = Kept::open(Some(&path)).unwrap();
            assert!(found.is_empty());
            let addresses = std::slice::from_ref(&address);
            kept.write(&[Record::new(&one, addresses), Record::new(&other, addresses)]).unwrap();
            other.take(Event::Cancel, &Yes).unwrap();
            kept.write(&[Record::new(&other, addresses)]).unwrap();
            assert_eq!(kept.get(channel(3).0.id()).unwrap(), None);
        }
        let (kept, found) = Kept::open(Some(&path)).unwrap();
        let [Found { channel, peer: with, addresses }] = &found[..] else { panic!("{}", found.len()) };
        assert_eq!((channel, with, &addresses[..]), (&one, &peer, &[address][..]));
        assert_eq!(kept.get(other.id()).unwrap().unwrap().status(), Status::Cancelled);
    }

    #[test]
    fn those_that_were_over_first_are_forgotten_first() {
        let (kept, _) = Kept::open(None).unwrap();
        let over = |number| {
            let (mut channel, _) = channel(number);
            channel.take(Event::Cancel, &Yes).unwrap();
            channel
        };
        let (open, _) = channel(0);
        let first = over(1);
        kept.write(&[Record::new(&open, &[]), Record::new(&first, &[])]).unwrap();
        let rest: Vec<_> = (1..MAX_ENDED).map(|number| Record::new(&over(number + 1), &[])).collect();
        kept.write(&rest).unwrap();
        assert!(kept.get(first.id()).unwrap().is_some());
        kept.write(&[Record::new(&over(0), &[])]).unwrap();
        assert!(kept.get(first.id()).unwrap().is_none());
        assert!(kept.get(open.id()).unwrap().is_some() && kept.get(&rest[0].id).unwrap().is_some());
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transfers.redb");
        let name = path.display().to_string();
        let refused = || Kept::open(Some(&path)).map(|_| ()).unwrap_err().to_string();
        std::fs::write(&path, vec![7; 10_000]).unwrap();
        assert_eq!(refused(), format!("the channels in {name}"));
        std::fs::remove_file(&path).unwrap();
        for (table, format) in [("other", 1), ("facts", 2)] {
            let database = Database::create(&path).unwrap();
            let write = database.begin_write().unwrap();
            write.open_table(TableDefinition::<&str, u64>::new(table)).unwrap().insert("format", format).unwrap();
            write.commit().unwrap();
            drop(database);
            assert_eq!(refused(), format!("{name} has no channels, or those of another version"));
            std::fs::remove_file(&path).unwrap();
        }
    }
}
