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
    #[error("the file of channels")]
    File(#[source] Box<dyn StdError + Send + Sync>),
    #[error("{} has no channels, or those of another version", path.display())]
    Format { path: PathBuf },
    #[error("a channel in the file of channels")]
    Channel(#[source] Box<dyn StdError + Send + Sync>),
}

fn failed(error: impl Into<Error>) -> KeptError {
    KeptError::File(Box::new(error.into()))
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

pub(super) struct Kept(Database);

impl Kept {
    /// Opens a file, or makes it, and gives the channels that are not over.
    pub(super) fn open(path: Option<&Path>) -> Result<(Self, Vec<Found>), KeptError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let database = match path {
            Some(path) => builder.create(path),
            None => builder.create_with_backend(InMemoryBackend::new()),
        };
        let kept = Self(database.map_err(failed)?);
        let format = kept.format().map_err(failed)?;
        if format != FORMAT {
            return Err(KeptError::Format { path: path.unwrap_or(Path::new("")).to_owned() });
        }
        let found = kept.all()?.into_iter().filter(|found| !found.channel.status().is_final()).collect();
        Ok((kept, found))
    }

    /// The format of the file; that of a new one is ours.
    fn format(&self) -> Result<u64, Error> {
        let write = self.0.begin_write()?;
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
            let channels = self.0.begin_read()?.open_table(CHANNELS)?;
            channels.iter()?.map(|entry| Ok(entry?.1.value().to_vec())).collect()
        };
        values().map_err(failed)?.iter().map(|bytes| Found::read(bytes)).collect()
    }

    /// A channel that was written.
    pub(super) fn get(&self, id: &ChannelId) -> Result<Option<Channel>, KeptError> {
        let read = || -> Result<_, Error> {
            let channels = self.0.begin_read()?.open_table(CHANNELS)?;
            Ok(channels.get(&key_of(id)[..])?.map(|value| value.value().to_vec()))
        };
        read().map_err(failed)?.map(|bytes| Ok(Found::read(&bytes)?.channel)).transpose()
    }

    /// Writes channels, each in the place of what it was.
    pub(super) fn write(&self, records: &[Record]) -> Result<(), KeptError> {
        let write = || -> Result<(), Error> {
            let transaction = self.0.begin_write()?;
            put(&transaction, records)?;
            Ok(transaction.commit()?)
        };
        if records.is_empty() { Ok(()) } else { write().map_err(failed) }
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
